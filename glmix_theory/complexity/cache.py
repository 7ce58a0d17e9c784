"""Cache size: rows a later step still reads."""

from __future__ import annotations

import numpy as np
import sympy

from glmix_theory.complexity.cost import derived, summed
from glmix_theory.complexity.laws import Law, scaled
from glmix_theory.complexity.lifetimes import live_profile
from glmix_theory.complexity.live import live_law
from glmix_theory.complexity.quantity import Bounds, Quantity, Value, counted_range
from glmix_theory.complexity.slots import SlotPlan
from glmix_theory.complexity.symbolic import symbolic_quantity
from glmix_theory.mixers import Mixer

COUNTED_TO = 64
"""Lengths enumerated up front where no law is known: each looks ahead for later reads."""


def cache_size(mixer: Mixer) -> Quantity:
    """Largest number of rows that a later step still reads, after any step ``t < n``; the future is unbounded.

    Claim: with finite lags up to ``L``, ``min(n, L)`` rows; with infinitely many, all ``n``; a
    cache-efficient pattern holds after step ``t`` exactly ``sources(t+1)``. Input rows (for ``A``) and
    output rows (for ``B`` and ``C``) add, each times the state expansion ``r``.

    >>> import glmix_theory as glm
    >>> cache_size(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))).expr
    ceiling(log(n + 1)/log(2))
    """
    if mixer.free_symbols:
        return symbolic_quantity(mixer, "cache_size", cache_size)
    parts = {"inputs": mixer.direct, "outputs": mixer.output_reads}
    laws = {part: live_law(pattern) for part, pattern in parts.items()}
    known = {part: law for part, law in laws.items() if law is not None}
    if len(known) < len(laws):
        return _counted(mixer, [repr(parts[part]) for part, law in laws.items() if law is None])
    notes = tuple(filter(None, {pattern.count_note for pattern in parts.values()}))
    held = {part: law for part, law in known.items() if not _zero(law)}
    total, rule = summed(held)
    state = mixer.state
    expr = None if total.peak_expr is None else sympy.expand(total.peak_expr * state)
    growth = None if total.growth is None else total.growth.times(sympy.Integer(state))
    times = f", times the state expansion r = {state}" if state > 1 else ""
    rule = f"live inputs + live outputs{times}: {rule}"
    return derived("cache_size", lambda n: scaled(total.peak(n), state), expr, growth, known, rule, "rows", notes)


def _zero(law: Law) -> bool:
    return law.linear is not None and not any(law.linear.values) and not any(law.linear.slopes)


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
