"""Finished runs read back: which belong together, which count, and how they spread over seeds."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from glmix_theory.rendering import Table
from glmix_theory.study.configuration import digest
from glmix_theory.study.store import Store


@dataclass(frozen=True)
class Outcome:
    """One mixer on one problem: the runs at the chosen rate, by seed.

    Parameters
    ----------
    records : tuple of dict
        Of every seed at the chosen rate, seeds ascending.
    tried : dict from float to float
        Validation loss (nats) of every rate that was tried, on the seed that chose.
    """

    records: tuple[dict[str, Any], ...]
    tried: dict[float, float]

    @property
    def mixer(self) -> str:
        """Name of the mixer."""
        return str(self.records[0]["name"])

    @property
    def problem(self) -> str:
        """Name of the problem."""
        return str(self.records[0]["configuration"]["problem"]["name"])

    @property
    def rate(self) -> float:
        """The chosen learning rate."""
        return float(self.records[0]["configuration"]["rate"])

    @property
    def theory(self) -> dict[str, Any]:
        """The analyzers' numbers at the trained length."""
        found: dict[str, Any] = self.records[0]["theory"]
        return found

    def values(self, measure: str = "accuracy", split: str = "test") -> list[float]:
        """A measure of a split, seed by seed; empty where it was not taken."""
        return [float(record[split][measure]) for record in self.records if record.get(split)]

    def mean(self, measure: str = "accuracy", split: str = "test") -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values(measure, split))

    def spread(self, measure: str = "accuracy", split: str = "test") -> float:
        """Sample standard deviation over the seeds; 0 for one seed."""
        values = self.values(measure, split)
        return statistics.stdev(values) if len(values) > 1 else 0.0


class Results:
    """The runs of one folder, or of one study; prints as a table of accuracies.

    Parameters
    ----------
    records : list of dict
        What :class:`Store` read.
    """

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self.records = list(records)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Results:
        """All results of a folder; none where nothing was written."""
        return cls(Store(folder).read())

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Records of one kind: ``run``, ``baseline`` or ``decode``."""
        return [record for record in self.records if record["kind"] == kind]

    def outcomes(self) -> dict[tuple[str, str], Outcome]:
        """By (problem, mixer): the latest configuration of each whose rate is chosen.

        A cell counts once a rate of its grid was tried; ``Outcome.tried`` says which were.
        """
        cells: dict[str, list[dict[str, Any]]] = {}
        for record in self.of_kind("run"):
            cells.setdefault(cell_of(record), []).append(record)
        found = {}
        for records in cells.values():
            outcome = _outcome(records)
            found[outcome.problem, outcome.mixer] = outcome
        return found

    def problems(self) -> list[str]:
        """Problems with results, in the order they were met."""
        return list(dict.fromkeys(problem for problem, _ in self.outcomes()))

    def mixers(self) -> list[str]:
        """Mixers with results, in the order they were met."""
        return list(dict.fromkeys(mixer for _, mixer in self.outcomes()))

    def table(self) -> Table:
        """Test accuracy in percent, mean ± standard deviation over the seeds, of every mixer on every problem."""
        outcomes, problems = self.outcomes(), self.problems()
        rows = [
            [mixer, *(accuracy_text(outcomes.get((problem, mixer))) for problem in problems)] for mixer in self.mixers()
        ]
        return Table(["mixer", *problems], rows)

    def to_dict(self) -> dict[str, Any]:
        """Every outcome with its seeds, plain data."""
        return {
            f"{problem}/{mixer}": {
                "rate": outcome.rate,
                "tried": {str(rate): loss for rate, loss in outcome.tried.items()},
                "accuracy": outcome.values(),
                "loss": outcome.values("loss"),
                "theory": outcome.theory,
            }
            for (problem, mixer), outcome in self.outcomes().items()
        }

    def __str__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        return self.table().to_html()


def cell_of(record: dict[str, Any]) -> str:
    """What records of one cell share: everything but rate and seed."""
    return digest({key: value for key, value in record["configuration"].items() if key not in ("rate", "seed")})


def chosen_rate(records: Iterable[dict[str, Any]]) -> float:
    """The smallest rate that solved the task; where none did, the one with the least validation loss.

    Rates that solve a task on the first seed are equally good there, and a smaller one is the safer choice for others.

    >>> tried = [{"configuration": {"rate": rate}, "validation": {"loss": loss}, "solved": solved}
    ...          for rate, loss, solved in ((0.1, 0.02, True), (0.2, 0.01, True), (0.05, 2.0, False))]
    >>> chosen_rate(tried), chosen_rate([record | {"solved": False} for record in tried])
    (0.1, 0.2)
    """

    def order(record: dict[str, Any]) -> tuple[bool, float, float]:
        solved = record["solved"]
        return not solved, 0.0 if solved else record["validation"]["loss"], record["configuration"]["rate"]

    chosen: float = min(records, key=order)["configuration"]["rate"]
    return chosen


def accuracy_text(outcome: Outcome | None) -> str:
    """Mean and standard deviation over seeds in percent, with the number of seeds where it is one."""
    if outcome is None:
        return "–"
    if len(outcome.records) == 1:
        return f"{100 * outcome.mean():.1f} (1 seed)"
    return f"{100 * outcome.mean():.1f} ± {100 * outcome.spread():.1f}"


def _outcome(records: list[dict[str, Any]]) -> Outcome:
    """The runs of one cell that count: those at the rate the first seed chose."""
    seeds = [record["configuration"]["seed"] for record in records]
    choosing = max(dict.fromkeys(seeds), key=seeds.count)  # the seed on which every rate was tried
    first = [record for record in records if record["configuration"]["seed"] == choosing]
    tried = {record["configuration"]["rate"]: record["validation"]["loss"] for record in first}
    best = chosen_rate(first)
    kept = {record["configuration"]["seed"]: record for record in records if record["configuration"]["rate"] == best}
    return Outcome(tuple(kept[seed] for seed in sorted(kept)), dict(sorted(tried.items())))
