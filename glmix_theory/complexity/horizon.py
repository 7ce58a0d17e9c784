"""Cache size when only the ``n`` steps of the sequence itself may read."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add

import numpy as np
import sympy

from glmix_theory.complexity.degree import degree_law
from glmix_theory.complexity.laws import scaled
from glmix_theory.complexity.lifetimes import live_profile
from glmix_theory.complexity.live import live_law
from glmix_theory.complexity.quantity import Quantity, Value, counted_range, weakest
from glmix_theory.complexity.quasi_linear import QuasiLinear, largest_of
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Empty, Pattern
from glmix_theory.patterns.growth import LINEAR, Growth
from glmix_theory.patterns.lag_operations import LagUnion
from glmix_theory.patterns.lag_sets import IndexLags, LagSet
from glmix_theory.patterns.monotone import exponential_polynomial
from glmix_theory.patterns.periodicity import Periodicity
from glmix_theory.patterns.symbols import refuse

_LARGEST_TABLE = 1 << 25
_COUNTED_TO = 64


def horizon_cache_size(mixer: Mixer) -> Quantity:
    """Largest number of live rows when only the ``n`` steps of the sequence itself may read.

    Claim: eventually periodic patterns have a quasi-linear horizon cache; a cache-efficient one holds
    ``sources(t+1)`` while ``t + 1 < n``.

    >>> import glmix_theory as glm
    >>> horizon_cache_size(glm.Mixer(direct=glm.Window(16))).expr
    Min(15, n - 1)
    """
    if mixer.free_symbols:
        refuse(mixer)
    parts = [part for part in (mixer.direct, mixer.output_reads) if _ever_live(part)]
    state = sympy.Integer(mixer.state)
    if not parts:
        parts = [Empty()]
    if len(parts) == 1 and parts[0].cache_efficient:
        law = degree_law(parts[0])
        if law is not None:
            reason = (
                "sources(t) ⊆ sources(t-1) ∪ {t-1}: after step t < n-1 exactly the rows sources(t+1) are read again, "
                "after step n-1 none: the horizon cache at n is the largest in-degree of steps t < n"
            )
            expr = None if law.peak_expr is None else sympy.expand(law.peak_expr * state)
            growth = None if law.growth is None else law.growth.times(state)
            return _quantity(mixer, expr, growth, law.status, (*law.evidence, reason), law.peak)
    periods = [part.periodicity for part in parts]
    if None not in periods:
        shared = reduce(Periodicity.combined, [period for period in periods if period is not None])
        sequence = _sequence(parts, shared)
        reason = (
            f"all parts repeat: {shared}. With more than {shared.reach + shared.period} steps to come the live rows "
            "are those of the unbounded future; with j steps to come their number is quasi-linear in t for each j; the "
            "horizon cache is the largest of these finitely many sequences"
        )
        if sequence is not None:
            closed = sequence.expr(1)
            growth = sequence.growth.times(state)
            values = sequence
            expr = None if closed is None else sympy.expand(closed * state)
            return _quantity(mixer, expr, growth, "proved", (reason,), lambda length: values.at(length - 1))
        rates = [law.growth for part in parts if (law := live_law(part)) is not None]
        if len(parts) == 1 and len(rates) == 1 and rates[0] is not None:
            return _quantity(
                mixer, None, rates[0].times(state), "proved", (reason, "so it grows as the cache size does")
            )
    if any(_reaches_back(part.lag_set) for part in parts):
        reason = (
            "f(k+1)/f(k) is bounded by some C, so among lags up to n/2 the largest is at least n/(2C), and with n/2 "
            "steps to come every row nearer than that is read again: at least n/(2C) rows are live, at most n"
        )
        return _quantity(mixer, None, LINEAR.but(None), "proved", (reason,))
    values_counted = [_count(mixer, length) for length in range(1, _COUNTED_TO + 1)]
    counted = counted_range(values_counted)
    return _quantity(mixer, None, None, "checked", ("rows live after each step, reads at steps below n only", counted))


def _quantity(
    mixer: Mixer,
    expr: sympy.Expr | None,
    growth: Growth | None,
    status: str,
    evidence: tuple[str, ...],
    per_row: Callable[[int], Value] | None = None,
) -> Quantity:
    def evaluate(length: int) -> Value:
        return _count(mixer, length) if per_row is None else scaled(per_row(length), mixer.state)

    scale = None if growth is None else growth.scale
    constant = None if growth is None or scale == 0 else growth.constant
    notes = tuple(filter(None, {mixer.direct.count_note, mixer.output_reads.count_note}))
    closed = expr is not None or scale is not None
    return Quantity(
        "horizon_cache_size", evaluate, expr, scale, status if closed else weakest(status, "checked"),
        (*evidence, *notes), "rows", constant,
    )  # fmt: skip


def _count(mixer: Mixer, length: int) -> int:
    return int(live_profile(mixer, length, horizon=length)[0].max())


def _ever_live(pattern: Pattern) -> bool:
    lags = pattern.lag_set
    return lags is None or lags.largest is None or lags.largest > 0


def _reaches_back(lags: LagSet | None) -> bool:
    """Whether the lags are known to grow by a bounded factor for ever; more lags keep more rows."""
    if lags is None or not lags.proved:
        return False
    if isinstance(lags, LagUnion):
        return _reaches_back(lags.left) or _reaches_back(lags.right)
    f = lags.function.expr if isinstance(lags, IndexLags) else None
    if f is not None and exponential_polynomial(f) is not None:
        return True
    return lags.growth is not None and lags.growth.power > 0


def _sequence(parts: list[Pattern], shared: Periodicity) -> QuasiLinear | None:
    """Horizon cache at ``n = m + 1`` as a quasi-linear sequence in ``m``; ``None`` where the table is too large."""
    settled, period = shared.settled, shared.period
    ahead = shared.reach + period
    length = settled + 2 * period
    rows = length + ahead
    if length * ahead * rows > _LARGEST_TABLE:
        return None
    laws = [live_law(part) for part in parts]
    lives = [law.linear for law in laws if law is not None and law.linear is not None]
    if len(lives) < len(parts):
        return None
    counts = np.zeros((ahead, length), dtype=np.int64)
    for part in parts:
        dense = part.to_dense(rows)
        for t in range(length):
            read = np.logical_or.accumulate(dense[t + 1 : t + ahead, : t + 1], axis=0)
            counts[1:, t] += read.sum(axis=1)
    near = [QuasiLinear.of(counts[j].tolist(), settled, period).delayed(j) for j in range(ahead)]
    try:
        far = reduce(add, lives).peak.delayed(ahead)
    except OverflowError:
        return None
    return largest_of([*near, far])
