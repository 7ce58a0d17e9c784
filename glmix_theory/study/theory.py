"""What the analyzers say of a mixer at the length it is trained on: the numbers training is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import numpy as np

from glmix_theory.analysis import analyze
from glmix_theory.complexity.quantity import plain
from glmix_theory.expressivity import congestion_bounds, state_rank_at
from glmix_theory.mixers import Mixer
from glmix_theory.study.configuration import Problem
from glmix_theory.study.tasks import UNSCORED, Copy, PermutationComposition, Task

AT_LENGTH = ("step_cost", "total_cost", "cache_size", "horizon_cache_size", "distance", "depth")
"""Quantities of the report evaluated at the task's length."""


@lru_cache(maxsize=256)
def theory(mixer: Mixer, problem: Problem) -> dict[str, Any]:
    """The analyzers' numbers, plain data.

    Returns
    -------
    dict
        ``length`` and each of :data:`AT_LENGTH` there; ``state_rank`` (the largest over the cuts);
        ``congestion``: of copying half the length, the demand of the paper's table; for a task also
        ``task_congestion``: of the demand of one of its sequences, and ``ceiling``: the accuracy that
        its state rank is bound to, where the task states one.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> found = theory(glm.catalogue["kth_order_recurrence"], Copy(tokens=8))
    >>> found["cache_size"], found["congestion"], found["state_rank"], found["ceiling"]
    (4, 2, 4, 0.53125)
    """
    length = problem.length
    report = analyze(mixer, (length,))
    numbers: dict[str, Any] = {"length": length}
    numbers |= {name: plain(report[name].at(length)) for name in AT_LENGTH}
    rank = state_rank_at(mixer, length).value
    numbers["state_rank"] = rank
    numbers["congestion"] = plain(congestion_bounds(mixer, max(1, length // 2)).value)
    if isinstance(problem, Task):
        numbers["task_congestion"] = (
            numbers["congestion"]
            if isinstance(problem, Copy)
            else plain(congestion_bounds(mixer, problem.demand()).value)
        )
        numbers["ceiling"] = problem.ceiling(rank)
    return numbers


@lru_cache(maxsize=256)
def reach_ceiling(mixer: Mixer, task: Task, layers: int, sequences: int = 256) -> float | None:
    """The accuracy that no weights exceed because some answers stand out of reach of all layers together.

    Claim: a model of ``layers`` blocks whose mixers have this pattern answers at chance where the position that
    holds the answer has no path to the question, so with a share ``p`` of the answers in reach its expected
    accuracy is at most ``p + (1 - p) · chance``. Unlike the ceiling of the state rank this binds every model.

    Parameters
    ----------
    mixer : Mixer
        Of every block; rows reach their own position beside it, by the residual path.
    task : Task
        Whose answer is the content of one position, drawn independently of all else.
    layers : int
        Blocks.
    sequences : int
        How many are drawn to find the share ``p``.

    Returns
    -------
    float or None
        ``None`` for permutations, whose answer is made of many positions.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> window = glm.Mixer(direct=glm.Window(4))
    >>> [reach_ceiling(window, Copy(tokens=5, symbols=4), layers) for layers in (1, 2)]
    [0.25, 1.0]
    """
    if isinstance(task, PermutationComposition):
        return None
    reached = reach(mixer, task.length, layers)
    drawn = task.sample(np.random.default_rng(0), sequences)
    within = []
    for row, position in np.argwhere(drawn.targets != UNSCORED):
        source = task.sources(drawn.tokens[row, : position + 1].tolist())[0]
        within.append(bool(reached[position] >> source & 1))
    share = float(np.mean(within))
    return share + (1 - share) * task.chance


def reach(mixer: Mixer, n: int, layers: int) -> list[int]:
    """For every position the positions whose rows influence it through ``layers`` mixers, as the bits of a number.

    >>> import glmix_theory as glm
    >>> [f"{positions:04b}" for positions in reach(glm.Mixer(direct=glm.Window(2)), 4, 2)]
    ['0001', '0011', '0111', '1110']
    """
    before = [1 << t for t in range(n)]
    for _ in range(layers):
        outputs: list[int] = []
        for t in range(n):
            outputs.append(_together(before, mixer.direct.sources(t)) | _together(outputs, mixer.recurrent.sources(t)))
        if mixer.readout is not None:
            outputs = [_together(outputs, mixer.readout.sources(t)) for t in range(n)]
        before = [kept | mixed for kept, mixed in zip(before, outputs)]
    return before


def _together(positions: list[int], sources: Iterable[int]) -> int:
    return reduce(or_, (positions[s] for s in sources), 0)
