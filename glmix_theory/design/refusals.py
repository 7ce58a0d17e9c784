"""Why targets cannot be met: each refusal is an inequality that every mixer obeys, with its proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy

from glmix_theory.design.targets import Target
from glmix_theory.expressivity import distance_lower_bound
from glmix_theory.notation import n
from glmix_theory.patterns.growth import LINEAR, Growth
from glmix_theory.rendering import formula_text

_ZERO, _ONE = sympy.Integer(0), sympy.Integer(1)


@dataclass(frozen=True)
class Theorem:
    """An inequality between quantities that holds for every mixer, with the conditions it states.

    >>> print(STEP_AND_CACHE)
    cache ≥ (step cost - 2)/2 (proposition 18, every row a step reads, itself apart, is live)
    """

    title: str
    statement: str
    proof: str

    def __str__(self) -> str:
        return f"{self.statement} ({self.title})"


STEP_AND_CACHE = Theorem(
    "proposition 18, every row a step reads, itself apart, is live",
    "cache ≥ (step cost - 2)/2",
    "the inputs s < t that step t reads through A are live after step t - 1, and so are the outputs s < t it reads "
    "through B or C; with I inputs and O outputs live, step t has at most I + 1 direct, O recurrent and O + 1 readout "
    "terms, so step cost ≤ I + 2O + 2 ≤ 2 cache + 2. Without a readout it is I + 1 + O: cache ≥ step cost - 1. A state "
    "expansion r multiplies the cache alone",
)
CAUSALITY_COST = Theorem(
    "causality",
    "step cost ≤ 3n - 1",
    "step t < n has at most t + 1 direct, t recurrent and t + 1 readout terms, one for each earlier position and "
    "itself: 3t + 2 ≤ 3n - 1, and 2n - 1 without a readout",
)
CAUSALITY_CACHE = Theorem(
    "causality",
    "cache ≤ 2rn",
    "after step t < n at most t + 1 ≤ n inputs and n outputs exist, each r rows",
)
CONGESTION_AND_CACHE = Theorem(
    "proposition 6",
    "congestion × cache ≥ n",
    "the rows live after step n - 1 separate the tokens before from those after: each of the n copying paths passes "
    "one of them, and none carries more than the congestion",
)
DEGREE = Theorem(
    "proposition 4, degree bound",
    "n - 1 ≤ m + m² + … + m^distance with m = min(step cost, cache)",
    "a step reads at most m other tokens: one term each, and each a live row; so m + … + m^h tokens lie within h hops, "
    "and all n - 1 before the last one must lie within the distance",
)
RANK_AND_CACHE = Theorem(
    "proposition 9, rank chain",
    "state rank ≤ cache",
    "rank M[c:, :c] is at most the number of vertex-disjoint paths across the cut, and each passes a row live there",
)
RANK_AND_LENGTH = Theorem(
    "definition of the state rank",
    "state rank ≤ n - 1",
    "the block M[c:, :c] has c < n columns, one per input before the cut",
)
ONE_HOP = Theorem(
    "definition of the distance", "distance ≥ 1 for n ≥ 2", "two different tokens are at least a hop apart"
)
ONE_PATH = Theorem("definition of the congestion", "congestion ≥ 1", "a path counts at its own endpoints")
ONE_TERM = Theorem("a mixer that reads nothing is 0", "step cost ≥ 1 at some n", "a step without terms outputs 0")
THEOREMS = (
    STEP_AND_CACHE,
    CAUSALITY_COST,
    CAUSALITY_CACHE,
    CONGESTION_AND_CACHE,
    DEGREE,
    RANK_AND_CACHE,
    RANK_AND_LENGTH,
    ONE_HOP,
    ONE_PATH,
    ONE_TERM,
)
"""Every theorem a refusal may name."""


@dataclass(frozen=True)
class Refusal:
    """Targets that contradict a theorem, and what to ask for instead.

    ``nearest`` holds, per way out, what it keeps and the targets to ask for instead.
    """

    theorem: Theorem
    conflict: str
    nearest: tuple[tuple[str, dict[str, Target]], ...] = ()


def refusals(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    """The theorems that a set of targets contradicts; none means only that none of these forbids it.

    >>> from glmix_theory.design.targets import Target
    >>> asked = {"step_cost": Target.read("step_cost", "sqrt(n)"), "cache": Target.read("cache", "log(n)")}
    >>> [refusal.conflict for refusal in refusals(asked)]
    ['a step cost Θ(√n) needs a cache Ω(√n), and cache Θ(log(n)) is asked']
    """
    yield from _least_values(targets)
    yield from _causality(targets)
    yield from _step_and_cache(targets)
    yield from _congestion_and_cache(targets)
    yield from _degree(targets)
    yield from _rank(targets)


def _least_values(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    for name, theorem in (("step_cost", ONE_TERM), ("distance", ONE_HOP), ("congestion", ONE_PATH)):
        target = targets.get(name)
        if target is None or target.limit is None or target.limit >= 1 or (name == "distance" and target.at == 1):
            continue
        yield Refusal(
            theorem, f"{target} is asked", ((f"the least {name.replace('_', ' ')}", {name: replace(target, limit=1)}),)
        )


def _causality(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    for name, theorem in (("step_cost", CAUSALITY_COST), ("cache", CAUSALITY_CACHE)):
        target = targets.get(name)
        if target is not None and target.order > (1, 0, 0):
            rest = _others(targets, name)
            yield Refusal(
                theorem,
                f"{target} grows faster than n",
                (("the largest there is", {**rest, name: Target(name, LINEAR)}),),
            )


def _step_and_cache(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    step, cache = targets.get("step_cost"), targets.get("cache")
    if step is None or cache is None or step.growth is None or cache.at is not None or cache.order >= step.order:
        return
    rest = _others(targets, "step_cost", "cache")
    shown = formula_text(step.growth.scale)
    kept = {"step_cost": step, "cache": replace(step, quantity="cache"), **rest}
    lower = {"step_cost": replace(cache, quantity="step_cost"), "cache": cache, **rest}
    yield Refusal(
        STEP_AND_CACHE,
        f"a step cost Θ({shown}) needs a cache Ω({shown}), and {cache} is asked",
        ((f"keep the step cost, cache Θ({shown})", kept), (f"keep the {cache}, lower the step cost", lower)),
    )


def _congestion_and_cache(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    congestion, cache = targets.get("congestion"), targets.get("cache")
    if congestion is None or cache is None:
        return
    rest = _others(targets, "congestion", "cache")
    if congestion.at is not None and cache.at == congestion.at:
        assert congestion.limit is not None
        assert cache.limit is not None
        product, length = congestion.limit * cache.limit, congestion.at
        if product < length:
            paths, rows = -(-length // cache.limit), -(-length // congestion.limit)
            more, larger = replace(congestion, limit=paths), replace(cache, limit=rows)
            yield Refusal(
                CONGESTION_AND_CACHE,
                f"congestion {congestion.limit} × cache {cache.limit} = {product} < {length}",
                (
                    (f"keep the cache, congestion ≥ {paths}", {**rest, "cache": cache, "congestion": more}),
                    (f"keep the congestion, cache ≥ {rows}", {**rest, "cache": larger, "congestion": congestion}),
                ),
            )
        return
    if congestion.at is not None or cache.at is not None:
        return
    total = tuple(a + b for a, b in zip(congestion.order, cache.order))
    if total >= (1, 0, 0):
        return
    for_cache, for_congestion = _over(cache), _over(congestion)
    yield Refusal(
        CONGESTION_AND_CACHE,
        f"{congestion} and {cache} have a product below n",
        (
            (
                f"keep the cache, congestion Θ({formula_text(for_cache)})",
                {**rest, "cache": cache, "congestion": Target.read("congestion", for_cache)},
            ),
            (
                f"keep the congestion, cache Θ({formula_text(for_congestion)})",
                {**_others(rest, "step_cost"), "congestion": congestion, "cache": Target.read("cache", for_congestion)},
            ),
        ),
    )


def _degree(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    distance = targets.get("distance")
    readers = [targets[name] for name in ("step_cost", "cache") if name in targets]
    if distance is None or not readers:
        return
    if distance.at is not None:
        most = [t.limit for t in readers if t.limit is not None and t.at in (None, distance.at)]
        least = distance_lower_bound(min(most), distance.at) if most else 0
        if distance.limit is not None and distance.limit < least:
            yield Refusal(
                DEGREE,
                f"with at most {min(most)} reads a step the distance at n = {distance.at} is at least {least}, and "
                f"{distance.limit} is asked",
                (
                    (
                        f"distance {least} or more",
                        {**_others(targets, "distance"), "distance": replace(distance, limit=least)},
                    ),
                ),
            )
        return
    everywhere = [t for t in readers if t.at is None]
    reader = min(everywhere, key=lambda t: (t.order, t.limit or 0), default=None)
    if reader is None:
        return
    bound, text = _least_distance(reader)
    if bound.order > distance.order:
        rest = _others(targets, "distance")
        wanted = "log(n)" if bound.order <= (0, 1, 0) else "n"
        yield Refusal(
            DEGREE,
            f"{reader} forces a distance {text}, and {distance} is asked",
            ((f"keep the others, distance Θ({wanted})", {**rest, "distance": Target.read("distance", wanted)}),),
        )
    elif distance.limit is not None and reader.order[0] > 0 and distance.limit * reader.order[0] < 1:
        least = int(sympy.ceiling(1 / reader.order[0]))
        yield Refusal(
            DEGREE,
            f"{reader} reaches O(n^({distance.limit * reader.order[0]})) tokens in {distance.limit} hops, fewer than n "
            "for large n",
            (
                (
                    f"distance {least} or more",
                    {**_others(targets, "distance"), "distance": replace(distance, limit=least)},
                ),
            ),
        )


def _least_distance(reader: Target) -> tuple[Growth, str]:
    """A class that is below ``log n / log m`` or equal to it, with the bound in words."""
    power, logs, loglogs = reader.order
    if power > 0:
        return Growth(_ONE), "Ω(1)"
    if logs > 0:
        return Growth(_ONE, _ZERO, _ONE, -_ONE), "Ω(log(n)/log(log(n)))"
    if loglogs > 0:
        # log n / log log log n is above every class below log n that can be asked for
        return Growth(_ONE, _ZERO, _ONE, -sympy.Rational(1, 10**9)), "Ω(log(n)/log(log(log(n))))"
    if reader.limit == 1:
        return Growth(_ONE, _ONE), "n - 1 (one read a step)"
    return Growth(_ONE, _ZERO, _ONE), "Ω(log(n))"


def _rank(targets: Mapping[str, Target]) -> Iterator[Refusal]:
    rank, cache = targets.get("state_rank"), targets.get("cache")
    if rank is None:
        return
    if (rank.at is not None and rank.limit is not None and rank.limit > rank.at - 1) or rank.order > (1, 0, 0):
        most = Target(rank.quantity, LINEAR) if rank.at is None else replace(rank, limit=max(rank.at - 1, 0))
        yield Refusal(RANK_AND_LENGTH, f"{rank} is asked", (("the largest there is", {"state_rank": most}),))
    if cache is None:
        return
    numbers = rank.limit is not None and cache.limit is not None and cache.at in (None, rank.at)
    above = (
        rank.limit > cache.limit  # type: ignore[operator]
        if numbers
        else rank.at is None and cache.at is None and rank.order > cache.order
    )
    if above:
        yield Refusal(
            RANK_AND_CACHE,
            f"{rank} needs as many rows, and {cache} is asked",
            (
                (
                    "keep the rank, as large a cache",
                    {**_others(targets, "cache"), "cache": replace(rank, quantity="cache")},
                ),
                ("keep the cache, as small a rank", {**targets, "state_rank": replace(cache, quantity="state_rank")}),
            ),
        )


def _over(target: Target) -> sympy.Expr:
    """``n`` divided by the class of a target."""
    scale = _ONE if target.growth is None else target.growth.scale
    return sympy.powsimp(n / scale)


def _others(targets: Mapping[str, Target], *left_out: str) -> dict[str, Target]:
    return {name: target for name, target in targets.items() if name not in left_out}
