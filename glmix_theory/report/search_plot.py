"""The frontier of a search for two objectives as a picture, with the known architectures in their places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sympy

from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.design import Found, Objective, SearchResult, search
from glmix_theory.errors import MissingDependencyError, SpaceError
from glmix_theory.mixers import catalogue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRONTIER, KNOWN = "#1f4e79", "#b3541e"


def plot_search(
    result: SearchResult, objectives: Sequence[str] | None = None, known: Sequence[str] | None = None
) -> Figure:
    """Two objectives of a search against each other: all points, their frontier as steps, known architectures.

    The frontier drawn is that of the two objectives alone; a search for three has more on it. Values known
    only between bounds are drawn at their worse end with a line to the better one. An unreachable value
    stands beyond the axis, at ``∞``.

    Parameters
    ----------
    result : SearchResult
        What ``glm.search`` returned, for at least two objectives.
    objectives : two str, optional
        Names of the two, across and up; by default the first two of the search.
    known : sequence of str, optional
        Catalogue names to mark, evaluated at the same length; by default Table 1 of the source paper. Those
        that an objective cannot be evaluated for are left out.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    SpaceError
        The search has no such two objectives, or no point with both values.
    MissingDependencyError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; use pip install 'glmix-theory[notebooks]'"
        ) from missing
    pair = _pair(result, objectives)
    names = [objective.name for objective in pair]
    points = [found for found in result.points if set(names) <= set(found.values)]
    if not points:
        raise SpaceError(f"no point of the search has values of {' and '.join(names)}; there is nothing to draw")
    marked = [entry.name for entry in catalogue.table1()] if known is None else list(known)
    marks = [found for found in _evaluate(marked, pair, result) if not found.failed] if marked else []

    figure = Figure(figsize=(9, 6), layout="constrained")
    axis = figure.subplots()
    edges = [_scale(axis, which, [f.values[o.name] for f in points + marks], o) for which, o in zip("xy", pair)]

    def place(found: Found) -> tuple[float, float]:
        across, up = (_finite(_worse(found.values[o.name], o), edge) for o, edge in zip(pair, edges))
        return across, up

    drawn = SearchResult(tuple(points), pair, result.n)
    for found in points + marks:
        _draw_bounds(axis, found, pair, edges, KNOWN if found in marks else FRONTIER)
    for color, size, chosen, label in (
        ("0.72", 14, [f for f in points if f not in drawn.frontier], "searched, dominated"),
        (FRONTIER, 34, drawn.frontier, "frontier"),
    ):
        if chosen:
            across, up = zip(*map(place, chosen))
            axis.scatter(across, up, s=size, color=color, label=label, zorder=5 if color == FRONTIER else 3)
    corners = [place(found) for found in drawn.frontier]
    # From one point to the next the first one holds: the best that is to be had there.
    axis.step(*zip(*corners), where="post", color=FRONTIER, linewidth=1.3, zorder=2)
    if marks:
        places = [place(found) for found in marks]
        across, up = zip(*places)
        axis.scatter(across, up, s=52, marker="D", facecolor="none", edgecolor=KNOWN, linewidth=1.5, zorder=4,
                     label="known architectures")  # fmt: skip
        titles: dict[tuple[float, float], list[str]] = {}
        for found, spot in zip(marks, places):
            titles.setdefault(spot, []).append(catalogue.entry(found.point.entry).title)
        _label(figure, axis, titles, [place(found) for found in points] + _along(corners))
    axis.set_title(f"{len(points)} mixers searched at n = {result.n}", fontsize=11)
    axis.grid(alpha=0.25, which="major")
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    return figure


