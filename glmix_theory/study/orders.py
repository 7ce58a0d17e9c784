"""Order relations: whether training ranks the mixers as the paper's columns and the theory do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from glmix_theory.mixers import catalogue
from glmix_theory.study.results import Outcome, Results

PAPER_COLUMNS = {"copy": "copy", "recall": "recall", "multi_hop": "multi_hop"}
"""The problem beside each empirical column of the source paper's Table 1."""

PREDICTORS = {
    "congestion": "higher congestion of copying half the length, lower accuracy",
    "task_congestion": "higher congestion of the task's own demand, lower accuracy",
    "distance": "longer distance, lower accuracy",
    "horizon_cache_size": "larger cache, higher accuracy",
    "state_rank": "higher state rank, higher accuracy",
}
"""What theory predicts from each of the analyzers' numbers."""

_FALLING = ("congestion", "task_congestion", "distance")

TIE = 0.005
"""Accuracies of the paper closer than this, half a point, order nothing."""


@dataclass(frozen=True)
class Relation:
    """One pair of mixers whose order the paper states, and what was measured.

    Parameters
    ----------
    problem, better, worse : str
        The problem, and the mixers in the paper's order.
    paper : tuple of float
        The paper's accuracies, 0 … 1.
    means, spreads : tuple of float
        Measured accuracy: mean and sample standard deviation over the seeds.
    verdict : str
        ``confirmed``: every seed of the better one is above every seed of the worse one; ``reversed``: every
        one below; ``tied``: means within half a point of each other; ``open``: the seeds overlap, or there is one.
    """

    problem: str
    better: str
    worse: str
    paper: tuple[float, float]
    means: tuple[float, float]
    spreads: tuple[float, float]
    verdict: str


def relations(results: Results) -> list[Relation]:
    """Every pair of mixers of Table 1 with results, in the order of the paper's column, for each problem in it."""
    outcomes, found = results.outcomes(), []
    for problem, column in PAPER_COLUMNS.items():
        stated = paper_accuracies(column)
        present = [name for name in stated if (problem, name) in outcomes]
        for one, other in combinations(present, 2):
            if abs(stated[one] - stated[other]) < TIE:
                continue
            better, worse = (one, other) if stated[one] > stated[other] else (other, one)
            pair = outcomes[problem, better], outcomes[problem, worse]
            found.append(
                Relation(
                    problem,
                    better,
                    worse,
                    (stated[better], stated[worse]),
                    (pair[0].mean(), pair[1].mean()),
                    (pair[0].spread(), pair[1].spread()),
                    verdict(pair[0].values(), pair[1].values()),
                )
            )
    return found


def verdict(better: list[float], worse: list[float]) -> str:
    """How seeds of two mixers compare; see :class:`Relation`.

    >>> verdict([0.9], [0.3])
    'open'
    >>> verdict([0.9, 0.8], [0.3, 0.7]), verdict([0.5, 0.1], [0.3, 0.4]), verdict([1, 1], [0.999, 1])
    ('confirmed', 'open', 'tied')
    """
    if abs(sum(better) / len(better) - sum(worse) / len(worse)) < TIE:
        return "tied"
    if min(len(better), len(worse)) < 2:
        return "open"
    if min(better) > max(worse):
        return "confirmed"
    return "reversed" if max(better) < min(worse) else "open"


def paper_accuracies(column: str) -> dict[str, float]:
    """An empirical column of the source paper's Table 1, by catalogue name, 0 … 1.

    >>> paper_accuracies("copy")["diagonal_ssm"]
    0.4298
    """
    return {
        entry.name: round(getattr(entry.paper_values, column) / 100, 6)
        for entry in catalogue.table1()
        if entry.paper_values is not None
    }


@dataclass(frozen=True)
class Correlation:
    """Kendall's τ-b between something stated and the accuracy measured, over the mixers of one problem.

    Parameters
    ----------
    problem, predictor : str
        The problem; ``"paper"`` or a key of :data:`PREDICTORS`.
    tau, p_value : float or None
        τ with its sign turned so that 1 is full agreement, and its two-sided p-value; ``None`` where one
        side is constant.
    mixers : int
        Number of mixers compared.
    seeds : tuple of float
        τ of each seed by itself, where all mixers have it.
    """

    problem: str
    predictor: str
    tau: float | None
    p_value: float | None
    mixers: int
    seeds: tuple[float, ...]


def correlations(results: Results) -> list[Correlation]:
    """For each problem: the paper's column, where it has one, and each of the analyzers' numbers."""
    outcomes, found = results.outcomes(), []
    for problem in results.problems():
        here = {mixer: outcome for (of, mixer), outcome in outcomes.items() if of == problem}
        if problem == "language" or len(here) < 3:
            continue
        if problem in PAPER_COLUMNS:
            stated = paper_accuracies(PAPER_COLUMNS[problem])
            shared = {name: stated[name] for name in here if name in stated}
            found.append(_correlation(problem, "paper", shared, here))
        for predictor in PREDICTORS:
            numbers = {name: number(outcome.theory[predictor]) for name, outcome in here.items()}
            sign = -1 if predictor in _FALLING else 1
            found.append(_correlation(problem, predictor, {name: sign * x for name, x in numbers.items()}, here))
    return found


def number(value: Any) -> float:
    """One of the analyzers' numbers as a float: ``oo`` as infinity, bounds as their middle."""
    if isinstance(value, dict):
        return (number(value["lower"]) + number(value["upper"])) / 2
    return math.inf if value == "oo" else float(value)


def _correlation(
    problem: str, predictor: str, stated: Mapping[str, float], outcomes: Mapping[str, Outcome]
) -> Correlation:
    names = list(stated)
    tau, p_value = _kendall([stated[name] for name in names], [outcomes[name].mean() for name in names])
    by_seed = list(zip(*(outcomes[name].values() for name in names)))
    each = [_kendall([stated[name] for name in names], list(values))[0] for values in by_seed]
    return Correlation(problem, predictor, tau, p_value, len(names), tuple(tau for tau in each if tau is not None))


def _kendall(stated: list[float], measured: list[float]) -> tuple[float | None, float | None]:
    from scipy.stats import kendalltau

    if len(set(stated)) < 2 or len(set(measured)) < 2:
        return None, None
    # ranks in place of the values: infinities then compare as they should
    order = {value: rank for rank, value in enumerate(sorted(set(stated)))}
    found = kendalltau([order[value] for value in stated], measured)
    return float(found.statistic), float(found.pvalue)
