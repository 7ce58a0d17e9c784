"""What a search found: the points with their values, the frontier, and how both are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy

from glmix_theory.complexity.quantity import Bounds, Value, plain
from glmix_theory.design.evaluation import LayerShape
from glmix_theory.design.frontier import STANDINGS, standings
from glmix_theory.design.space import Point
from glmix_theory.design.store import Result
from glmix_theory.errors import MissingDependencyError
from glmix_theory.mixers import Mixer
from glmix_theory.rendering import Table

if TYPE_CHECKING:
    import pandas

UNITS = {
    "step_cost": "terms", "total_cost": "terms", "cache_size": "rows", "horizon_cache_size": "rows",
    "distance": "hops", "congestion": "paths", "state_rank": "rows", "depth": "steps", "layer_time": "s",
}  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """A quantity a search optimises: minimised, or ``maximised``."""

    name: str
    maximised: bool = False

    @property
    def title(self) -> str:
        """Name, unit and direction, for tables and axes.

        >>> Objective("state_rank", maximised=True).title
        'state rank (rows, max)'
        """
        return f"{self.name.replace('_', ' ')} ({UNITS[self.name]}, {'max' if self.maximised else 'min'})"


@dataclass(frozen=True)
class Found:
    """One evaluated point.

    Parameters
    ----------
    point : Point
        What was evaluated.
    results : dict from objective name to Result
        What came out, failures included.
    """

    point: Point
    results: dict[str, Result]

    @property
    def text(self) -> str:
        """The point in one line."""
        return self.point.text

    @property
    def parameters(self) -> dict[str, Any]:
        """The values the template's parameters took."""
        return self.point.parameters

    @cached_property
    def values(self) -> dict[str, Value]:
        """Value of each objective that could be evaluated: int, float seconds, ``sympy.oo`` or ``Bounds``."""
        return {name: _value(r.value) for name, r in self.results.items() if r.status == "evaluated"}

    @property
    def errors(self) -> dict[str, str]:
        """Error of each objective that could not be evaluated, as ``ErrorType: message``."""
        return {name: result.error for name, result in self.results.items() if result.status == "failed"}

    @property
    def failed(self) -> bool:
        """Whether some objective has no value."""
        return bool(self.errors)

    @property
    def mixer(self) -> Mixer:
        """The mixer, built again from the text."""
        return self.point.mixer()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "point": self.text,
            "mixer": next(iter(self.results.values())).mixer,
            "parameters": self.parameters,
            "values": {name: v if isinstance(v, float) else plain(v) for name, v in self.values.items()},
            "statuses": {name: r.evidence for name, r in self.results.items() if r.status == "evaluated"},
            "errors": self.errors,
        }


