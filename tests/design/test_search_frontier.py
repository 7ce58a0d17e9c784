"""Pareto dominance against a brute force that knows only the definition."""

import math
from itertools import product

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from glmix_theory.complexity import Bounds
from glmix_theory.design import pareto, standings

number = st.sampled_from([0, 1, 2, 3, math.inf])
rows = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[number] * width), max_size=9))


def beats(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    no_worse = all(a <= b for a, b in zip(first, second))
    return no_worse and any(a < b for a, b in zip(first, second))


@given(rows)
def test_the_frontier_is_what_nothing_dominates(costs: list[tuple[float, ...]]) -> None:
    assert pareto(costs) == [not any(beats(other, row) for other in costs) for row in costs]


@given(st.lists(number, min_size=1))
def test_one_objective_keeps_every_smallest(costs: list[float]) -> None:
    assert pareto([(cost,) for cost in costs]) == [cost == min(costs) for cost in costs]


def test_equal_rows_all_stay_and_infinity_excludes_nothing() -> None:
    assert pareto([(1, 2), (1, 2), (0, math.inf), (0, math.inf), (1, math.inf)]) == [True, True, True, True, False]
    assert pareto([]) == []
    assert pareto([(math.inf, math.inf)]) == [True]


ends = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda pair: Bounds(min(pair), max(pair)))
value = st.one_of(st.integers(0, 2), ends, st.just(sympy.oo))


@given(
    st.integers(1, 2).flatmap(
        lambda width: st.tuples(
            st.lists(st.tuples(*[value] * width), min_size=1, max_size=3), st.tuples(*[st.booleans()] * width)
        )
    )
)
def test_bounds_stand_as_every_choice_within_them_says(drawn: tuple) -> None:
    values, maximised = drawn

    def span(entry: object) -> list[float]:
        if isinstance(entry, Bounds):
            return list(range(entry.lower, entry.upper + 1))
        return [math.inf if entry == sympy.oo else entry]  # type: ignore[list-item]

    def to_cost(row: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(-entry if most else entry for entry, most in zip(row, maximised))

    width, cells = len(maximised), [span(entry) for row in values for entry in row]
    undominated = [set() for _ in values]
    for choice in product(*cells):
        chosen = [to_cost(choice[i * width : (i + 1) * width]) for i in range(len(values))]
        for i, row in enumerate(chosen):
            undominated[i].add(not any(beats(other, row) for j, other in enumerate(chosen) if j != i))
    worse = [
        to_cost(tuple((min if most else max)(span(entry)) for entry, most in zip(row, maximised))) for row in values
    ]
    for i, stood in enumerate(standings(values, maximised)):
        on = not any(beats(other, worse[i]) for other in worse)
        assert (
            stood
            == {
                (True, True): "frontier",
                (False, False): "dominated",
                (False, True): "frontier by bounds" if on else "undecided",
            }[(min(undominated[i]), max(undominated[i]))]
        )


@pytest.mark.parametrize("size", [0, 1])
def test_small_inputs(size: int) -> None:
    assert standings([(1, Bounds(1, 5))] * size, (False, True)) == ["frontier"] * size
