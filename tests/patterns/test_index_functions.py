"""Index functions: exact values at any size, exact inverses, and errors that name the right ``k``."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from glmix_theory import k, n
from glmix_theory.errors import IndexFunctionError
from glmix_theory.patterns.index_functions import COUNT, IndexFunction, prove_positive
from glmix_theory.patterns.rounding import ceiling
from tests.strategies import FORMULAS, increasing_lists


def label(value: object) -> str | None:
    """A test id that is the same in every process."""
    return str(value) if isinstance(value, sympy.Expr) else None


FORMULA = pytest.mark.parametrize("f", FORMULAS, ids=str)


@FORMULA
def test_values_are_exact_integers(f: sympy.Expr) -> None:
    function, plain = IndexFunction(f), FORMULAS[f]
    for index in (*range(40), 63, 64, 100, 170):
        value = function(index)
        assert type(value) is int
        assert value == plain(index)
    assert IndexFunction(plain)(5) == IndexFunction(function)(5) == plain(5)


@FORMULA
def test_count_up_to_and_prefix_sum(f: sympy.Expr) -> None:
    function, plain = IndexFunction(f), FORMULAS[f]
    for limit in (-5, 0, *range(1, 130), 4095, 4096, 4097, 10**6):
        values = []
        while (value := plain(len(values))) <= limit and len(values) < 400:
            values.append(value)
        if len(values) == 400:
            continue
        assert function.count(limit) == len(values)
        assert function.up_to(limit).tolist() == values
        assert function.prefix_sum(len(values)) == sum(values)
    big = function.up_to(10**5)
    assert big.dtype == np.int64
    assert big.tolist() == [plain(index) for index in range(len(big))]


@FORMULA
def test_symbolic_facts(f: sympy.Expr) -> None:
    function, plain = IndexFunction(f), FORMULAS[f]
    if function.inverse is not None:
        for index in (0, 1, 2, 3, 7, 20, 60):
            assert sympy.simplify(function.inverse.subs(n, plain(index)) - index) == 0
    if function.count_expr is not None:
        for index in range(1, 30):
            for length in (plain(index) - 1, plain(index), plain(index) + 1):
                if length >= 1:
                    assert function.count_expr.subs(n, length) == function.count(length - 1)
    if function.prefix_sum_expr is not None:
        for number in (0, 1, 2, 9, 30, 50):
            assert function.prefix_sum_expr.subs(COUNT, number) == sum(map(plain, range(number)))


@given(increasing_lists(), st.integers(-3, 80))
def test_lists(values: list[int], limit: int) -> None:
    function = IndexFunction(values)
    assert function.length == len(values)
    assert function.count(limit) == sum(value <= limit for value in values)
    assert function.up_to(limit).tolist() == [value for value in values if value <= limit]
    assert function.status == "proved"
    assert eval(repr(function)) == values


@pytest.mark.parametrize("limit", [2**60 - 1, 2**60, 2**60 + 1, 3**38 - 1, 3**38, 3**38 + 1])
def test_counts_of_powers_far_out(limit: int) -> None:
    assert IndexFunction(2**k).count(limit) == limit.bit_length()
    assert IndexFunction(3**k).count(limit) == next(j for j in range(99) if 3**j > limit)
    assert IndexFunction(2**k).up_to(limit).tolist() == [2**j for j in range(limit.bit_length())]


@pytest.mark.parametrize("base", [10**9, 2**29, 3 * 10**8 + 7])
def test_counts_of_squares_far_out(base: int) -> None:
    function = IndexFunction(k**2 + 1)
    assert [function.count(base**2 + 1 + d) for d in (-1, 0, 1)] == [base, base + 1, base + 1]
    assert [function.count_expr.subs(n, base**2 + 1 + d) for d in (0, 1, 2)] == [base, base + 1, base + 1]


def test_counts_beyond_every_float() -> None:
    assert IndexFunction(2**k).count(2**5000 - 1) == 5000
    assert IndexFunction(2**k).count(2**5000) == 5001
    assert IndexFunction(k**2 + 1).count(10**800) == 10**400


@pytest.mark.parametrize(
    ("f", "plain"),
    [
        (sympy.floor(4 ** sympy.sqrt(k)) + k, lambda j: math.floor(4 ** math.sqrt(j) + 1e-9) + j),
        (sympy.floor(k**2 / (1 + sympy.sqrt(2))) + k + 1, lambda j: math.floor(j * j / (1 + 2**0.5)) + j + 1),
        (sympy.floor(sympy.sqrt(2) * k) + 1, lambda j: math.isqrt(2 * j * j) + 1),
        (sympy.ceiling(sympy.log(k + 1)) + k + 1, lambda j: math.ceil(math.log(j + 1)) + j + 1),
        (sympy.ceiling(k / 3) + k + 1, lambda j: -(-j // 3) + j + 1),
        (sympy.floor(sympy.factorial(k / 2 + 1)) + k, lambda j: math.floor(math.gamma(j / 2 + 2) + 1e-9) + j),
        (sympy.binomial(k + 3, 2), lambda j: math.comb(j + 3, 2)),
        (sympy.fibonacci(k + 2), lambda j: int(sympy.fibonacci(j + 2))),
        (k + 1 + sympy.floor(k / (k + 2)), lambda j: j + 1),
    ],
    ids=label,
)
def test_roots_logarithms_and_quotients_stay_exact(f: sympy.Expr, plain: object) -> None:
    function = IndexFunction(f)
    assert [function(index) for index in range(25)] == [plain(index) for index in range(25)]


@pytest.mark.parametrize("f", [2**k, 3**k, 10**k, 3 * 2**k, k**2 + 1, k * (k + 1) / 2 + 1, k**3 + 1], ids=str)
def test_closed_forms_just_above_and_below_each_value(f: sympy.Expr) -> None:
    """``sympy.ceiling`` alone is off by one here, for instance at ``log(2**31 + 1)/log(2)``."""
    function = IndexFunction(f)
    for index in (*range(1, 43), 63, 64, 200, 1001):
        value = function(index)
        assert [function.count_expr.subs(n, value + d) for d in (0, 1)] == [index, index + 1]
        assert [function.count(value - 1 + d) for d in (0, 1)] == [index, index + 1]


def test_rounding_up_any_number() -> None:
    assert ceiling(sympy.log(2**31 + 1) / sympy.log(2)) == 32
    assert ceiling(sympy.log(3**401 + 1) / sympy.log(3)) == 402
    assert ceiling(sympy.log(3**401 - 1) / sympy.log(3)) == 401
    assert ceiling(sympy.log(3**401) / sympy.log(3)) == 401
    assert ceiling(sympy.sqrt(10**60 - 1)) == 10**30
    assert ceiling(sympy.sqrt(10**60 + 1)) == 10**30 + 1
    assert [ceiling(x) for x in (sympy.Rational(7, 2), -sympy.sqrt(2), 0, sympy.oo)] == [4, -1, 0, sympy.oo]
    assert ceiling(n + sympy.Rational(1, 2)) == n + 1
    assert ceiling(sympy.log(n)).has(sympy.ceiling)
    assert str(ceiling(sympy.log(n))) == "ceiling(log(n))"


def test_rounded_logarithms_are_exact_at_every_power() -> None:
    """``sympy.floor(log(2**31 - 1)/log(2))`` is 31; the values of ``f`` must not inherit that."""
    down = IndexFunction(k + 1 + sympy.floor(sympy.log(k + 1) / sympy.log(2)))
    up = IndexFunction(k + 1 + sympy.ceiling(sympy.log(k + 1) / sympy.log(2)))
    for power in (1, 2, 3, 8, 31, 32, 33, 47, 63, 64, 301):
        for index in (2**power - 2, 2**power - 1, 2**power):
            assert down(index) - index - 1 == (index + 1).bit_length() - 1
            assert up(index) - index - 1 == index.bit_length()


def test_a_symbol_called_k_without_assumptions_is_taken_as_k() -> None:
    assert IndexFunction(sympy.Symbol("k") ** 2 + 1) == IndexFunction(k**2 + 1)


@pytest.mark.parametrize(
    ("f", "parts"),
    [
        (5, ["f = 5 is a constant", "k + 5", "[5]"]),
        (sympy.Integer(5), ["f = 5", "does not depend on k", "k + 5"]),
        (3 - k, ["not strictly increasing", "f(0) = 3", "f(1) = 2"]),
        (-k - 1, ["not positive", "f(0) = -1"]),
        (k, ["not positive", "f(0) = 0", "k + 1", "glm.Lags"]),
        (100 - k, ["not strictly increasing", "f(0) = 100", "f(1) = 99"]),
        (sympy.floor(k / 2) + 1, ["not strictly increasing", "f(0) = 1", "f(1) = 1"]),
        ((k - 3) ** 2 + 1, ["not strictly increasing", "f(0) = 10", "f(1) = 5"]),
        (k**2 - 2 * k + 5, ["not strictly increasing", "f(0) = 5", "f(1) = 4"]),
        (k * (20 - k) + 1, ["not strictly increasing", "f(10) = 101", "f(11) = 100"]),
        (k / 2 + 1, ["f(1) = 3/2 is not an integer", "floor"]),
        (sympy.sqrt(k) + 1, ["f(2)", "is not an integer", "floor"]),
        (k + 0.5, ["f(0)", "is not an integer"]),
        (1 / k + k, ["f(0) = zoo is not an integer"]),
        (k + n, ["contains n", "one symbol k"]),
        (sympy.Symbol("m") * k, ["contains m"]),
        ([1, 3, 3], ["not strictly increasing", "f(1) = 3", "f(2) = 3"]),
        ([0, 1], ["not positive", "f(0) = 0"]),
        ([1, 2.5], ["f(1) = 2.5 is not an integer"]),
        ([True, 2], ["f(0) = True is a bool"]),
        ([1, "2"], ["f(1) = 2 is not an integer"]),
        (lambda j: j / 2 + 1, ["f(0) = 1.0 is not an integer"]),
        (lambda j: 7, ["not strictly increasing", "f(0) = 7", "f(1) = 7"]),
        (lambda j: min(j, 200) + 1, ["not strictly increasing", "f(200) = 201", "f(201) = 201"]),
        ("k**2", ["is a str", "sympy expression in glm.k"]),
        (2.0, ["is a float"]),
        (None, ["is a NoneType"]),
        (True, ["is a bool"]),
        ({1, 2}, ["is a set"]),
    ],
    ids=label,
)
def test_errors_name_the_offending_k(f: object, parts: list[str]) -> None:
    with pytest.raises(IndexFunctionError) as caught:
        IndexFunction(f)
    for part in parts:
        assert part in str(caught.value)


def test_integers_of_every_kind_are_accepted() -> None:
    values = [np.int64(1), sympy.Integer(2), Fraction(6, 2), 4]
    assert IndexFunction(values)(2) == 3
    assert IndexFunction(lambda j: Fraction(2 * j + 2, 2))(4) == 5
    assert IndexFunction(range(1, 9)).length == 8


def test_status_and_evidence() -> None:
    assert IndexFunction(2**k).status == IndexFunction(k**2 + 1).status == "proved"
    assert IndexFunction(lambda j: j + 1).status == "checked"
    assert "k < 256" in IndexFunction(lambda j: j + 1).evidence
    dip = (k - 2) ** 2 * k + 1  # 1, 2, 1: not monotone
    with pytest.raises(IndexFunctionError):
        IndexFunction(dip)
    late = k**3 - 3 * k**2 + 4 * k + 1  # its step has terms of both signs
    assert "Sturm" in IndexFunction(late).evidence
    assert IndexFunction(late).status == "proved"


def test_prove_positive_refuses_what_is_false() -> None:
    assert prove_positive(k + 1, 8, "g") is not None
    assert prove_positive(k - 3, 8, "g") is None
    assert prove_positive(5 - k, 3, "g") is None
    assert prove_positive(k**2 - 7 * k + 13, 4, "g") is not None
    assert prove_positive((k - 20) ** 2, 4, "g") is None
