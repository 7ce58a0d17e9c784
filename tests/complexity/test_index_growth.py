"""Index functions: proofs that hold, refusals with the first ``k``, counts, growth, implicit forms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import sympy
from sympy import Rational, ceiling, factorial, fibonacci, floor, log, sqrt

import glmix_theory as glm
from glmix_theory import k, n
from glmix_theory.errors import IndexFunctionError
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.monotone import prove_nonnegative, prove_positive, prove_steps

PROVED = {
    2**k: log(n),
    7**k: log(n),
    3 * 2**k: log(n),
    2 ** (2 * k + 1): log(n),
    (3**k + 1) / 2: log(n),
    2**k + k: log(n),
    k**2 + 2**k: log(n),
    3**k - 2**k + 1: log(n),
    5**k - k**3 + 10: log(n),
    k * 2**k + 1: log(n),
    k + 1: n,
    k**2 + 1: sqrt(n),
    k * (k + 1) / 2 + 1: sqrt(n),
    4 * k**2 - k + 1: sqrt(n),
    k**3 + 1: n ** Rational(1, 3),
    k**3 - 3 * k**2 + 4 * k + 1: n ** Rational(1, 3),
    sympy.binomial(k + 3, 3): n ** Rational(1, 3),
    factorial(k + 1): log(n) / log(log(n)),
    factorial(k + 1) + 2**k: log(n) / log(log(n)),
    fibonacci(k + 2): log(n),
    ceiling(k * log(k + 2)) + 1: n / log(n),
    floor(3 * k / 2) + 1: n,
    floor(k + sqrt(k)) + 1: n,
    k + floor(k ** Rational(3, 2)) + 1: n ** Rational(2, 3),
    k + floor(2 ** (k / 2)) + 1: log(n),
}


@pytest.mark.parametrize("f", PROVED, ids=str)
def test_proved_with_growth(f: sympy.Expr) -> None:
    function = IndexFunction(f)
    assert function.status == "proved"
    assert function.growth is not None
    assert sympy.simplify(function.growth[0].scale / PROVED[f]) == 1
    values = [function(j) for j in range(60)]
    assert all(b > a for a, b in pairwise(values))
    for length in (*range(1, 40), 100, 255, 256, 257, 1000):
        count = sum(1 for value in values if value < length) if values[-1] >= length else None
        if count is not None:
            assert function.counting_expr.subs(n, length) == count == function.count(length - 1)
            assert function.summing_expr.subs(n, length) == sum(value for value in values if value < length)


FAST = [2**k, k**2 + 1, k + 1, k**3 + 1, 2**k + k, k * 2**k + 1, factorial(k + 1), fibonacci(k + 2)]


@pytest.mark.parametrize("f", FAST, ids=str)
def test_leading_constant_of_the_count_is_approached(f: sympy.Expr) -> None:
    function = IndexFunction(f)
    growth = function.growth[0]
    # the slowest of these converges like log log n / log n
    lead = growth.constant * growth.scale
    ratios = [float(sympy.N(function.count(10**e) / lead.subs(n, sympy.Integer(10) ** e))) for e in (6, 60, 600)]
    assert abs(ratios[2] - 1) < (0.6 if f.has(factorial) else 0.02)
    assert f.has(factorial) or abs(ratios[2] - 1) <= abs(ratios[0] - 1) + 0.001


@pytest.mark.parametrize("f", PROVED, ids=str)
def test_gap_ratio_holds(f: sympy.Expr) -> None:
    function = IndexFunction(f)
    assert function.gap_ratio is not None
    bound = function.gap_ratio[0]
    values = [function(j) for j in range(50)]
    gaps = [b - a for a, b in pairwise(values)]
    largest = 0
    for gap in gaps:
        largest = max(largest, gap)
        assert largest <= bound * gap
    if function.largest_gap is not None:
        assert max(gaps) <= function.largest_gap


@pytest.mark.parametrize(
    ("f", "where"),
    [
        (floor(2 ** sqrt(k)), ["f(1) = 2", "f(2) = 2"]),
        (fibonacci(k + 1), ["f(0) = 1", "f(1) = 1"]),
        (factorial(k), ["f(0) = 1", "f(1) = 1"]),
        (floor(k / 2) + 1, ["f(0) = 1", "f(1) = 1"]),
        (100 * k - k**2 + 1, ["f(49) = 2500", "f(50) = 2501", "f(51) = 2500"][1:]),
    ],
    ids=str,
)
def test_refused_with_the_first_offending_k(f: sympy.Expr, where: list[str]) -> None:
    with pytest.raises(IndexFunctionError) as caught:
        IndexFunction(f)
    assert all(part in str(caught.value) for part in where)


def test_what_is_false_is_not_proved() -> None:
    assert prove_steps(floor(k / 2), 1) is None
    assert prove_steps(k**2 - 5 * k, 1) is None
    assert prove_steps(2**k - 3 * k, 1) is None
    assert prove_steps(fibonacci(k + 1), 1) is None
    assert prove_steps(factorial(k), 1) is None
    assert prove_steps(sqrt(k), 1) is None
    assert prove_nonnegative(2**k - k**2, "g") is None  # 8 < 9 at k = 3
    assert prove_nonnegative(2**k - k, "g") is not None
    assert prove_positive(2**k - k**2 + 2, 3, "g") is not None
    assert prove_positive(2**k - k**2 + 1, 3, "g") is None


def test_unproved_functions_are_only_checked() -> None:
    odd = IndexFunction(k**2 + 1 + sympy.Mod(k, 2))
    assert odd.status == "checked"
    assert odd.growth is odd.count_expr is odd.counting_expr is None
    cost = glm.complexity.step_cost(glm.Mixer(recurrent=glm.Offsets(k**2 + 1 + sympy.Mod(k, 2))))
    assert cost.status == "checked"
    assert cost.at(100) == sum(j * j + 1 + j % 2 < 100 for j in range(20)) + 1


def test_implicit_forms_print_and_evaluate_far_out() -> None:
    count = IndexFunction(factorial(k + 1)).counting_expr
    assert str(count) == "#{k : factorial(k + 1) < n}"
    assert "\\#" in sympy.latex(count)
    assert count.free_symbols == {n}
    assert count.subs(n, math.factorial(30)) == 29
    assert count.subs(n, math.factorial(30) + 1) == 30
    assert IndexFunction(2**k + k).counting_expr.subs(n, 2**80 + 81) == 81


def test_closed_forms_at_neighbours_of_jumps() -> None:
    for f in (k**3 + 1, floor(3 * k / 2) + 1, ceiling(k / 2) + k + 1, (3**k + 1) / 2, 2 ** (2 * k + 1)):
        function = IndexFunction(f)
        assert function.count_expr is not None
        for index in (1, 2, 3, 10, 20, 31):
            for length in (function(index) - 1, function(index), function(index) + 1):
                assert function.count_expr.subs(n, length) == function.count(length - 1), (f, length)
