"""How many positions each step reads: the law of one pattern, from the facts its family states.

Rules are tried in order; each needs one fact of the pattern (see :class:`~glmix_theory.patterns.Pattern`). A
pattern without any is counted, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sympy

from glmix_theory.complexity.bit_counts import bits_law
from glmix_theory.complexity.delayed import band_degrees, delayed_degrees
from glmix_theory.complexity.laws import (
    LISTED_AT_MOST,
    Law,
    degree_sequence,
    delayed_expr,
    ends,
    linear_law,
    monotone_law,
)
from glmix_theory.complexity.quantity import Bounds, Value, weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear
from glmix_theory.complexity.slot_degree import cache_efficient_degrees
from glmix_theory.notation import n
from glmix_theory.patterns import CacheEfficient, Delayed, Pattern
from glmix_theory.patterns.algebra import Union
from glmix_theory.patterns.growth import Growth, constant_growth
from glmix_theory.patterns.periodicity import Periodicity
from glmix_theory.patterns.unary import Blocked, Shift, Strict


def degree_law(pattern: Pattern) -> Law | None:
    """The law of a pattern's in-degrees, or ``None`` where none is known and they must be counted.

    >>> import glmix_theory as glm
    >>> degree_law(glm.Window(16) | glm.GlobalTokens(4)).peak_expr
    Min(20, n)
    """
    if isinstance(pattern, CacheEfficient):
        return cache_efficient_degrees(pattern)
    if isinstance(pattern, Delayed):
        return delayed_degrees(pattern)
    if pattern.lags_and_globals is not None:
        lags_law = _lags_law(pattern)
        lags, g = pattern.lags_and_globals
        plain = lags_law.prefix_expr is not None and (g == 0 or lags.window is not None)
        if plain or pattern.periodicity is None:
            return lags_law
        return _periodic_law(pattern, pattern.periodicity) or lags_law
    if pattern.tree_parts is not None:
        return _tree_law(pattern, pattern.tree_parts)
    if pattern.degree_levels is not None:
        levels = pattern.degree_levels
        reason = f"{pattern!r} reads {levels[-1]} positions at every step t ≥ {len(levels) - 1}"
        return linear_law(QuasiLinear(levels, (0,)), (reason,))
    if pattern.periodicity is not None:
        law = _periodic_law(pattern, pattern.periodicity)
        if law is not None:
            return law
    if isinstance(pattern, Strict):
        return degree_law(pattern.base) if pattern.base.off_diagonal else _strict_law(pattern)
    if isinstance(pattern, Shift):
        return _shifted_law(pattern)
    if isinstance(pattern, Blocked):
        return _blocked_law(pattern)
    return _union_law(pattern) if isinstance(pattern, Union) else None


def _lags_law(pattern: Pattern) -> Law:
    """Lags of a set, and the first ``g`` positions: ``d(t) = min(t+1, g) + #{lags ≤ t - g}``."""
    assert pattern.lags_and_globals is not None
    lags, g = pattern.lags_and_globals
    count, lag_sum = lags.counting_expr, lags.summing_expr
    name = repr(pattern)
    # Lags that no index of a known bound lists are only known as far as they are enumerated.
    status = "proved" if lags.proved and lags.largest is not None else "checked"

    def at(t: int) -> int:
        return min(t + 1, g) + lags.count(t - g)

    def prefix(length: int) -> int:
        rest = max(length - g, 0)
        head = min(length, g)
        return head * (head + 1) // 2 + g * rest + rest * lags.count(rest - 1) - lags.sum(rest - 1)

    total = None if count is None or lag_sum is None else sympy.expand(n * count - lag_sum)
    peak_expr, prefix_expr = count, total
    reason = f"{name} is translation-invariant: {lags.reason}"
    if g:
        window = sympy.Min(n, g + lags.window) if lags.window is not None else None
        late = delayed_expr(count, g)
        head = sympy.Min(n, g)
        peak_expr = window if window is not None else (None if late is None else head + late)
        prefix_expr = (
            None
            if total is None
            else sympy.Piecewise(
                (n * (n + 1) / 2, n <= g),
                (sympy.expand(g * n - sympy.Rational(g * (g - 1), 2)) + total.subs(n, n - g), True),
            )
        )
        reason = (
            f"{name} reads the first {g} positions, and by lag the positions from {g} on ({lags.reason}): "
            f"step t reads min(t+1, {g}) + #{{lags ≤ t - {g}}} positions"
        )
    growth = lags.growth
    if growth is not None and g:
        growth = growth + constant_growth(g)
    return monotone_law(
        at,
        prefix,
        pattern.in_degrees,
        peak_expr,
        prefix_expr,
        growth,
        status,
        (
            reason,
            "in-degrees never decrease, so the largest below n is that of step n-1"
            + (f" = {peak_expr}" if peak_expr is not None else " (counted exactly)"),
            "a lag l < n occurs at the steps t = l … n-1, that is n - l times; the total is Σ (n - l)"
            + (f" = {prefix_expr}" if prefix_expr is not None else " (summed exactly)"),
        ),
        degree_sequence(pattern, pattern.periodicity),
    )


