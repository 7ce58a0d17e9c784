"""Counts taken from ``sources(t)`` alone, one step at a time: what formulas are held against.

Nothing here uses a closed form, a lag set or the vectorised rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from glmix_theory.complexity import Bounds
from glmix_theory.complexity.quantity import Value
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern


@dataclass(frozen=True)
class Counts:
    """Exact counts at every length ``n = 1 … N``; entry ``n - 1`` belongs to length ``n``."""

    step_cost: list[int]
    total_cost: list[int]
    cache_size: list[Value]
    depth: list[int]


def count(mixer: Mixer, longest: int) -> Counts:
    """Count terms, live rows and dependent outputs of steps ``0 … longest-1``.

    Reads at steps beyond ``longest`` are asked of the pattern (``read_from``); where it does not know its
    future, the cache size is a :class:`~glmix_theory.Bounds`.

    >>> import glmix_theory as glm
    >>> count(glm.Mixer(recurrent=glm.Lags([1])), 4).total_cost
    [1, 3, 5, 7]
    """
    reads = [mixer.sources(t) for t in range(longest)]
    terms = [sum(len(sources) for sources in row.values()) for row in reads]
    level: list[int] = []
    for row in reads:
        level.append(1 + max((level[s] for s in row.get("recurrent", ())), default=0))
    live = [Bounds(0, 0)] * longest
    outputs = [(*row.get("recurrent", ()), *row.get("readout", ())) for row in reads]
    inputs = [row.get("direct", ()) for row in reads]
    for pattern, sources in ((mixer.direct, inputs), (mixer.output_reads, outputs)):
        counted = _live(pattern, sources)
        live = [Bounds(a.lower + b.lower, a.upper + b.upper) for a, b in zip(live, counted)]
    sizes = _running([Bounds(bound.lower * mixer.state, bound.upper * mixer.state) for bound in live])
    return Counts(
        step_cost=_largest_so_far(terms),
        total_cost=[sum(terms[: t + 1]) for t in range(longest)],
        cache_size=[bound.lower if bound.lower == bound.upper else bound for bound in sizes],
        depth=_largest_so_far(level),
    )


def _live(pattern: Pattern, reads: list[tuple[int, ...]]) -> list[Bounds]:
    """Rows live after each step: born, and read at a later one."""
    longest = len(reads)
    certain, possible = pattern.read_from(longest, longest)
    last: dict[int, int] = {}
    for t, sources in enumerate(reads):
        for s in sources:
            last[s] = t
    ends = [
        (longest if certain[s] else last.get(s, -1), longest if possible[s] else last.get(s, -1))
        for s in range(longest)
    ]
    return [
        Bounds(sum(ends[s][0] > t for s in range(t + 1)), sum(ends[s][1] > t for s in range(t + 1)))
        for t in range(longest)
    ]


def _largest_so_far(values: list[int]) -> list[int]:
    return [max(values[: t + 1]) for t in range(len(values))]


def _running(bounds: list[Bounds]) -> list[Bounds]:
    lower, upper = _largest_so_far([b.lower for b in bounds]), _largest_so_far([b.upper for b in bounds])
    return [Bounds(low, high) for low, high in zip(lower, upper)]
