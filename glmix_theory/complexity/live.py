"""How many rows are still needed after each step: the law of one pattern, the future unbounded."""

from __future__ import annotations

import numpy as np
import sympy

from glmix_theory.complexity.bit_counts import bits_law
from glmix_theory.complexity.degree import bounded_by_parts, degree_law
from glmix_theory.complexity.delayed import band_live, delayed_live
from glmix_theory.complexity.laws import LISTED_AT_MOST, LONGEST_TABLE, Law, ends, linear_law, one_step_later
from glmix_theory.complexity.lifetimes import last_reads, live_counts
from glmix_theory.complexity.quantity import Bounds, Value, weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear
from glmix_theory.notation import n
from glmix_theory.patterns import CacheEfficient, Delayed, Offsets, Pattern
from glmix_theory.patterns.algebra import Union
from glmix_theory.patterns.operation import Operation
from glmix_theory.patterns.rounding import ceiling
from glmix_theory.patterns.unary import Blocked, Strict


def live_law(pattern: Pattern) -> Law | None:
    """The law of the rows live after step ``t``, or ``None`` where they must be counted.

    >>> import glmix_theory as glm
    >>> live_law(glm.Window(16) | glm.GlobalTokens(4)).peak_expr
    Min(19, n)
    """
    if pattern.every_row_read_again:
        reason = f"{pattern!r} reads every row at infinitely many steps: after step t all t + 1 rows are live"
        status = "proved" if _increasing(pattern) else "checked"
        known = tuple(_reasons(pattern))
        return linear_law(QuasiLinear((1,), (1,)), (*known, reason), status)
    if isinstance(pattern, CacheEfficient):
        return _cache_efficient_law(pattern)
    if isinstance(pattern, Delayed):
        offsets = degree_law(Offsets(pattern.function))
        return None if offsets is None else delayed_live(pattern, offsets)
    if pattern.lags_and_globals is not None and pattern.lags_and_globals[0].largest is not None:
        lags, g = pattern.lags_and_globals
        largest = max(int(lags.largest), 0)  # type: ignore[arg-type]
        reason = f"the largest lag of {pattern!r} is {largest}: after step t the last {largest} rows are live" + (
            f", and the first {g} for ever" if g else ""
        )
        # rows 0 … g-1 stay, rows from g on live for the largest lag: min(t+1, g) + min(max(t+1-g, 0), largest)
        return linear_law(QuasiLinear(tuple(range(1, g + largest + 1)) or (0,), (0,)), (reason,))
    if pattern.tree_parts is not None:
        return _tree_law(pattern, pattern.tree_parts)
    if pattern.periodicity is not None:
        law = _periodic_law(pattern)
        if law is not None:
            return law
    if isinstance(pattern, Strict):  # a row is live for reads at later steps, none of them on the diagonal
        return live_law(pattern.base)
    if isinstance(pattern, Blocked):
        return _blocked_law(pattern)
    return _union_law(pattern) if isinstance(pattern, Union) else None


def _increasing(pattern: Pattern) -> bool:
    """Whether every index function in the pattern is proved to increase for ever."""
    if pattern.lag_set is not None:
        return pattern.lag_set.proved
    if isinstance(pattern, (CacheEfficient, Delayed)):
        return pattern.function.status == "proved"
    return all(_increasing(part) for part in pattern.parts) if isinstance(pattern, Operation) else True


def _reasons(pattern: Pattern) -> list[str]:
    if pattern.lag_set is not None:
        return [pattern.lag_set.reason]
    return [line for part in pattern.parts for line in _reasons(part)] if isinstance(pattern, Operation) else []


def rows_live(pattern: Pattern, length: int) -> np.ndarray:
    """Rows live after each step ``t < length``, listed; exact where the pattern's future is known."""
    return live_counts(last_reads(pattern, length)[0])