@dataclass(frozen=True)
class SearchResult:
    """All points of a search and the frontier among them; prints as the table of the frontier.

    Made by :func:`~glmix_theory.design.search`.
    """

    points: tuple[Found, ...] = field(repr=False)
    objectives: tuple[Objective, ...]
    n: int
    layer: LayerShape | None = None

    @cached_property
    def _standing(self) -> dict[str, str]:
        whole = [found for found in self.points if not found.failed]
        rows = [[found.values[objective.name] for objective in self.objectives] for found in whole]
        stood = standings(rows, [objective.maximised for objective in self.objectives])
        return {found.text: standing for found, standing in zip(whole, stood)}

    def standing(self, found: Found) -> str:
        """How a point stands: ``frontier``, ``frontier by bounds``, ``undecided``, ``dominated`` or ``failed``."""
        return self._standing.get(found.text, "failed")

    @property
    def frontier(self) -> list[Found]:
        """Points no other dominates when bounds count with their worse end, by the first objective, best first."""
        return self._sorted([found for found in self.points if self.standing(found) in STANDINGS[:2]])

    @property
    def undecided(self) -> list[Found]:
        """Points off the frontier that would be on it if their bounds turned out at the better end."""
        return self._sorted([found for found in self.points if self.standing(found) == STANDINGS[2]])

    @property
    def failed(self) -> list[Found]:
        """Points with an objective that has no value, in the order of the space."""
        return [found for found in self.points if found.failed]

    def _sorted(self, points: list[Found]) -> list[Found]:
        def key(found: Found) -> list[Any]:
            ends = [(_worse_end(found.values[o.name], o.maximised), o.maximised) for o in self.objectives]
            return [-end if most else end for end, most in ends]

        return sorted(points, key=key)

    def table(self, everything: bool = False) -> Table:
        """The frontier, or every point, as a table.

        Parameters
        ----------
        everything : bool
            Also the dominated and the failed points.
        """
        chosen = list(self.points) if everything else self.frontier
        rows = [
            [
                found.text,
                *(self._cell(found, objective.name) for objective in self.objectives),
                self.standing(found),
            ]
            for found in chosen
        ]
        titles = [objective.title for objective in self.objectives]
        title = f"n = {self.n}" if everything else f"Pareto frontier, n = {self.n}"
        return Table(["mixer", *titles, "standing"], rows, title=title, caption=self.summary())

    def summary(self) -> str:
        """How many points there are and how far the frontier is certain, in words."""
        evaluated = len(self.points) - len(self.failed)
        parts = [f"{len(self.frontier)} of {evaluated} evaluated points are on the frontier"]
        by_bounds = [found for found in self.frontier if self.standing(found) == STANDINGS[1]]
        if by_bounds or self.undecided:
            parts.append(
                "bounds count with their worse end (upper where minimised): "
                f"{len(by_bounds)} on the frontier only so, {len(self.undecided)} others undecided"
            )
        if self.failed:
            first = self.failed[0]
            parts.append(f"{len(self.failed)} failed, first {first.text!r}: {next(iter(first.errors.values()))}")
        if self.layer is not None:
            parts.append(f"layer time: median of {self.layer.repeats} forwards, {self.layer}")
        return "; ".join(parts)

    def to_dataframe(self) -> pandas.DataFrame:
        """Every point as a row: mixer, parameters, values (bounds in two columns), standing, errors, seconds.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError as missing:
            raise MissingDependencyError(
                "a DataFrame needs pandas, which is not installed; use pip install pandas"
            ) from missing
        rows = []
        for found in self.points:
            row: dict[str, Any] = {"point": found.text, **found.parameters}
            for objective in self.objectives:
                value = found.values.get(objective.name)
                ends = value if isinstance(value, Bounds) else Bounds(value, value)
                row[objective.name] = _number(_worse_end(value, objective.maximised))
                row[f"{objective.name}_lower"], row[f"{objective.name}_upper"] = (
                    _number(ends.lower),
                    _number(ends.upper),
                )
            row["standing"] = self.standing(found)
            row["error"] = "; ".join(found.errors.values())
            row["seconds"] = sum(result.seconds for result in found.results.values())
            rows.append(row)
        return pandas.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: every point with its values, statuses, standing and errors."""
        return {
            "n": self.n,
            "objectives": [f"{'max' if o.maximised else 'min'} {o.name}" for o in self.objectives],
            "frontier": [found.text for found in self.frontier],
            "points": [found.to_dict() | {"standing": self.standing(found)} for found in self.points],
        }

    def __str__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def _cell(self, found: Found, name: str) -> str:
        if name not in found.values:
            return "failed"
        value = found.values[name]
        shown = f"{value:.3g}" if isinstance(value, float) else "∞" if value == sympy.oo else str(value)
        return f"{shown}, {found.results[name].evidence}"


def _value(stored: Any) -> Value:
    """The value that a store keeps as plain data."""
    if isinstance(stored, dict):
        return Bounds(_value(stored["lower"]), _value(stored["upper"]))
    return sympy.oo if stored == "oo" else stored


def _worse_end(value: Value, maximised: bool) -> Any:
    if isinstance(value, Bounds):
        return value.lower if maximised else value.upper
    return value


def _number(value: Any) -> Any:
    return float("inf") if value == sympy.oo else value
