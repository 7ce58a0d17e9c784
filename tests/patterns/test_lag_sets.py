"""Lag sets: counts, sums and closed forms against enumeration, at every length up to 300."""

import contextlib
import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings

import glmix_theory as glm
from glmix_theory import k, n
from tests.patterns.cases import FAMILIES, LAG_OPERATIONS
from tests.strategies import Drawn, lag_patterns

LONGEST = 300
LAG_CASES = {
    **{name: drawn for name, drawn in FAMILIES.items() if drawn.pattern.lag_set is not None},
    **LAG_OPERATIONS,
}
CASE = pytest.mark.parametrize("name", LAG_CASES)


def lags_of(drawn: Drawn, limit: int) -> list[int]:
    """Lags ``≤ limit``: what step ``limit`` reads, seen from there."""
    return sorted(limit - s for s in drawn.reference(limit))


def check_counts(drawn: Drawn, lengths: range) -> None:
    lags = drawn.pattern.lag_set
    assert lags is not None
    for limit in lengths:
        members = lags_of(drawn, limit)
        found = lags.up_to(limit)
        assert found.dtype == np.int64
        assert found.tolist() == members
        assert lags.count(limit) == len(members)
        assert lags.sum(limit) == sum(members)
        assert (limit in lags) == (limit in members)
    assert lags.count(-1) == lags.sum(-1) == len(lags.up_to(-1)) == 0
    assert lags.count(-7) == lags.sum(-7) == len(lags.up_to(-7)) == 0
    assert -1 not in lags


def check_expressions(drawn: Drawn, lengths: range) -> None:
    lags = drawn.pattern.lag_set
    assert lags is not None
    for name, total in (("count_expr", len), ("sum_expr", sum)):
        expression = getattr(lags, name)
        if expression is None:
            continue
        assert expression.free_symbols <= {n}
        for length in lengths:
            value = expression.subs(n, length)
            assert value.is_Integer
            assert value == total(lags_of(drawn, length - 1)), (name, expression, length)


def check_largest(drawn: Drawn, far: int) -> None:
    lags = drawn.pattern.lag_set
    assert lags is not None
    members = lags_of(drawn, far)
    if lags.largest is not None and lags.largest != math.inf:
        assert lags.largest == max(members, default=-1)
    elif lags.largest == math.inf:
        assert len(members) > len(lags_of(drawn, far // 6))
    if lags.all_from is not None:
        assert set(range(lags.all_from, far + 1)) <= set(members)


@CASE
def test_counts_and_sums(name: str) -> None:
    check_counts(LAG_CASES[name], range(LONGEST))


@CASE
def test_closed_forms(name: str) -> None:
    check_expressions(LAG_CASES[name], range(1, LONGEST + 1))


@CASE
def test_largest_and_all_from(name: str) -> None:
    check_largest(LAG_CASES[name], 1000)


@CASE
def test_reason_is_given(name: str) -> None:
    lags = LAG_CASES[name].pattern.lag_set
    assert lags is not None
    assert lags.reason
    assert isinstance(lags.proved, bool)


@given(lag_patterns())
def test_drawn_counts(drawn: Drawn) -> None:
    check_counts(drawn, range(0, 60, 3))
    check_largest(drawn, 400)


@settings(max_examples=30)
@given(lag_patterns(max_leaves=3))
def test_drawn_closed_forms(drawn: Drawn) -> None:
    check_expressions(drawn, range(1, 50))


def test_closed_forms_exist_where_the_derivation_is_known() -> None:
    """A missing rule falls back to counting: these must not."""
    missing = {
        name
        for name, drawn in LAG_CASES.items()
        if drawn.pattern.lag_set is not None
        and (drawn.pattern.lag_set.count_expr is None or drawn.pattern.lag_set.sum_expr is None)
    }
    no_inverse = {"offsets of 2**k + k", "offsets of k**3 + 1"}  # a cubic's inverse is not simplified
    no_inverse |= {"offsets of floor(3*k/2) + 1", "offsets of factorial(k + 1)", "offsets of a callable"}
    overlaps = {"2^k | k²+1", "k²+1 - 2^k", "2^k & k²+1", "k²+1 & dense shifted", "2^k @ window"}
    overlaps |= {"(strided | 2^k) strict"}
    assert missing <= no_inverse | overlaps


def test_closed_forms_by_hand() -> None:
    assert str(glm.Offsets(2**k).lag_set.count_expr) == "ceiling(log(n)/log(2))"
    assert glm.Dense().lag_set.sum_expr.subs(n, 10**12) == 10**12 * (10**12 - 1) // 2
    assert glm.Window(5).lag_set.count_expr == sympy.Min(n, 5)


@pytest.mark.parametrize("far", [2**60, 3**38, (10**9) ** 2 + 1])
def test_counts_and_closed_forms_at_far_neighbours(far: int) -> None:
    """Off by one at a power would show here: ``limit = far - 1, far, far + 1``."""
    for limit in (far - 1, far, far + 1):
        powers = sum(2**j <= limit for j in range(64))
        triples = sum(3**j <= limit for j in range(41))
        squares = math.isqrt(limit - 1) + 1
        for f, expected in ((2**k, powers), (3**k, triples), (k**2 + 1, squares)):
            lags = glm.Offsets(f).lag_set
            assert lags.count(limit) == expected
            assert lags.count_expr.subs(n, limit + 1) == expected
            assert lags.sum_expr.subs(n, limit + 1) == lags.sum(limit)
        assert glm.Offsets(2**k).lag_set.sum(limit) == 2**powers - 1
        assert glm.Offsets(k**2 + 1).lag_set.sum(limit) == squares + (squares - 1) * squares * (2 * squares - 1) // 6
        assert (limit in glm.Offsets(2**k).lag_set) == (limit == 2**60)
        assert (limit in glm.Offsets(3**k).lag_set) == (limit == 3**38)
        assert (limit in glm.Offsets(k**2 + 1).lag_set) == (math.isqrt(limit - 1) ** 2 == limit - 1)


def test_lags_beyond_int64() -> None:
    """Numbers that fit no array entry still count, and read nothing within reach."""
    pattern = glm.Offsets([1, 2**70])
    assert pattern.lag_set.count(2**70) == 2
    assert pattern.sources(9) == (8,)
    assert all(array.all() for array in pattern.read_from(5, 5))
    assert glm.Lags([1, 2**70]).sources(9) == (8,)


def test_arrays_handed_out_cannot_change_the_pattern() -> None:
    for name, drawn in LAG_CASES.items():
        found = drawn.pattern.lag_set.up_to(50)
        before = drawn.pattern.sources(50)
        with contextlib.suppress(ValueError):  # read-only is as good
            found[:] = 0
        assert drawn.pattern.sources(50) == before, name
