"""The frontier: what mixers cost and carry at one length, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from glmix_theory.analysis.law import Law, ends
from glmix_theory.complexity import cache_size, step_cost
from glmix_theory.complexity.quantity import Bounds, Value, plain
from glmix_theory.errors import MissingDependencyError, check_length
from glmix_theory.expressivity import congestion_bounds, distance, state_rank
from glmix_theory.mixers import catalogue
from glmix_theory.progress import track
from glmix_theory.rendering import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FrontierRow:
    """What one mixer costs and carries at one length."""

    name: str
    title: str
    step_cost: Value
    cache_size: Value
    distance: Value
    congestion: Value
    state_rank: Value
    law: Law

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        measures = ("step_cost", "cache_size", "distance", "congestion", "state_rank")
        return {"name": self.name, **{measure: plain(getattr(self, measure)) for measure in measures}}


def frontier(n: int = 64, names: Sequence[str] | None = None) -> list[FrontierRow]:
    """Step cost, cache, distance, congestion and rank of catalogue entries at one length.

    Parameters
    ----------
    n : int
        Length (tokens copied, for the congestion).
    names : sequence of str, optional
        Catalogue names; by default Table 1's nine.

    Examples
    --------
    >>> [row.congestion for row in frontier(16, ["attention", "kth_order_recurrence"])]
    [1, 4]
    """
    n = check_length(n)
    chosen = [entry.name for entry in catalogue.table1()] if names is None else list(names)
    rows = []
    for name in track(chosen, "measuring"):
        entry, mixer = catalogue.entry(name), catalogue[name]
        carried = congestion_bounds(mixer, n, passes=2).value
        cache = cache_size(mixer).at(n)
        rows.append(
            FrontierRow(
                name,
                entry.title,
                step_cost(mixer).at(n),
                cache,
                distance(mixer).at(n),
                carried,
                state_rank(mixer).at(n),
                Law(n, carried, cache),
            )
        )
    return rows


def frontier_table(rows: Sequence[FrontierRow]) -> Table:
    """The frontier as a table, with ``congestion × cache / n`` in the last column."""
    body = [
        [
            row.title,
            *(_text(v) for v in (row.step_cost, row.cache_size, row.distance, row.congestion, row.state_rank)),
            "∞" if row.law.factor.upper == sympy.oo else _factor_text(row.law.factor),
        ]
        for row in rows
    ]
    columns = ["mixer", "step cost", "cache", "distance", "congestion", "state rank", "congestion × cache / n"]
    return Table(columns, body, title=f"n = {rows[0].law.length}" if rows else "")


def _text(value: Value) -> str:
    if isinstance(value, Bounds):
        return f"{value.lower} … {value.upper}"
    return "∞" if value == sympy.oo else str(value)


def _factor_text(factor: Bounds) -> str:
    low, high = (f"{float(end):.2f}" for end in factor)
    return low if low == high else f"{low} … {high}"


def plot_frontier(rows: Sequence[FrontierRow]) -> Figure:
    """Cache against congestion on logarithmic axes, with the line no pattern can cross.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; use pip install 'glmix-theory[notebooks]'"
        ) from missing
    n = rows[0].law.length
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axis = figure.subplots()
    line = [2**e for e in range(n.bit_length())]
    axis.plot(line, [n / c for c in line], color="black", linewidth=1)
    axis.fill_between(line, [0.5] * len(line), [n / c for c in line], color="0.9")
    axis.text(1.3, 0.62, "impossible: congestion × cache < n", fontsize=9, color="0.35")
    shown: dict[tuple[float, float], list[str]] = {}
    for row in rows:
        if row.congestion == sympy.oo or row.cache_size == 0:
            continue
        low, high = (float(end) for end in ends(row.congestion))
        cache = float(ends(row.cache_size)[1])
        axis.plot([cache, cache], [low, high], color="#1f4e79", linewidth=2)
        axis.plot(cache, high, "o", color="#1f4e79")
        shown.setdefault((cache, high), []).append(row.title)
    for (cache, high), titles in shown.items():
        left = cache > n / 3
        axis.annotate(
            "\n".join(titles), (cache, high), xytext=(-8 if left else 8, 6), textcoords="offset points", fontsize=8,
            ha="right" if left else "left", va="bottom",
        )  # fmt: skip
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.set_ylim(0.5, 3 * n)
    axis.set_xlabel("cache size (rows)")
    axis.set_ylabel("congestion of copying n tokens (paths)")
    axis.set_title(f"What a cache of a given size can carry, n = {n}", fontsize=10)
    return figure
