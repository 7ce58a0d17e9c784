"""What the analyzers say of a mixer at the length it is trained on: the numbers training is compared with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from glmix_theory.analysis import analyze
from glmix_theory.complexity.quantity import plain
from glmix_theory.expressivity import congestion_bounds, state_rank_at
from glmix_theory.mixers import Mixer
from glmix_theory.study.configuration import Problem
from glmix_theory.study.tasks import Copy, Task

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
