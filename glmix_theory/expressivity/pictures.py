"""Pictures of paths and of the load that a routing puts on each node."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from glmix_theory.errors import MissingDependencyError
from glmix_theory.expressivity.certificates import Path, Routing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_path(*paths: Path) -> Figure:
    """Each path as arcs over the positions: one arc per hop, labelled with its lag."""
    figure = _figure(9, 1.1 + 1.5 * len(paths))
    for axis, path in zip(np.atleast_1d(figure.subplots(len(paths), 1)), paths):
        _arcs(axis, path)
    return figure


def _arcs(axis: Axes, path: Path) -> None:
    tokens = list(dict.fromkeys(position for _, position in path.nodes))
    length = path.target + 1
    axis.plot(range(length), [0] * length, ".", color="0.75", markersize=3)
    axis.plot(tokens, [0] * len(tokens), "o", color="#1f4e79")
    for a, b in itertools.pairwise(tokens):
        angle = np.linspace(0, np.pi, 60)
        height = ((b - a) / length) ** 0.5
        axis.plot((a + b) / 2 - (b - a) / 2 * np.cos(angle), height * np.sin(angle), color="#1f4e79")
        if b - a > length / 24:
            axis.text((a + b) / 2, height + 0.04, str(b - a), ha="center", fontsize=8)
    axis.set_ylim(-0.1, 1.2)
    axis.set_yticks([])
    for side in ("left", "top", "right"):
        axis.spines[side].set_visible(False)
    recurrent = repr(path.mixer.recurrent)
    axis.set_title(f"{recurrent}: {path.hops} hops from {path.source} to {path.target}", fontsize=9, loc="left")


def plot_loads(*routings: Routing) -> Figure:
    """The congestion heat map: one row per routing, one cell per output, coloured by the paths through it."""
    figure = _figure(10, 0.9 + 0.95 * len(routings))
    axes = np.atleast_1d(figure.subplots(len(routings), 1))
    most = max(load for routing in routings for (kind, _), load in routing.loads().items() if kind == "y")
    for axis, routing in zip(axes, routings):
        length = routing.demand.length
        loads = np.zeros(length)
        for (kind, position), load in routing.loads().items():
            if kind == "y":
                loads[position] = load
        image = axis.imshow(loads[None, :], aspect="auto", cmap="magma_r", vmin=0, vmax=most, interpolation="nearest")
        axis.axvline(length / 2 - 0.5, color="#1f4e79", linewidth=1, linestyle=":")
        axis.set_yticks([])
        axis.set_title(
            f"{routing.mixer.recurrent!r}: {routing.demand.name}, most paths through one output: {int(loads.max())}",
            fontsize=9,
            loc="left",
        )
        figure.colorbar(image, ax=axis, pad=0.01)
    axes[-1].set_xlabel("output position (dotted: where the copy begins)")
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; use pip install 'glmix-theory[notebooks]'"
        ) from missing
    return Figure(figsize=(width, height), layout="constrained")
