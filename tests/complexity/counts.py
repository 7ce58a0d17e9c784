"""Brute-force counts of a pattern's definition: what every quantity is held against."""

from __future__ import annotations

import numpy as np

import glmix_theory as glm
from glmix_theory.complexity import Bounds, Quantity
from glmix_theory.notation import n
from tests.brute_force import Reference


def degrees(references: list[Reference], length: int) -> np.ndarray:
    """Sources read by each step ``t < length``, all references together, each counted by itself."""
    return np.array([sum(len(reference(t)) for reference in references) for t in range(length)], dtype=np.int64)


def live(references: list[Reference], length: int, stop: int) -> np.ndarray:
    """Rows ``s ≤ t`` that some step in ``(t, stop)`` reads by any of the references, for each ``t < length``."""
    last: dict[int, int] = {}
    for t in range(stop):
        for reference in references:
            last.update(dict.fromkeys(reference(t), t))
    change = np.zeros(stop + 1, dtype=np.int64)
    for s, t in last.items():
        if t > s:
            change[s] += 1
            change[t] -= 1
    return np.cumsum(change)[:length]


def horizon(references: list[Reference], length: int) -> np.ndarray:
    """Rows live after each step when only steps below ``length`` read."""
    return live(references, length, length)


def check(quantity: Quantity, truth: dict[int, int], formula_at: set[int]) -> None:
    """Every value equals the truth or bounds it; the closed form equals it at the lengths given."""
    counted = quantity.status == "checked" and quantity.theta is None  # by the same enumeration at every length
    chosen = truth if not counted else {m: truth[m] for m in truth if m in (1, 2, 3, 8, 21)}
    for length, exact in chosen.items():
        value = quantity.at(length)
        if isinstance(value, Bounds):
            assert value.lower <= exact <= value.upper, (quantity.name, length, value, exact)
        else:
            assert value == exact, (quantity.name, length, value, exact)
            assert type(value) is int, (quantity.name, type(value))
        if quantity.expr is not None and length in formula_at:
            assert quantity.expr.subs(n, length) == exact, (quantity.name, length, quantity.expr, exact)


def check_mixer(
    mixer: glm.Mixer,
    direct: list[Reference],
    outputs: list[Reference],
    reads: list[Reference],
    lengths: range,
    stop: int,
    formula_at: set[int],
) -> None:
    """All four quantities of a mixer against counts; ``outputs`` are the terms, ``reads`` the output rows read."""
    longest = lengths[-1]
    terms = degrees([*direct, *outputs], longest)
    largest, total = np.maximum.accumulate(terms).tolist(), np.cumsum(terms).tolist()
    held = (live(direct, longest, stop) + live(reads, longest, stop)) * mixer.state
    cache = np.maximum.accumulate(held).tolist()
    check(glm.complexity.step_cost(mixer), {length: largest[length - 1] for length in lengths}, formula_at)
    check(glm.complexity.total_cost(mixer), {length: total[length - 1] for length in lengths}, formula_at)
    check(glm.complexity.cache_size(mixer), {length: cache[length - 1] for length in lengths}, formula_at)


def check_horizon(mixer: glm.Mixer, direct: list[Reference], reads: list[Reference], lengths: list[int]) -> None:
    """The cache with horizon ``n`` against counts."""
    quantity = glm.complexity.horizon_cache_size(mixer)
    truth = {length: int((horizon(direct, length) + horizon(reads, length)).max()) * mixer.state for length in lengths}
    check(quantity, truth, set(lengths))
