"""Laws of delayed rows: one term a step, as many live rows as the lag, alone and beside a band of lags."""

from __future__ import annotations

import numpy as np
import sympy

from glmix_theory.complexity.laws import LONGEST_TABLE, Law, monotone_law, one_step_later
from glmix_theory.complexity.quantity import weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear
from glmix_theory.notation import n
from glmix_theory.patterns import Pattern
from glmix_theory.patterns.algebra import Union
from glmix_theory.patterns.delayed import Delayed
from glmix_theory.patterns.growth import constant_growth

_LONGEST_NUMBER = 512
"""Bits of a step that a closed form names; beyond, values are exact and no formula is shown."""


def delayed_degrees(pattern: Delayed) -> Law:
    """One position at every step ``t ≥ f(0)``, none before.

    >>> from glmix_theory import k
    >>> delayed_degrees(Delayed(2**k)).peak_expr
    Piecewise((0, n <= 1), (1, True))
    """
    reason = f"{pattern!r} reads the one position t - g(t), g(t) = #{{k : f(k) ≤ t}}, where g(t) ≥ 1: t ≥ f(0)"
    return _band_and_one(pattern, 0, pattern.function(0), pattern.function.status, (pattern.function.evidence, reason))


def band_degrees(union: Union) -> Law | None:
    """Lags ``1 … L`` (or ``0 … L``) and a delayed row: a law where the union is one of those.

    >>> import glmix_theory as glm
    >>> band_degrees(glm.Lags([1, 2]) | glm.Delayed(3**glm.k)).peak_expr
    Piecewise((n - 1, n <= 3), (2, n <= 9), (3, True))
    """
    found = _band(union)
    if found is None:
        return None
    largest, diagonal, delayed = found
    function = delayed.function
    reason = (
        f"{union!r}: a lag g(t) up to {largest} lies in the band, and g(t) > {largest} exactly for "
        f"t ≥ f({largest}): one position more from there on"
    )
    return _band_and_one(union, largest, function(largest), function.status, (function.evidence, reason), diagonal)


def _band_and_one(
    pattern: Pattern, largest: int, first: int, status: str, evidence: tuple[str, ...], itself: bool = False
) -> Law:
    """``min(t, L)`` lags, the diagonal if read, and one position more from step ``first ≥ L`` on."""
    own = int(itself)

    def prefix(length: int) -> int:
        short = min(length, largest + 1)
        return short * (short - 1) // 2 + (length - short) * largest + own * length + max(length - first, 0)

    peak_expr = total = linear = None
    if first.bit_length() <= _LONGEST_NUMBER:
        rise = [(n - 1 + own, n <= largest + 1)] if largest else []
        peak_expr = sympy.Piecewise(*rise, (largest + own, n <= first), (largest + 1 + own, True))
        m = sympy.Min(n, largest + 1)
        total = sympy.expand(m * (m - 1) / 2 + (n - m) * largest + own * n) + sympy.Max(n - first, 0)
    if first <= LONGEST_TABLE:
        linear = QuasiLinear((*(min(t, largest) + own for t in range(first)), largest + 1 + own), (0,))
    return monotone_law(
        lambda t: min(t, largest) + own + int(t >= first),
        prefix,
        pattern.in_degrees,
        peak_expr,
        total,
        constant_growth(largest + 1 + own),
        status,
        evidence,
        linear,
    )


def delayed_live(pattern: Delayed, offsets: Law) -> Law | None:
    """``g(t+1)`` rows after step ``t``, from the law of ``g``, the in-degree of ``Offsets(f)``; or ``None``."""
    if pattern.moving_on is None:
        return None
    reason = (
        f"{pattern!r} reads t - g(t): g rises by 0 or 1 a step ({pattern.function.evidence}), so the position stays or "
        f"moves on by one and skips none, and it moves on for ever ({pattern.moving_on}); so after step t exactly the "
        "rows t+1 - g(t+1) … t are read again (proposition 19): g(t+1) of them, as many as "
        "Offsets(f) has terms at step t + 1"
    )
    return one_step_later(offsets, (*offsets.evidence, reason))


def band_live(union: Union, live: Law) -> Law | None:
    """``max(min(t+1, L), g(t+1))`` rows: both keep the newest ones, so the longer lag decides; or ``None``."""
    found = _band(union)
    if found is None or not live.monotone or live.at is None:
        return None
    (largest, _, delayed), lag = found, live.at
    first = delayed.function(largest) - 1  # g(t+1) > L from here on

    def prefix(length: int) -> int:
        # while g(t+1) ≤ L the band decides; later g(t+1) > L does
        early = min(length, first)
        short = min(early, largest)
        banded = short * (short + 1) // 2 + (early - short) * largest
        return banded + (live.prefix(length) - live.prefix(first) if length > first else 0)

    expr = None if live.peak_expr is None else sympy.Max(sympy.Min(n, largest), live.peak_expr)
    return monotone_law(
        lambda t: max(min(t + 1, largest), lag(t)),
        prefix,
        lambda length: np.maximum(np.minimum(np.arange(1, length + 1), largest), live.listed(length)),
        expr,
        None,
        live.growth,
        weakest("proved", live.status),
        (*live.evidence, f"the band keeps the last {largest} rows, so the longer of the two lags decides"),
    )


def _band(union: Union) -> tuple[int, bool, Delayed] | None:
    """``(L, diagonal read, delayed row)`` for the lags ``1 … L``, with or without 0, and a delayed row."""
    for band, delayed in (union.parts, union.parts[::-1]):
        lags = band.lag_set
        if not isinstance(delayed, Delayed) or lags is None or not isinstance(lags.largest, int) or lags.largest < 0:
            continue
        if lags.count(lags.largest) == lags.largest + (0 in lags) and _reachable(delayed, lags.largest):
            return lags.largest, 0 in lags, delayed
    return None


def _reachable(delayed: Delayed, index: int) -> bool:
    """Whether ``f(index)`` exists and can be written down: inverses of very slow lags grow beyond all memory."""
    f = delayed.function
    if f.length is not None:
        return False  # eventually periodic, with laws of its own
    return index <= 8 or (f.growth is not None and f.growth[0].order >= (0, 1, 0))
