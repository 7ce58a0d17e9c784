"""Figures of a study: accuracy against what the analyzers say, with the ceiling that theory draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glmix_theory.errors import MissingDependencyError
from glmix_theory.mixers import catalogue
from glmix_theory.study.orders import number
from glmix_theory.study.results import Outcome, Results
from glmix_theory.study.tasks import task_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    "task_congestion": "congestion of the task's demand\n(paths through the busiest node; middle of the bounds)",
    "distance": "distance at the trained length\n(hops)",
    "horizon_cache_size": "cache at the trained length\n(rows)",
    "state_rank": "state rank at the trained length\n(rows)",
}
"""What accuracy is drawn against: a key of the theory's numbers, and the axis title."""

MARKERS = "os^vD*PXhpd<>8"


def figures(results: Results) -> dict[str, Figure]:
    """Every figure the results allow, by file name without ending.

    ``copy``: accuracy of copying against its congestion; ``accuracy``: tasks × :data:`AXES`; ``positions``:
    accuracy along the sequence, at the trained length and at twice it; ``language``: bits per byte
    against cache and decode time.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as missing:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; use pip install 'glmix-theory[notebooks]'"
        ) from missing
    tasks = [problem for problem in results.problems() if problem != "language"]
    drawn = {}
    if "copy" in tasks:
        drawn["copy"] = plot_copy(results)
    if tasks:
        drawn["accuracy"] = plot_accuracy(results, tasks)
        drawn["positions"] = plot_positions(results, tasks)
    if "language" in results.problems():
        drawn["language"] = plot_language(results)
    return drawn


def save(results: Results, folder: Path) -> list[Path]:
    """Write :func:`figures` as PNG files; returns where."""
    paths = []
    for name, figure in figures(results).items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def plot_copy(results: Results) -> Figure:
    """Test accuracy of copying against the congestion that the analyzers find; every seed is a point."""
    outcomes, styles = results.outcomes(), _styles(results)
    here = {name: outcome for (problem, name), outcome in outcomes.items() if problem == "copy"}
    figure, grid = _grid(1, 1, 7.5, 3.4)
    axis = grid[0][0]
    places = _draw(axis, here, "task_congestion", styles)
    beside: dict[tuple[float, float], list[str]] = {}
    for name, outcome in here.items():
        beside.setdefault((places[name], round(outcome.mean(), 2)), []).append(name)
    for (place, mean), names in beside.items():
        text = ", ".join(title_of(name).replace(" recurrence", "") for name in names)
        shift, side = (8, -3), "left"
        if mean > 0.9:
            shift, side = (0, 7), "center"
        elif place > max(places.values()) / 4:  # text beside it would run out of the picture
            shift, side = (0, -15), "center"
        axis.annotate(text, (place, mean), shift, textcoords="offset points", ha=side, fontsize=8)
    tokens = next(iter(here.values())).records[0]["configuration"]["problem"]["tokens"]
    axis.set_xlim(0.55 * min(places.values()), 1.6 * max(places.values()))
    axis.set_ylim(-0.04, 1.12)
    axis.set_xlabel(f"congestion of copying {tokens} tokens, from the pattern alone: paths through the busiest node")
    axis.set_ylabel("accuracy after training")
    return figure


def plot_accuracy(results: Results, tasks: list[str]) -> Figure:
    """Test accuracy of every task (rows) against each of :data:`AXES` (columns); every seed is a point."""
    outcomes, styles = results.outcomes(), _styles(results)
    figure, grid = _grid(len(tasks), len(AXES), 3.1, 2.5)
    for row, task in zip(grid, tasks):
        here = {name: outcome for (problem, name), outcome in outcomes.items() if problem == task}
        for axis, (key, title) in zip(row, AXES.items()):
            _draw(axis, here, key, styles)
            axis.set_ylim(-0.04, 1.04)
            if task == tasks[-1]:
                axis.set_xlabel(title, fontsize=8)
        row[0].set_ylabel(f"{task.replace('_', ' ')}\naccuracy", fontsize=9)
    _legend(figure, styles, {"chance": ":", "ceiling of the state rank": "--"})
    return figure


def _draw(axis: Axes, outcomes: dict[str, Outcome], key: str, styles: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Draw every seed, and the lines of chance and of the ceiling; returns where on the axis each mixer stands."""
    numbers = {name: number(outcome.theory[key]) for name, outcome in outcomes.items()}
    finite = [value for value in numbers.values() if math.isfinite(value)]
    beyond = 2 * max(finite, default=1)  # where unreachable pairs are drawn
    places = {name: value if math.isfinite(value) else beyond for name, value in numbers.items()}
    for name, outcome in outcomes.items():
        values = outcome.values()
        axis.plot([places[name]] * len(values), values, linestyle="none", markersize=6, alpha=0.75, **styles[name])
    axis.set_xscale("log", base=2)
    task = task_of(next(iter(outcomes.values())).records[0]["configuration"]["problem"])
    axis.axhline(task.chance, color="black", linewidth=0.8, linestyle=":")
    if key == "state_rank" and task.ceiling(1) is not None:
        ranks = np.linspace(1, max([*finite, 2]), 200)
        axis.plot(ranks, [task.ceiling(rank) or 0.0 for rank in ranks], color="black", linewidth=1, linestyle="--")
    if len(finite) < len(numbers):
        axis.axvline(beyond, color="grey", linewidth=0.5)
        axis.annotate("∞", (beyond, 1.0), fontsize=9, ha="right", va="top")
    axis.tick_params(labelsize=7)
    axis.xaxis.set_major_formatter("{x:g}")
    return places


