"""Cache size: rows a later step still reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from glmix_theory.complexity.asymptotics import theta, theta_evidence
from glmix_theory.complexity.cost import COUNTED_TO
from glmix_theory.complexity.degree import bounded_overlap, degree_law, disjoint_slots
from glmix_theory.complexity.lifetimes import live_profile
from glmix_theory.complexity.quantity import Bounds, Quantity, Value, counted_range, weakest
from glmix_theory.complexity.slots import SlotPlan
from glmix_theory.mixers import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import CacheEfficient, Pattern


@dataclass(frozen=True)
class LiveLaw:
    """Rows of one pattern live after step ``n-1``; ``monotone`` when that never decreases with ``n``."""

    live: Callable[[int], Value]
    monotone: bool
    expr: sympy.Expr | None
    scale: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def cache_size(mixer: Mixer) -> Quantity:
    """Largest number of rows that a later step still reads, after any step ``t < n``; the future is unbounded.

    Claim: with finite lags up to ``L``, ``min(n, L)`` rows; with infinitely many, all ``n``; a
    cache-efficient pattern holds after step ``t`` exactly ``sources(t+1)``. Input rows (for ``A``) and
    output rows (for ``B`` and ``C``) add, each times the state expansion ``r``.

    >>> import glmix_theory as glm
    >>> cache_size(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))).expr
    ceiling(log(n + 1)/log(2))
    """
    parts = {"inputs": mixer.direct, "outputs": mixer.output_reads}
    laws = {part: live_law(pattern) for part, pattern in parts.items()}
    known = {part: law for part, law in laws.items() if law is not None}
    if len(known) < len(laws):
        return _counted(mixer, [repr(parts[part]) for part, law in laws.items() if law is None])
    aligned = all(law.monotone for law in known.values())
    notes = tuple(filter(None, {pattern.count_note for pattern in parts.values()}))

    def evaluate(length: int) -> Value:
        values = [law.live(length) for law in known.values()]
        if aligned:
            return sum(values) * mixer.state
        if any(isinstance(value, Bounds) for value in values):
            pairs = [value if isinstance(value, Bounds) else Bounds(value, value) for value in values]
            return Bounds(*(sum(side) * mixer.state for side in zip(*pairs)))
        return _count(mixer, length)

    exprs = [law.expr for law in known.values()]
    scales = [law.scale for law in known.values()]
    expr = None if not aligned or None in exprs else sympy.expand(sympy.Add(*exprs) * mixer.state)
    scale = None if None in scales else theta(sympy.Add(*scales))
    if expr == 0:
        scale = sympy.Integer(0)
    evidence = [f"{part}: {step}" for part, law in known.items() for step in law.evidence]
    times = f", times the state expansion r = {mixer.state}" if mixer.state > 1 else ""
    evidence.append(f"cache size = live inputs + live outputs{times}" + (f" = {expr}" if expr is not None else ""))
    if scale not in (None, 0):
        evidence.append(theta_evidence(scale))
    closed = expr is not None or scale is not None
    status = weakest("proved" if closed else "checked", *(law.status for law in known.values()))
    status = weakest(status, "cited") if notes else status
    return Quantity("cache_size", evaluate, expr, scale, status, (*evidence, *notes), "rows")


def horizon_cache_size(mixer: Mixer) -> Quantity:
    """Largest number of live rows when only the ``n`` steps of the sequence itself may read.

    >>> import glmix_theory as glm
    >>> horizon_cache_size(glm.Mixer(direct=glm.Dense())).at(8)
    7
    """

    def evaluate(length: int) -> int:
        return int(live_profile(mixer, length, horizon=length)[0].max())

    values = [evaluate(length) for length in range(1, 65)]
    return Quantity(
        "horizon_cache_size",
        evaluate,
        status="checked",
        evidence=("rows live after each step, reads at steps below n only", counted_range(values)),
        unit="rows",
    )


def live_law(pattern: Pattern) -> LiveLaw | None:
    """How many rows of a pattern are live after step ``n-1``, or ``None`` where it must be counted."""
    if isinstance(pattern, CacheEfficient):
        return _cache_efficient_law(pattern)
    lags = pattern.lag_set
    if lags is None or lags.largest is None:
        return None
    status = "proved" if lags.proved else "checked"
    if lags.largest == math.inf:
        reason = f"{pattern!r} has infinitely many lags, so every row is read again: n rows are live"
        return LiveLaw(lambda length: length, True, n, n, status, (reason,))
    largest = max(int(lags.largest), 0)
    reason = f"the largest lag of {pattern!r} is {largest}: after step t the last {largest} rows are live"
    expr = sympy.Min(n, largest) if largest > 1 else sympy.Integer(largest)
    return LiveLaw(lambda length: min(length, largest), True, expr, expr, "proved", (reason,))


def _cache_efficient_law(pattern: CacheEfficient) -> LiveLaw:
    degree = degree_law(pattern)
    assert degree is not None
    f = pattern.function
    reason = (
        "sources(t) ⊆ sources(t-1) ∪ {t-1} for every t (proposition 7), so what step t+1 does not read is never "
        "read again: the rows live after step t are exactly sources(t+1)"
    )
    monotone = disjoint_slots(pattern) is not None
    following = None if f.count_expr is None else f.count_expr.subs(n, n + 1)
    overlap = None if monotone else bounded_overlap(pattern)[0]

    def live(length: int) -> Value:
        if monotone:
            return f.count(length)
        largest = degree.largest(length + 1)
        return largest if isinstance(largest, Bounds) else len(pattern.sources(length))

    return LiveLaw(
        live,
        monotone,
        following if monotone else None,
        following if monotone or overlap else None,
        degree.status,
        (*degree.evidence, reason),
    )


def _count(mixer: Mixer, length: int) -> Value:
    lower, upper = live_profile(mixer, length)
    if np.array_equal(lower, upper):
        return int(lower.max())
    # Where the future is not known, the slots that a layer would really keep are the upper bound.
    return Bounds(int(lower.max()), SlotPlan(mixer).peak(length) * mixer.state)


def _counted(mixer: Mixer, unknown: list[str]) -> Quantity:
    lower, upper = live_profile(mixer, COUNTED_TO)
    values = np.maximum.accumulate(lower).tolist()
    exact = np.array_equal(lower, upper)
    note = (
        counted_range(values)
        if exact
        else f"later reads are not derivable: lower bounds {counted_range(values)}; rows that may be read are kept"
    )
    notes = tuple(filter(None, {mixer.direct.count_note, mixer.output_reads.count_note}))
    return Quantity(
        "cache_size",
        lambda length: _count(mixer, length),
        status="checked",
        evidence=(
            f"no law is known for {', '.join(unknown)}: live rows are counted after every step",
            note,
            *notes,
        ),
        unit="rows",
    )
