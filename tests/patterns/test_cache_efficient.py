"""The cache-efficient construction: containment, lag bound, slots that move, and the closed form."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given

import glmix_theory as glm
from glmix_theory import k
from tests import brute_force
from tests.patterns.cases import CASES
from tests.strategies import FORMULAS, Drawn, cache_efficient, increasing_lists

LONGEST = 300
FROM_ONE = {str(f): (f, g) for f, g in FORMULAS.items() if g(0) == 1}
FORMULA = pytest.mark.parametrize("name", FROM_ONE)


def closed_form(f: list[int], i: int) -> set[int]:
    """THEORY proposition 7 with fractions, 1-based."""
    periods = [1]
    for before, after in pairwise(f):
        periods.append(periods[-1] * ceil(Fraction(after - before, periods[-1])))
    return {a * ceil(Fraction(i - value, a)) for a, value in zip(periods, f) if value < i}


@FORMULA
def test_closed_form_equals_moving_slots(name: str) -> None:
    f, g = FROM_ONE[name]
    pattern, slots = glm.CacheEfficient(f), brute_force.cache_efficient(g)
    values = brute_force.offset_values(g, LONGEST)
    for t in range(LONGEST):
        form = {i - 1 for i in closed_form(values, t + 1)}
        assert set(pattern.sources(t)) == form == slots(t), t


@given(increasing_lists(first=1, largest_gap=40))
def test_closed_form_equals_moving_slots_for_any_list(f: list[int]) -> None:
    pattern, slots = glm.CacheEfficient(f), brute_force.cache_efficient(f)
    for t in range(2 * f[-1] + 20):
        assert set(pattern.sources(t)) == {i - 1 for i in closed_form(f, t + 1)} == slots(t), t


@given(cache_efficient())
def test_reads_only_what_the_step_before_read_or_made(drawn: Drawn) -> None:
    assert drawn.pattern.cache_efficient
    before: set[int] = set()
    for t in range(120):
        sources = set(drawn.pattern.sources(t))
        assert sources <= before | {t - 1}, t
        before = sources


def test_the_property_is_claimed_only_where_it_holds() -> None:
    for name, drawn in CASES.items():
        if drawn.pattern.cache_efficient:
            for t in range(1, LONGEST):
                assert drawn.reference(t) <= drawn.reference(t - 1) | {t - 1}, (name, t)
    claimed = {name for name, drawn in CASES.items() if drawn.pattern.cache_efficient}
    assert claimed >= {"cache-efficient 2**k", "cache-efficient list", "cache-efficient strict"}


@FORMULA
def test_lag_bound(name: str) -> None:
    """THEORY proposition 8: slot ``k`` reads at a lag in ``(f(k) - a_k, f(k)]``, and some slot at each."""
    f, g = FROM_ONE[name]
    pattern = glm.CacheEfficient(f)
    for t in range(LONGEST):
        found = set(pattern.sources(t))
        explained = set()
        for index, value in enumerate(brute_force.offset_values(g, t)):
            low = value - pattern.period(index)
            within = {s for s in found if low < t - s <= value}
            assert within, (t, index)
            explained |= within
        assert explained == found, t


@FORMULA
def test_never_more_terms_and_never_farther_than_the_pattern_it_approximates(name: str) -> None:
    f, _ = FROM_ONE[name]
    pattern, exact = glm.CacheEfficient(f), glm.Offsets(f)
    for t in range(LONGEST):
        assert pattern.in_degree(t) <= exact.in_degree(t)
        assert min(pattern.sources(t), default=t) >= min(exact.sources(t), default=t)


@FORMULA
def test_periods_divide_each_other_and_slots_can_be_proved_disjoint(name: str) -> None:
    f, g = FROM_ONE[name]
    pattern = glm.CacheEfficient(f)
    number = len(brute_force.offset_values(g, LONGEST - 1))
    for index in range(1, number):
        assert pattern.period(index) % pattern.period(index - 1) == 0
        gap = g(index) - g(index - 1)
        assert gap <= pattern.period(index) < gap + pattern.period(index - 1)
    for upto in (*range(min(number, 12)), number):
        if pattern.slots_disjoint_until(upto):
            last = g(upto) if upto < number else LONGEST
            assert all(pattern.in_degree(t) == len(brute_force.offset_values(g, t)) for t in range(min(last, LONGEST)))


def test_slots_of_powers_are_disjoint_and_those_of_squares_are_not() -> None:
    powers, squares = glm.CacheEfficient(2**k), glm.CacheEfficient(k**2 + 1)
    assert powers.slots_disjoint_until(60)
    assert not squares.slots_disjoint_until(6)
    assert all(powers.in_degree(t) == glm.Offsets(2**k).in_degree(t) for t in range(1000))
    assert any(squares.in_degree(t) < glm.Offsets(k**2 + 1).in_degree(t) for t in range(100))


def test_rows_across_the_internal_chunks() -> None:
    """A window wide enough to be built in several pieces equals the steps one by one."""
    pattern = glm.CacheEfficient(k + 1)
    start, stop = 2500, 4400
    indptr, sources = pattern.rows(start, stop)
    assert np.array_equal(np.diff(indptr), np.arange(start, stop))
    for t in (start, start + 1, 3453, 3454, 3455, stop - 1):
        row = sources[indptr[t - start] : indptr[t - start + 1]]
        assert np.array_equal(row, np.arange(t))


def test_cache_is_exactly_the_positions_of_one_step() -> None:
    """What later steps read of the past is contained in what one step reads: the streaming cache."""
    pattern = glm.CacheEfficient(k**2 + 1)
    for t in range(1, 200):
        certain, _ = pattern.read_from(t, t)
        assert tuple(np.flatnonzero(certain)) == pattern.sources(t)