def _along(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points all along the steps, evenly in the logarithm, which labels should not hide."""
    spots = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        turn = (x1, y0)
        for (a, b), (c, d) in (((x0, y0), turn), (turn, (x1, y1))):
            if min(a, b, c, d) > 0:
                spots += [(a * (c / a) ** (i / 40), b * (d / b) ** (i / 40)) for i in range(41)]
    return spots


def _pair(result: SearchResult, names: Sequence[str] | None) -> tuple[Objective, Objective]:
    found = {objective.name: objective for objective in result.objectives}
    chosen = list(found)[:2] if names is None else list(names)
    if len(set(chosen)) != 2 or not set(chosen) <= set(found):
        raise SpaceError(f"a plot needs two objectives of the search, got {chosen}; it has {', '.join(found)}")
    return found[chosen[0]], found[chosen[1]]


def _evaluate(names: list[str], pair: tuple[Objective, Objective], result: SearchResult) -> tuple[Found, ...]:
    from dataclasses import asdict

    wanted = [f"{'max' if o.maximised else 'min'} {o.name}" for o in pair]
    timed = "layer_time" in [objective.name for objective in pair] and result.layer is not None
    shape: Any = asdict(result.layer) if timed and result.layer is not None else None
    return search({"catalogue": names}, wanted, n=result.n, layer=shape).points


def _worse(value: Value, objective: Objective) -> Any:
    return (value.lower if objective.maximised else value.upper) if isinstance(value, Bounds) else value


def _finite(value: Any, edge: float) -> float:
    return edge if value == sympy.oo else float(value)


def _scale(axis: Axes, which: str, values: list[Value], objective: Objective) -> float:
    """Set up one axis, logarithmic to base 2; returns where ``∞`` is drawn."""
    from matplotlib.ticker import NullLocator

    ends = [end for value in values for end in (value if isinstance(value, Bounds) else (value,))]
    finite = [float(end) for end in ends if end != sympy.oo]
    positive = [end for end in finite if end > 0] or [1.0]
    low, high = min(positive), max(positive)
    set_scale, set_limits = getattr(axis, f"set_{which}scale"), getattr(axis, f"set_{which}lim")
    if 0 in finite:
        set_scale("symlog", base=2, linthresh=low, linscale=0.6)
    else:
        set_scale("log", base=2)
    edge = high * max(2.0, (high / low) ** 0.12)
    unreachable = sympy.oo in ends
    set_limits(-low / 3 if 0 in finite else low / 1.4, edge * 1.3 if unreachable else high * 1.5)
    ruler = getattr(axis, f"{which}axis")
    ticks = [tick for tick in ruler.get_major_locator()() if (low <= tick <= high) or (tick == 0 and 0 in finite)]
    names = [f"{tick:.3g}" if tick < 1 else f"{tick:.0f}" for tick in ticks]
    ruler.set_ticks([*ticks, edge] if unreachable else ticks, labels=[*names, "∞"] if unreachable else names)
    ruler.set_minor_locator(NullLocator())
    getattr(axis, f"set_{which}label")(f"{objective.title}, log scale")
    return edge


def _draw_bounds(axis: Axes, found: Found, pair: tuple[Objective, Objective], edges: list[float], color: str) -> None:
    spans = []
    for objective, edge in zip(pair, edges):
        value = found.values[objective.name]
        ends = value if isinstance(value, Bounds) else Bounds(value, value)
        spans.append([_finite(ends.lower, edge), _finite(ends.upper, edge)])
    worse = [_finite(_worse(found.values[o.name], o), edge) for o, edge in zip(pair, edges)]
    if spans[0][0] != spans[0][1]:
        axis.plot(spans[0], [worse[1]] * 2, color=color, linewidth=0.9, alpha=0.5, zorder=1)
    if spans[1][0] != spans[1][1]:
        axis.plot([worse[0]] * 2, spans[1], color=color, linewidth=0.9, alpha=0.5, zorder=1)


def _label(
    figure: Figure, axis: Axes, titles: dict[tuple[float, float], list[str]], points: list[tuple[float, float]]
) -> None:
    """Write each title beside its mark, at the first of some offsets that hides nothing written so far."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    frame = axis.get_window_extent(renderer)
    dots = [tuple(axis.transData.transform(spot)) for spot in (*points, *titles)]
    taken: list[Any] = []
    for spot, names in titles.items():
        best: tuple[float, Any] | None = None
        for distance in (9, 18, 30, 44, 60, 80):
            for right, up in ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)):
                text = axis.annotate(
                    "\n".join(names), spot, xytext=(right * distance, up * distance), textcoords="offset points",
                    fontsize=8, color=KNOWN, linespacing=1.1,
                    ha=("center", "left", "right")[right], va=("center", "bottom", "top")[up],
                    arrowprops={"arrowstyle": "-", "color": KNOWN, "linewidth": 0.6} if distance > 9 else None,
                )  # fmt: skip
                box = text.get_window_extent(renderer).padded(2)
                outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
                hidden = sum(box.contains(*dot) for dot in dots)
                overlaps = sum(box.overlaps(other) for other in taken)
                penalty = 1000 * overlaps + 500 * outside + 20 * hidden + distance
                text.remove()
                if best is None or penalty < best[0]:
                    best = penalty, (text, box)
        assert best is not None
        axis.add_artist(best[1][0])
        taken.append(best[1][1])
