"""Pareto dominance, with infinite values, ties and values known only between bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy

from glmix_theory.complexity.quantity import Bounds, Value

STANDINGS = ("frontier", "frontier by bounds", "undecided", "dominated")
"""How a point stands: on the frontier whatever its bounds turn out to be; on it when every bound counts with its
worse end; off it then, but not for certain; dominated for certain."""


def pareto(costs: Sequence[Sequence[Any]]) -> list[bool]:
    """Which rows no other row dominates.

    Claim: row ``i`` is dominated when some row ``j`` has ``costs[j] ≤ costs[i]`` in every column and ``<`` in
    one. Equal rows do not dominate each other, so all of them stay; ``inf`` is a value like any other, the
    worst there is.

    Parameters
    ----------
    costs : sequence of rows
        Numbers to minimise; every row has the same length.

    Returns
    -------
    list of bool
        One for each row.

    Examples
    --------
    >>> pareto([(1, 3), (2, 2), (2, 3), (1, 3), (0, math.inf)])
    [True, True, False, True, True]
    """
    rows = [tuple(row) for row in costs]
    kept: list[tuple[Any, ...]] = []
    # In lexicographic order only an earlier row can dominate, and one that stays does if any does.
    for row in sorted(set(rows)):
        if not any(_covers(other, row) for other in kept):
            kept.append(row)
    chosen = set(kept)
    return [row in chosen for row in rows]


def standings(values: Sequence[Sequence[Value]], maximised: Sequence[bool]) -> list[str]:
    """How each point stands, one of :data:`STANDINGS`, when some values are only bounded.

    Claim: with every unknown value free in its bounds, independently of the others, a point is ``frontier``
    when no choice dominates it, ``dominated`` when every choice does, and in between ``frontier by bounds`` or
    ``undecided`` as it is or is not on the frontier of the worse ends (upper where minimised, lower where
    maximised).

    Parameters
    ----------
    values : sequence of rows of int, float, ``sympy.oo`` or Bounds
        One row for each point.
    maximised : sequence of bool
        One for each column: is more better?

    Examples
    --------
    >>> from glmix_theory.complexity import Bounds
    >>> standings([(1, Bounds(4, 6)), (2, 5), (2, 7), (3, 2)], (False, False))
    ['frontier', 'frontier by bounds', 'dominated', 'frontier']
    """
    worst = [tuple(_cost(v, most, worse=True) for v, most in zip(row, maximised)) for row in values]
    best = [tuple(_cost(v, most, worse=False) for v, most in zip(row, maximised)) for row in values]
    on_frontier = pareto(worst)
    stood = []
    for i, kept in enumerate(on_frontier):
        if kept:
            # Points whose best ends dominate this one's worst could push it off.
            certain = not any(_dominates(other, worst[i]) for j, other in enumerate(best) if j != i)
            stood.append(STANDINGS[0] if certain else STANDINGS[1])
        else:
            beaten = any(_dominates(other, best[i]) for j, other in enumerate(worst) if j != i)
            stood.append(STANDINGS[3] if beaten else STANDINGS[2])
    return stood


def _covers(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    return all(a <= b for a, b in zip(first, second))


def _dominates(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    return first != second and _covers(first, second)


def _cost(value: Value, maximised: bool, worse: bool) -> Any:
    """The value as a number to minimise: one end of its bounds, negative where more is better."""
    if isinstance(value, Bounds):
        value = value.upper if worse != maximised else value.lower
    number = math.inf if value == sympy.oo else value if isinstance(value, float) else int(value)
    return -number if maximised else number
