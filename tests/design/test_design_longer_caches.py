"""A cache of a faster class than the step cost: drawn pairs are met with both classes proved, and counts confirm."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import n
from glmix_theory.complexity import Bounds
from glmix_theory.design import Candidate, design
from glmix_theory.patterns.algebra import Union
from tests.design.test_design_targets import classes, same_class

SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pairs() -> st.SearchStrategy[tuple[sympy.Expr, sympy.Expr]]:
    """``(T, S)`` with ``T = o(S)`` and ``S = o(n)``."""

    def ordered(two: tuple) -> tuple[sympy.Expr, sympy.Expr]:
        (slow, _), (fast, _) = sorted(two, key=lambda drawn: drawn[1])
        return slow, fast

    return st.tuples(classes(), classes()).filter(lambda two: two[0][1] != two[1][1]).map(ordered)


def parts_of(mixer: glm.Mixer) -> tuple[glm.Pattern, ...]:
    """The patterns that the recurrent part unites, and the direct one."""
    united = mixer.recurrent.parts if isinstance(mixer.recurrent, Union) else (mixer.recurrent,)
    return (*united, mixer.direct)


def ends(value: object) -> tuple[int, int]:
    """Lower and upper end of a value."""
    return (value.lower, value.upper) if isinstance(value, Bounds) else (value, value)


def counted(mixer: glm.Mixer, length: int) -> tuple[list[int], list[int]]:
    """Running maxima of terms and live rows at ``n = 1 … length``, from the sources of each step alone.

    A row that outlives step ``length`` in a slot is read at the next step (slots are handed on); one that waits for
    the delayed reader is read by the time that reader has passed ``length``.
    """
    delayed = next(part for part in parts_of(mixer) if isinstance(part, glm.Delayed))
    stop = length + 1
    while not delayed.sources(stop) or delayed.sources(stop)[0] < length:
        stop += 1
    rows = [mixer.sources(t) for t in range(stop + 1)]
    last: dict[tuple[bool, int], int] = {}
    for t, row in enumerate(rows):
        for part, sources in row.items():
            last.update({(part == "direct", s): t for s in sources})
    terms, live = [], []
    for t in range(length):
        terms.append(max([sum(map(len, rows[t].values())), *terms[-1:]]))
        live.append(max([sum(s <= t < read for (_, s), read in last.items()), *live[-1:]]))
    return terms, live


def confirm(best: Candidate, cache: sympy.Expr, length: int = 70) -> None:
    """Status, class and values at ``n ≤ length``; far out the lag, and at most as many rows more as terms."""
    step_cost, size = best.report.step_cost, best.report.cache_size
    assert best.meets
    assert step_cost.status == size.status == best.status == "proved"
    assert same_class(size.theta, cache)
    terms, live = counted(best.mixer, length)
    for at in (1, 2, 3, 4, 7, 8, 9, 33, length):
        assert step_cost.at(at) == terms[at - 1]
        assert size.at(at) == live[at - 1]
    delayed = next(part for part in parts_of(best.mixer) if isinstance(part, glm.Delayed))
    lag, most = delayed.lag(10**9), ends(step_cost.at(10**9))[1]
    lower, upper = ends(size.at(10**9))
    assert lag <= lower <= upper <= lag + most


@SLOW
@given(pairs())
def test_pairs_of_classes(drawn: tuple[sympy.Expr, sympy.Expr]) -> None:
    step, cache = drawn
    best = design(step_cost=step, cache=cache, limit=1).best
    assert same_class(best.report.step_cost.theta, step)
    confirm(best, cache)


@settings(SLOW, max_examples=12)
@given(st.integers(1, 14), classes())
def test_a_number_of_terms_and_a_growing_cache(terms: int, drawn: tuple) -> None:
    target, _ = drawn
    best = design(step_cost=terms, cache=target, limit=1).best
    assert best.report.step_cost.at(10**6) <= terms
    confirm(best, target)


@pytest.mark.parametrize("terms", [1, 2, 3, 5])
def test_a_number_of_terms_and_a_linear_cache(terms: int) -> None:
    best = design(step_cost=terms, cache="n", limit=1).best
    assert best.report.step_cost.at(10**6) <= terms
    confirm(best, n)


def test_the_distance_of_the_part_is_a_ceiling() -> None:
    best = design(step_cost="log(n)", cache="sqrt(n)", distance="log(n)").best
    assert best.meets
    assert best.status == "proved"
    alone = glm.Mixer(recurrent=best.mixer.recurrent.parts[0])
    for length in (2, 3, 9, 40, 100):
        assert glm.analyze(best.mixer).distance.at(length) <= glm.analyze(alone).distance.at(length)
