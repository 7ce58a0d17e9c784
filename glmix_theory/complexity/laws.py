"""Laws: what is known of a count per step, and the one rule that adds them up.

A law describes a sequence ``d(0), d(1), …`` (in-degrees, live rows) by exact values, running maxima and
sums, with closed forms and growth where they are proved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Bounds, Value, weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear
from glmix_theory.notation import n
from glmix_theory.patterns import Pattern
from glmix_theory.patterns.growth import ZERO, Growth, constant_growth
from glmix_theory.patterns.periodicity import Periodicity

LISTED_AT_MOST = 1 << 14
"""Steps listed one by one at most before bounds take the place of an exact value."""


LONGEST_TABLE = 6144
"""Rows enumerated at most to fix a quasi-linear count."""


@dataclass(frozen=True)
class Law:
    """A sequence of counts, one per step ``t``.

    Attributes
    ----------
    listed : callable
        ``listed(n)`` is ``d(0) … d(n-1)``, an int64 array.
    at : callable or None
        ``d(t)`` alone, exact, without listing the steps before.
    peak, prefix : callable
        ``max_{t<n} d(t)`` and ``Σ_{t<n} d(t)``: exact, or :class:`Bounds`.
    peak_expr, prefix_expr : sympy expression or None
        The same in closed form, for every ``n ≥ 1``.
    growth, prefix_growth : Growth or None
        Growth of the running maximum and of the sum.
    monotone : bool
        Whether ``d`` never decreases; then running maxima of several laws add.
    linear : QuasiLinear or None
        The sequence itself, where it is eventually quasi-linear.
    bits : tuple or None
        ``(a, b, c)`` where ``d(t) = a v(t+1) + b s(t+1) + c``, with ``v`` the exponent of 2 and ``s`` the bit sum.
    status, evidence
        As in :class:`~glmix_theory.Quantity`.
    """

    listed: Callable[[int], np.ndarray] = field(repr=False)
    peak: Callable[[int], Value] = field(repr=False)
    prefix: Callable[[int], Value] = field(repr=False)
    at: Callable[[int], int] | None = field(default=None, repr=False)
    peak_expr: sympy.Expr | None = None
    prefix_expr: sympy.Expr | None = None
    growth: Growth | None = None
    prefix_growth: Growth | None = None
    monotone: bool = False
    linear: QuasiLinear | None = None
    bits: tuple[int, int, int] | None = None
    status: str = "proved"
    evidence: tuple[str, ...] = ()

    @property
    def rise(self) -> tuple[int, int] | None:
        """``(T, P)`` with ``d(t+P) ≥ d(t)`` for every ``t ≥ T``, where known."""
        if self.monotone:
            return 0, 1
        return None if self.linear is None else (self.linear.threshold, self.linear.period)

    @property
    def level(self) -> tuple[int, int] | None:
        """``(T, c)`` with ``d(t) = c`` for every ``t ≥ T``, where known."""
        if self.linear is None or self.linear.slopes != (0,):
            return None
        return self.linear.threshold, self.linear.values[-1]


def linear_law(sequence: QuasiLinear, evidence: tuple[str, ...], status: str = "proved") -> Law | None:
    """The law of a quasi-linear sequence; ``None`` where its running maximum settles too late."""
    try:
        peak = sequence.peak
    except OverflowError:
        return None
    return Law(
        listed=sequence.listed,
        peak=lambda length: peak.at(length - 1),
        prefix=sequence.prefix,
        at=sequence.at,
        peak_expr=peak.expr(1),
        prefix_expr=sequence.prefix_expr,
        growth=sequence.growth,
        prefix_growth=sequence.prefix_growth,
        monotone=sequence.monotone,
        linear=sequence,
        status=status,
        evidence=evidence,
    )


def monotone_law(
    at: Callable[[int], int],
    prefix: Callable[[int], int],
    listed: Callable[[int], np.ndarray],
    peak_expr: sympy.Expr | None,
    prefix_expr: sympy.Expr | None,
    growth: Growth | None,
    status: str,
    evidence: tuple[str, ...],
    linear: QuasiLinear | None = None,
) -> Law:
    """The law of counts that never decrease: the running maximum is the last value."""
    return Law(
        listed=listed,
        peak=lambda length: at(length - 1),
        prefix=prefix,
        at=at,
        peak_expr=peak_expr,
        prefix_expr=prefix_expr,
        growth=growth,
        prefix_growth=None if growth is None else growth.summed(),
        monotone=True,
        linear=linear,
        status=status,
        evidence=evidence,
    )


def sum_of_laws(laws: Sequence[Law]) -> tuple[Law, str]:
    """The law of the sum of several sequences, and the rule that was used.

    >>> steps = QuasiLinear.of([1, 2, 1, 2], 0, 2)
    >>> law = linear_law(steps, ())
    >>> total, rule = sum_of_laws([law, law])
    >>> total.peak_expr, rule
    (Piecewise((2, n <= 1), (4, True)), 'eventually quasi-linear counts add step by step')
    """
    if len(laws) == 1:
        return laws[0], "a single count"
    common = Law(
        listed=lambda length: reduce(add, [law.listed(length) for law in laws]),
        peak=_bounded_peak(laws),
        prefix=lambda length: add_values([law.prefix(length) for law in laws]),
        at=_at_sum(laws),
        prefix_expr=_added_expr([law.prefix_expr for law in laws]),
        growth=_peak_growth([law.growth for law in laws]),
        prefix_growth=_added([law.prefix_growth for law in laws]),
        status=weakest("proved", *(law.status for law in laws)),
    )
    sequences = [law.linear for law in laws if law.linear is not None]
    all_linear = len(sequences) == len(laws)
    if all(law.monotone for law in laws):
        law = replace(
            common,
            peak=lambda length: add_values([law.peak(length) for law in laws]),
            peak_expr=_added_expr([law.peak_expr for law in laws]),
            growth=_added([law.growth for law in laws]),
            monotone=True,
            linear=reduce(add, sequences) if all_linear else None,
        )
        return law, "counts that never decrease peak together, so their maxima add"
    if all_linear:
        merged = linear_law(reduce(add, sequences), (), common.status)
        if merged is not None:
            return merged, "eventually quasi-linear counts add step by step"
    bits = [part for law in laws if (part := _bits(law)) is not None]
    if len(bits) == len(laws):
        from glmix_theory.complexity.bit_counts import bits_law  # it builds on this module

        exponent, ones, constant = (sum(part[axis] for part in bits) for axis in range(3))
        return bits_law(exponent, ones, constant, ()), "counts along Fenwick trees add step by step"
    irregular = [law for law in laws if law.level is None]
    levels = [law.level for law in laws if law.level is not None]
    if len(irregular) == 1 and levels:
        return _lifted(irregular[0], levels, laws, common)
    return _rising(laws, common) or (
        common,
        "the largest sum lies between the largest part and the sum of the largest parts",
    )


def _rising(laws: Sequence[Law], common: Law) -> tuple[Law, str] | None:
    """Counts that do not fall over a period from some step on: the last period holds the maximum."""
    rises = [law.rise for law in laws if law.rise is not None]
    at = common.at
    if len(rises) < len(laws) or at is None:
        return None
    start, period = max(first for first, _ in rises), math.lcm(*(length for _, length in rises))
    if start + period > LISTED_AT_MOST:
        return None
    step = at

    def peak(length: int) -> int:
        early = min(start, length)
        return max(step(t) for t in (*range(early), *range(max(length - period, early), length)))

    rule = f"d(t+{period}) ≥ d(t) for t ≥ {start}: the first {start} and the last {period} steps hold the maximum"
    return replace(common, peak=peak), rule


def _bits(law: Law) -> tuple[int, int, int] | None:
    if law.bits is not None:
        return law.bits
    return (0, 0, law.level[1]) if law.level is not None and law.level[0] == 0 else None


def add_values(values: Sequence[Value]) -> Value:
    """Sum of exact values and bounds."""
    if any(isinstance(value, Bounds) for value in values):
        pairs = [value if isinstance(value, Bounds) else Bounds(value, value) for value in values]
        return Bounds(sum(pair.lower for pair in pairs), sum(pair.upper for pair in pairs))
    return sum(values)


def scaled(value: Value, factor: int) -> Value:
    """A value, exact or bounded, times a factor."""
    return Bounds(value.lower * factor, value.upper * factor) if isinstance(value, Bounds) else value * factor


def ends(value: Value) -> tuple[int, int]:
    """Lower and upper end of a value."""
    return (value.lower, value.upper) if isinstance(value, Bounds) else (value, value)


def _lifted(law: Law, levels: Sequence[tuple[int, int]], laws: Sequence[Law], common: Law) -> tuple[Law, str]:
    """One irregular count and others that are constant from a step on."""
    start, level = max(first for first, _ in levels), sum(value for _, value in levels)

    def peak(length: int) -> Value:
        largest = law.peak(length)
        if start == 0:
            return add_values([largest, level])
        early = common.listed(min(start, length))
        if length <= start:
            return int(early.max())
        if not isinstance(largest, Bounds) and largest > law.peak(start):
            return max(largest + level, int(early.max()))
        return common.peak(length)

    lifted = replace(
        common,
        peak=peak,
        peak_expr=None if law.peak_expr is None or start else law.peak_expr + level,
        growth=None if law.growth is None else law.growth + constant_growth(level),
    )
    return lifted, f"the other counts are constant from t = {start} on and lift the maximum by {level}"


def _bounded_peak(laws: Sequence[Law]) -> Callable[[int], Value]:
    at = _at_sum(laws)

    def peak(length: int) -> Value:
        if length <= LISTED_AT_MOST:
            return int(reduce(add, [law.listed(length) for law in laws]).max())
        pairs = [ends(law.peak(length)) for law in laws]
        lower = max([pair[0] for pair in pairs] + ([at(length - 1)] if at is not None else []))
        upper = sum(pair[1] for pair in pairs)
        return lower if lower == upper else Bounds(lower, upper)

    return peak


def _at_sum(laws: Sequence[Law]) -> Callable[[int], int] | None:
    if any(law.at is None for law in laws):
        return None
    return lambda t: sum(law.at(t) for law in laws if law.at is not None)


def _added(parts: Sequence[Growth | None]) -> Growth | None:
    known = [part for part in parts if part is not None]
    return reduce(add, known, ZERO) if len(known) == len(parts) else None


def _peak_growth(parts: Sequence[Growth | None]) -> Growth | None:
    """Growth of the maximum of a sum: the fastest part alone, or a class without constant where several tie."""
    total = _added(parts)
    if total is None or total.constant == 0:
        return total
    fastest = [part for part in parts if part is not None and part.constant != 0 and part.order == total.order]
    return total if len(fastest) == 1 else total.but(None)


def _added_expr(parts: Sequence[sympy.Expr | None]) -> sympy.Expr | None:
    known = [part for part in parts if part is not None]
    return sympy.expand(sympy.Add(*known)) if len(known) == len(parts) else None


def one_step_later(law: Law, evidence: tuple[str, ...]) -> Law:
    """The law of ``d(t+1)``, for a ``d`` with ``d(0) = 0``."""
    at, linear = law.at, law.linear
    if linear is not None:
        values = linear.listed(linear.threshold + 2 * linear.period + 1)[1:].tolist()
        linear = QuasiLinear.of(values, linear.threshold, linear.period)
    return Law(
        listed=lambda length: law.listed(length + 1)[1:],
        peak=lambda length: law.peak(length + 1),
        prefix=lambda length: law.prefix(length + 1),
        at=None if at is None else lambda t: at(t + 1),
        peak_expr=None if law.peak_expr is None else law.peak_expr.subs(n, n + 1),
        growth=law.growth,
        prefix_growth=law.prefix_growth,
        monotone=law.monotone,
        linear=linear,
        status=law.status,
        evidence=evidence,
    )


def delayed_expr(
    expression: sympy.Expr | None, steps: sympy.Expr | int, before: sympy.Expr | int = 0
) -> sympy.Expr | None:
    """``expression`` at ``n - steps``, and ``before`` while ``n ≤ steps``."""
    if expression is None or steps == 0:
        return expression
    return sympy.Piecewise((sympy.sympify(before), n <= steps), (expression.subs(n, n - steps), True))


def degree_sequence(pattern: Pattern, periodicity: Periodicity | None) -> QuasiLinear | None:
    """In-degrees of an eventually periodic pattern; ``None`` where it is not, or the table would be too long."""
    if periodicity is None:
        return None
    length = periodicity.settled + 2 * periodicity.period
    if length > LONGEST_TABLE:
        return None
    return QuasiLinear.of(pattern.in_degrees(length).tolist(), periodicity.settled, periodicity.period)