def plot_positions(results: Results, tasks: list[str]) -> Figure:
    """Mean accuracy at each scored position of the trained length (top) and of the longer test (bottom)."""
    outcomes, styles = results.outcomes(), _styles(results)
    figure, grid = _grid(2, len(tasks), 3.1, 2.6)
    for column, task in enumerate(tasks):
        for row, split in enumerate(("test", "longer")):
            axis = grid[row][column]
            for (problem, name), outcome in outcomes.items():
                if problem != task:
                    continue
                curves = [record[split]["per_position"] for record in outcome.records if record.get(split)]
                if curves:
                    scored = [t for t, value in enumerate(curves[0]) if value is not None]
                    mean = np.mean([[curve[t] for t in scored] for curve in curves], axis=0)
                    axis.plot(scored, mean, linewidth=1, markersize=3, **styles[name])
            if not axis.lines:
                axis.set_axis_off()
                continue
            axis.set_ylim(-0.04, 1.04)
            axis.tick_params(labelsize=7)
            axis.xaxis.get_major_locator().set_params(integer=True)
            name = "trained length" if split == "test" else "twice the length"
            axis.set_title(f"{task.replace('_', ' ')}, {name}", fontsize=9)
            axis.set_xlabel("position", fontsize=8)
    for row in grid:
        row[0].set_ylabel("accuracy", fontsize=9)
    _legend(figure, styles)
    return figure


def plot_language(results: Results) -> Figure:
    """Bits per byte against cache bytes and decode time; each seed is a point, baselines are lines."""
    outcomes, styles = results.outcomes(), _styles(results)
    decoded = {record["name"]: record for record in results.of_kind("decode")}
    figure, grid = _grid(1, 2, 4.6, 3.9)
    for axis, key, title in zip(
        grid[0], ("cache_bytes", "microseconds"), ("cache of one sequence (bytes)", "decode time (µs a byte)")
    ):
        for (problem, name), outcome in outcomes.items():
            if problem == "language" and name in decoded:
                bits = [loss / math.log(2) for loss in outcome.values("loss")]
                axis.plot([decoded[name][key]] * len(bits), bits, linestyle="none", alpha=0.75, **styles[name])
        for record in results.of_kind("baseline")[-1:]:
            for baseline in ("ngram_5", "ngram_3", "gzip", "lzma"):
                level = record["bits_per_byte"][baseline]
                axis.axhline(level, color="grey", linewidth=0.8, linestyle=":")
                axis.annotate(baseline, (0.01, level), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
        if key == "cache_bytes":
            axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.2)
    grid[0][0].set_ylabel("bits per byte, held-out packages", fontsize=9)
    _legend(figure, styles)
    return figure


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows + 1.0), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _styles(results: Results) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each mixer, the same in every figure."""
    return {
        name: {"color": f"C{index % 10}", "marker": MARKERS[index % len(MARKERS)]}
        for index, name in enumerate(results.mixers())
    }


def _legend(figure: Figure, styles: dict[str, dict[str, Any]], lines: dict[str, str] | None = None) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="none", label=title_of(name), **style) for name, style in styles.items()]
    handles += [Line2D([], [], color="black", linestyle=style, label=name) for name, style in (lines or {}).items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), fontsize=8, frameon=False)


def title_of(name: str) -> str:
    """A mixer's name in prose: its catalogue title, or the name itself."""
    return catalogue.entry(name).title if name in catalogue else name
