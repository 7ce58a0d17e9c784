"""The picture of a frontier: its points, its steps, and known architectures with labels that do not overlap."""

import pytest

from glmix_theory.design import search
from glmix_theory.errors import SpaceError

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("objectives", [["step_cost", "distance"], ["max state_rank", "congestion"]])
def test_frontier_and_known_architectures(objectives: list[str]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from glmix_theory.report import plot_search

    space = [{"pattern": "CacheEfficient(b**k)", "b": [2, 3]}, {"pattern": "Lags(l)", "l": [[1], [1, 2], [2]]}]
    found = search(space, objectives, n=32)
    figure = plot_search(found)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    [axis] = figure.axes
    names = [objective.title for objective in found.objectives]
    assert [axis.get_xlabel(), axis.get_ylabel()] == [f"{name}, log scale" for name in names]
    written = "\n".join(text.get_text() for text in axis.texts)
    assert "Attention" in written
    assert "2^k recurrence, cache-efficient" in written
    boxes = [text.get_window_extent(renderer) for text in axis.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    steps = next(line for line in axis.lines if line.get_drawstyle().startswith("steps"))
    finite = [point for point in found.frontier if all(value.is_finite for value in _ends(point.values))]
    assert len(steps.get_xdata()) == len(found.frontier) >= len(finite) > 0


def _ends(values: dict) -> list:
    import sympy

    return [sympy.sympify(end) for v in values.values() for end in (v if isinstance(v, tuple) else (v,))]


def test_two_objectives_are_needed() -> None:
    from glmix_theory.report import plot_search

    found = search({"pattern": "Window(2)"}, "depth", n=8)
    with pytest.raises(SpaceError, match="two objectives"):
        plot_search(found)