def _periodic_law(pattern: Pattern, periodicity: Periodicity) -> Law | None:
    sequence = degree_sequence(pattern, periodicity)
    if sequence is None:
        return None
    settled, period = periodicity.settled, periodicity.period
    gains = "0" if not any(sequence.slopes) else f"c_(t mod {sequence.period}) with c = {list(sequence.slopes)[:12]}"
    return linear_law(
        sequence,
        (
            f"{pattern!r} repeats: {periodicity}, composed from its parts",
            f"so in-degrees satisfy d(t+{period}) = d(t) + const for t ≥ {settled}, and the values at "
            f"t < {settled + 2 * period} fix them all: d(t+{sequence.period}) - d(t) = {gains} for t ≥ "
            f"{sequence.threshold}",
        ),
    )


def _tree_law(pattern: Pattern, parts: frozenset[str]) -> Law:
    counts: dict[str, tuple[int, int, int, str]] = {
        "children": (1, 0, 0, "i has one child i - 2^j for each 2^j < lowbit(i): v(i) of them, the exponent of 2 in i"),
        "ancestors": (
            0,
            1,
            -1,
            "removing the lowest bit of i until 0 visits s(i) numbers, the bits of i; s(i) - 1 beyond i",
        ),
        "self": (0, 0, 1, "step t reads itself"),
    }
    chosen = [counts[part] for part in sorted(parts)]
    exponent = sum(entry[0] for entry in chosen)
    ones = sum(entry[1] for entry in chosen)
    constant = sum(entry[2] for entry in chosen)
    reasons = tuple(entry[3] for entry in chosen)
    disjoint = (
        "children lie in (i - lowbit(i), i), ancestors at or below i - lowbit(i): no pair belongs to two of these"
    )
    return bits_law(exponent, ones, constant, (f"{pattern!r}, with i = t + 1: " + "; ".join(reasons), disjoint))


def _strict_law(pattern: Strict) -> Law | None:
    """Lags and globals without the diagonal: one less at every step if lag 0 occurs, else at steps ``t < g``."""
    law, facts = degree_law(pattern.base), pattern.base.lags_and_globals
    if law is None or law.at is None or facts is None:
        return None
    lags, g = facts
    always, at = 0 in lags, law.at

    def lost(length: int) -> int:
        return length if always else min(length, g)

    def degree(t: int) -> int:
        return at(t) - (1 if always or t < g else 0)

    peak_expr = law.peak_expr
    if peak_expr is not None:
        peak_expr = peak_expr - 1 if always else sympy.Piecewise((n - 1, n <= g), (peak_expr, True))
    return replace(
        law,
        listed=pattern.in_degrees,
        at=degree,
        peak=lambda length: degree(length - 1),
        prefix=lambda length: law.prefix(length) - lost(length),
        peak_expr=peak_expr,
        prefix_expr=None if law.prefix_expr is None else law.prefix_expr - (n if always else sympy.Min(n, g)),
        linear=None,
        evidence=(*law.evidence, "without the diagonal: one less at " + ("every step" if always else f"steps t < {g}")),
    )


def _shifted_law(pattern: Shift) -> Law | None:
    law, m = degree_law(pattern.base), pattern.m
    if law is None:
        return None
    return Law(
        listed=pattern.in_degrees,
        peak=lambda length: law.peak(length - m) if length > m else 0,
        prefix=lambda length: law.prefix(length - m) if length > m else 0,
        at=None if law.at is None else lambda t: law.at(t - m) if t >= m else 0,  # type: ignore[misc]
        peak_expr=delayed_expr(law.peak_expr, m),
        prefix_expr=delayed_expr(law.prefix_expr, m),
        growth=law.growth,
        prefix_growth=law.prefix_growth,
        monotone=law.monotone,
        linear=None if law.linear is None else law.linear.delayed(m),
        status=law.status,
        evidence=(*law.evidence, f"shifted: step t reads as many positions as step t - {m} did, none before"),
    )