def _periodic_law(pattern: Pattern) -> Law | None:
    periodicity = pattern.periodicity
    assert periodicity is not None
    settled, period, reach = periodicity.settled, periodicity.period, periodicity.reach
    length = settled + 2 * period
    if length + reach + period > LONGEST_TABLE:
        return None
    horizon = length + reach + period
    indptr, sources = pattern.rows(0, horizon)
    last = np.full(horizon, -1, dtype=np.int64)
    last[sources] = np.repeat(np.arange(horizon), np.diff(indptr))
    positions = np.arange(length)
    forever = last[:length] - positions >= reach
    # a row read at lag ≥ R is read again every P steps; others are last read at a lag < R
    counts = live_counts(np.where(forever, length, np.minimum(last[:length], length)))
    sequence = QuasiLinear.of(counts.tolist(), settled, period)
    kept = int(forever[periodicity.start : periodicity.start + period].sum())
    return linear_law(
        sequence,
        (
            f"{pattern!r} repeats: {periodicity}, composed from its parts",
            f"a row read at a lag ≥ {reach} is read again every {period} steps, so it stays live; any other is last "
            f"read at a smaller lag, the same for s and s+{period} (s ≥ {periodicity.start}): live rows satisfy "
            f"L(t+{period}) = L(t) + {kept} for t ≥ {settled}, and the values at t < {length} fix them all",
        ),
    )


def _tree_law(pattern: Pattern, parts: frozenset[str]) -> Law | None:
    if "children" in parts:
        return bits_law(
            0, 1, 0,
            (f"{pattern!r}: row j (1-based) is last read by its parent j + lowbit(j), so after step i the live rows "
             "are the j ≤ i < j + lowbit(j): the prefix path of i, s(i) rows",),
        )  # fmt: skip
    if "ancestors" not in parts:
        return linear_law(QuasiLinear((0,), (0,)), (f"{pattern!r}: no step reads a row of an earlier one",))
    law = bits_law(
        0, 1, -1,
        (f"{pattern!r}: row j (1-based) is last read at step j + lowbit(j) - 1, so after step i the live rows are the "
         "prefix path of i+1 without i+1: s(i+1) - 1 rows",),
    )  # fmt: skip
    listed, at = law.listed, law.at
    assert at is not None
    return Law(
        listed=lambda length: listed(length + 1)[1:],
        peak=lambda length: (length + 2).bit_length() - 2,
        prefix=lambda length: law.prefix(length + 1) - at(0),
        at=lambda t: at(t + 1),
        peak_expr=ceiling(sympy.log(n + 3) / sympy.log(2)) - 2,
        growth=law.growth,
        prefix_growth=law.prefix_growth,
        evidence=law.evidence,
    )


def _blocked_law(pattern: Blocked) -> Law | None:
    """Two-sided bounds: blocks live after block ``T``, and those that block ``T`` itself still reads."""
    live, degree, b = live_law(pattern.base), degree_law(pattern.base), pattern.b
    if live is None or degree is None or live.growth is None or degree.growth is None:
        return None
    if live.growth.order <= (0, 0, 0) or degree.growth.order > live.growth.order:
        return None

    def peak(length: int) -> Value:
        if length <= LISTED_AT_MOST:
            return int(rows_live(pattern, length).max())
        blocks = -(-length // b)
        held, read = ends(live.peak(max(length // b, 1))), ends(degree.peak(blocks))
        return Bounds(b * max(held[0] - 1, 0), b * (ends(live.peak(blocks))[1] + read[1]))

    return Law(
        listed=lambda length: rows_live(pattern, length),
        peak=peak,
        prefix=lambda length: int(rows_live(pattern, length).sum()),
        growth=live.growth.but(None),
        status=weakest(live.status, degree.status),
        evidence=(
            *live.evidence,
            f"lifted to blocks of {b}: after a step of block T the blocks live are those live after T and at most "
            "those T reads, so the Θ class is that of the base; exact by listing, two-sided bounds far out",
        ),
    )


def _union_law(pattern: Union) -> Law | None:
    laws = [live_law(part) for part in pattern.parts]
    left, right = laws
    if left is None or right is None:
        return None
    for part, law in zip(pattern.parts, (left, right)):
        if isinstance(part, Delayed) and (joint := band_live(pattern, law)) is not None:
            return joint
    return bounded_by_parts(lambda length: rows_live(pattern, length), left, right, f"live rows of {pattern!r}")


def _cache_efficient_law(pattern: CacheEfficient) -> Law:
    degree = degree_law(pattern)
    assert degree is not None
    reason = (
        "sources(t) ⊆ sources(t-1) ∪ {t-1} for every t (proposition 7), so what step t+1 does not read is never "
        "read again: the rows live after step t are exactly sources(t+1), and sources(0) is empty"
    )
    return one_step_later(degree, (*degree.evidence, reason))