def _blocked_law(pattern: Blocked) -> Law | None:
    """A step in block ``T`` reads ``b d(T)`` positions, less those of its own block that lie ahead of it."""
    law, b = degree_law(pattern.base), pattern.b
    if law is None or law.at is None:
        return None
    lags = pattern.base.lag_set
    own = lags is not None and 0 in lags  # every block reads itself
    if not (own and law.monotone) and not pattern.base.off_diagonal:
        return None
    inner = law.at
    full, rest = sympy.floor(n / b), sympy.Mod(n, b)
    last = None if not law.monotone or law.peak_expr is None else law.peak_expr.subs(n, full + 1)
    prefix_expr = None
    if law.prefix_expr is not None and last is not None:
        whole = sympy.Piecewise((0, n < b), (law.prefix_expr.subs(n, full), True))
        ahead = full * b * (b - 1) / 2 + rest * (b - 1) - rest * (rest - 1) / 2 if own else 0
        prefix_expr = b * b * whole + b * rest * last - ahead
    peak_expr = None
    if law.peak_expr is not None and not own:
        peak_expr = b * law.peak_expr.subs(n, sympy.ceiling(n / b))

    def ahead_of(t: int) -> int:
        return b - 1 - t % b if own else 0

    def prefix(length: int) -> Value:
        whole, part = divmod(length, b)
        lower, upper = ends(law.prefix(whole)) if whole else (0, 0)
        tail = b * part * inner(whole) if part else 0
        tail -= whole * b * (b - 1) // 2 + part * (b - 1) - part * (part - 1) // 2 if own else 0
        return b * b * lower + tail if lower == upper else Bounds(b * b * lower + tail, b * b * upper + tail)

    def peak(length: int) -> Value:
        if own:  # the last step, or the last step of the block before
            block = (length - 1) // b
            return max(b * inner(block) - ahead_of(length - 1), b * inner(block - 1) if block else 0)
        lower, upper = ends(law.peak(-(-length // b)))
        return b * lower if lower == upper else Bounds(b * lower, b * upper)

    return Law(
        listed=pattern.in_degrees,
        peak=peak,
        prefix=prefix,
        at=lambda t: b * inner(t // b) - ahead_of(t),
        peak_expr=peak_expr,
        prefix_expr=prefix_expr,
        growth=None if law.growth is None else law.growth.stretched(b).times(sympy.Integer(b)),
        prefix_growth=None if law.prefix_growth is None else law.prefix_growth.stretched(b).times(sympy.Integer(b * b)),
        monotone=law.monotone and not own,
        status=law.status,
        evidence=(
            *law.evidence,
            f"lifted to blocks of {b}: a step of block T reads {b} positions for each block T reads"
            + (", less the positions of its own block that lie ahead" if own else ", its own block not among them"),
        ),
    )


def _union_law(pattern: Union) -> Law | None:
    """Bounds from the parts: a union has at least the larger and at most the sum of the in-degrees."""
    band = band_degrees(pattern)
    if band is not None:
        return band
    left, right = (degree_law(part) for part in pattern.parts)
    if left is None or right is None:
        return None
    return bounded_by_parts(pattern.in_degrees, left, right, repr(pattern))


def bounded_by_parts(listed: Callable[[int], np.ndarray], left: Law, right: Law, name: str) -> Law:
    """The law of counts between the larger of two and their sum: exact by listing, else bounds; Θ is proved."""

    def between(values: tuple[Value, Value]) -> Value:
        (low, high), (other_low, other_high) = (ends(value) for value in values)
        lower, upper = max(low, other_low), high + other_high
        return lower if lower == upper else Bounds(lower, upper)

    def peak(length: int) -> Value:
        if length <= LISTED_AT_MOST:
            return int(listed(length).max())
        return between((left.peak(length), right.peak(length)))

    def prefix(length: int) -> Value:
        if length <= LISTED_AT_MOST:
            return int(listed(length).sum())
        return between((left.prefix(length), right.prefix(length)))

    def joined(first: Growth | None, second: Growth | None) -> Growth | None:
        if first is None or second is None:
            return None
        both = first + second
        return both if first.order != second.order or 0 in (first.constant, second.constant) else both.but(None)

    return Law(
        listed=listed,
        peak=peak,
        prefix=prefix,
        growth=joined(left.growth, right.growth),
        prefix_growth=joined(left.prefix_growth, right.prefix_growth),
        status=weakest(left.status, right.status),
        evidence=(
            *left.evidence,
            *right.evidence,
            f"{name}: at least the larger of the two counts and at most their sum, so the Θ class is that of the "
            f"larger; exact by listing every step for n ≤ {LISTED_AT_MOST}, two-sided bounds beyond",
        ),
    )
