"""Rules of the algebra of counts: periodicity, quasi-linear sequences, slot runs, bits, sums, growth, statuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.complexity import Bounds
from glmix_theory.complexity.bit_counts import bits_law
from glmix_theory.complexity.quasi_linear import QuasiLinear, largest_of
from glmix_theory.complexity.slot_runs import SlotRuns
from glmix_theory.notation import n
from tests import brute_force as brute
from tests.complexity.counts import check_horizon, check_mixer
from tests.strategies import Drawn, increasing_lists, patterns

FORMULA_AT = {*range(1, 40), 63, 64, 65, 100, 150}


@settings(max_examples=150)
@given(patterns(max_leaves=4))
def test_periodicity_holds_far_beyond_its_threshold(drawn: Drawn) -> None:
    period = drawn.pattern.periodicity
    if period is None or period.settled + 2 * period.period > 130:
        return
    size = period.settled + 3 * period.period + 20
    matrix = drawn.reference.matrix(size)
    p, start, reach = period.period, period.start, period.reach
    assert np.array_equal(matrix[: size - p, start : size - p], matrix[p:, start + p :])
    lag = np.arange(size - p)[:, None] - np.arange(size)[None]
    assert ((matrix[: size - p] == matrix[p:]) | (lag < reach)).all()


def sequences() -> st.SearchStrategy[tuple[QuasiLinear, list[int]]]:
    """A quasi-linear sequence and its first 150 values from the definition."""

    def build(values: list[int], slopes: list[int]) -> tuple[QuasiLinear, list[int]]:
        threshold, period = max(len(values) - len(slopes), 0), len(slopes)
        values = (values + [0] * period)[: threshold + period]
        full = list(values)
        while len(full) < 150:
            full.append(full[-period] + slopes[(len(full) - threshold) % period])
        return QuasiLinear.of(full, threshold, period), full

    return st.builds(
        build, st.lists(st.integers(0, 9), min_size=1, max_size=9), st.lists(st.integers(0, 3), min_size=1, max_size=5)
    )


@settings(max_examples=150)
@given(sequences(), sequences())
def test_quasi_linear_sequences(first: tuple[QuasiLinear, list[int]], second: tuple[QuasiLinear, list[int]]) -> None:
    (one, values), (two, others) = first, second
    assert one.listed(150).tolist() == values == [one.at(t) for t in range(150)]
    assert [one.prefix(m) for m in range(150)] == [sum(values[:m]) for m in range(150)]
    peak = one.peak
    assert peak.listed(150).tolist() == np.maximum.accumulate(values).tolist()
    assert (one + two).listed(150).tolist() == [a + b for a, b in zip(values, others)]
    assert one.delayed(4).listed(150).tolist() == [0] * 4 + values[:-4]
    joint = largest_of([one, two])
    assert joint is not None
    assert joint.listed(150).tolist() == [max(a, b) for a, b in zip(values, others)]
    for expression, truth in ((peak.expr(1), np.maximum.accumulate(values).tolist()), (one.prefix_expr, None)):
        if expression is None:
            continue
        for m in (1, 2, 3, 5, 8, 13, 30, 77):
            assert expression.subs(n, m) == (sum(values[:m]) if truth is None else truth[m - 1])
    assert one.monotone == (sorted(values) == values)


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3))
def test_bit_counts(exponent: int, ones: int, constant: int) -> None:
    law = bits_law(exponent, ones, constant, ())
    values = [exponent * ((i & -i).bit_length() - 1) + ones * i.bit_count() + constant for i in range(1, 140)]
    assert law.listed(139).tolist() == values == [law.at(t) for t in range(139)]
    for m in (*range(1, 40), 62, 63, 64, 126, 127, 128, 139):
        assert law.peak(m) == max(values[:m])
        assert law.peak_expr is None or law.peak_expr.subs(n, m) == max(values[:m])
        assert law.prefix(m) == sum(values[:m]) == law.prefix_expr.subs(n, m)


RUNS = [
    k**2 + 1, k * (k + 1) / 2 + 1, k**3 + 1, 2**k + k, sympy.floor(3 * k / 2) + 1, sympy.factorial(k + 1),
    sympy.fibonacci(k + 2), k**3 - 3 * k**2 + 4 * k + 1, sympy.ceiling(k * sympy.log(k + 2)) + 1, 2 * k + 1,
]  # fmt: skip


@pytest.mark.parametrize("f", RUNS, ids=str)
def test_slot_runs_count_distinct_slots(f: sympy.Expr) -> None:
    pattern = glm.CacheEfficient(f)
    runs, degrees = SlotRuns(pattern), pattern.in_degrees(1200)
    assert [runs.distinct(i) for i in range(1, 1201)] == degrees.tolist()
    assert [runs.total(i) for i in range(1, 1201)] == np.cumsum(degrees).tolist()
    assert [runs.largest(i) for i in range(1, 1201)] == np.maximum.accumulate(degrees).tolist()


@settings(max_examples=60)
@given(increasing_lists(first=1, largest_gap=25))
def test_slot_runs_of_any_list(f: list[int]) -> None:
    reference, runs = brute.cache_efficient(f), SlotRuns(glm.CacheEfficient(f))
    sizes = [len(reference(t)) for t in range(260)]
    assert [runs.distinct(i) for i in range(1, 261)] == sizes
    assert [runs.total(i) for i in range(1, 261)] == np.cumsum(sizes).tolist()
    assert [runs.largest(i) for i in range(1, 261)] == np.maximum.accumulate(sizes).tolist()


def test_slot_runs_far_out_agree_with_the_slots_themselves() -> None:
    pattern = glm.CacheEfficient(k**2 + 1)
    runs, start = SlotRuns(pattern), 10**8
    sizes = [len(pattern.sources(t)) for t in range(start, start + 40)]
    assert [runs.distinct(t + 1) for t in range(start, start + 40)] == sizes
    gains = [runs.total(t + 1) - runs.total(t) for t in range(start, start + 40)]
    assert gains == sizes
    assert max(sizes) <= runs.largest(start + 40)


UNIONS = {
    "powers and multiples of 8": (
        glm.Offsets(2**k) | glm.Strided(8),
        brute.union(brute.offsets(lambda j: 2**j), brute.strided(8)),
    ),
    "powers of 2 and squares": (
        glm.Offsets(2**k) | glm.Offsets(k**2 + 1),
        brute.union(brute.offsets(lambda j: 2**j), brute.offsets(lambda j: j * j + 1)),
    ),
    "squares, multiples of 5 only": (
        glm.Offsets(k**2 + 1) & glm.Strided(5),
        brute.intersection(brute.offsets(lambda j: j * j + 1), brute.strided(5)),
    ),
    "squares without multiples of 5": (
        glm.Offsets(k**2 + 1) - glm.Strided(5),
        brute.difference(brute.offsets(lambda j: j * j + 1), brute.strided(5)),
    ),
    "two strides": (glm.Strided(4) | glm.Strided(6), brute.union(brute.strided(4), brute.strided(6))),
    "stride without stride": (
        glm.Strided(2) - glm.Strided(6),
        brute.difference(brute.strided(2), brute.strided(6)),
    ),
    "window, powers and globals": (
        glm.Window(5) | glm.Offsets(2**k) | glm.GlobalTokens(3),
        brute.union(brute.union(brute.window(5), brute.offsets(lambda j: 2**j)), brute.global_tokens(3)),
    ),
    "powers and globals, strict": (
        (glm.Offsets(2**k) | glm.GlobalTokens(3)).strict(),
        brute.strict(brute.union(brute.offsets(lambda j: 2**j), brute.global_tokens(3))),
    ),
    "powers, itself and globals, strict": (
        (glm.Offsets(2**k) | glm.GlobalTokens(3) | glm.Diagonal()).strict(),
        brute.strict(brute.union(brute.offsets(lambda j: 2**j), brute.global_tokens(3))),
    ),
    "powers in blocks": (
        (glm.Diagonal() | glm.Offsets(2**k)).blocked(4),
        brute.blocked(brute.union(brute.diagonal(), brute.offsets(lambda j: 2**j)), 4),
    ),
    "window over blocks": (
        glm.Window(7) | glm.Blocks(4),
        brute.union(brute.window(7), brute.blocks(4)),
    ),
    "tree without itself": (
        glm.FenwickPrefix() - glm.Diagonal(),
        brute.strict(brute.fenwick_prefix()),
    ),
    "whole tree": (
        glm.FenwickPrefix() | glm.Fenwick(),
        brute.union(brute.fenwick_prefix(), brute.fenwick()),
    ),
    "shifted slots": (
        glm.CacheEfficient(2**k).shift(3),
        brute.shift(brute.cache_efficient(lambda j: 2**j), 3),
    ),
}


@pytest.mark.parametrize("name", UNIONS)
def test_decided_combinations_are_exact_and_proved(name: str) -> None:
    pattern, reference = UNIONS[name]
    mixer = glm.Mixer(pattern)
    check_mixer(mixer, [reference], [], [], range(1, 151), 700, FORMULA_AT)
    check_horizon(mixer, [reference], [], [1, 2, 3, 10, 33, 64, 65])
    step, total = glm.complexity.step_cost(mixer), glm.complexity.total_cost(mixer)
    assert step.status == total.status == "proved"
    assert total.expr is not None


def test_union_without_a_closed_form_has_bounds_and_a_proved_class() -> None:
    mixer = glm.Mixer(glm.CacheEfficient(k**2 + 1) | glm.GlobalTokens(3))
    cost = glm.complexity.step_cost(mixer)
    assert (cost.status, cost.theta, cost.expr, cost.leading) == ("proved", sympy.sqrt(n), None, None)
    assert cost.at(100) == max(len(mixer.direct.sources(t)) for t in range(100))
    far = cost.at(10**12)
    assert isinstance(far, Bounds)
    assert 700_000 < far.lower <= far.upper <= far.lower + 3


LEADING = {
    "dense": (glm.Mixer(glm.Dense()), 1, sympy.Rational(1, 2)),
    "2^k": (glm.Mixer(recurrent=glm.Offsets(2**k)), 1 / sympy.log(2), 1 / sympy.log(2)),
    "k²+1": (glm.Mixer(recurrent=glm.Offsets(k**2 + 1)), 1, sympy.Rational(2, 3)),
    "factorial": (glm.Mixer(recurrent=glm.Offsets(sympy.factorial(k + 1))), 1, 1),
    "k log k": (glm.Mixer(recurrent=glm.Offsets(sympy.ceiling(k * sympy.log(k + 2)) + 1)), 1, sympy.Rational(1, 2)),
    "strided": (glm.Mixer(glm.Strided(4)), sympy.Rational(1, 4), sympy.Rational(1, 8)),
    "chacal": (glm.Mixer(glm.Dense(), glm.Dense().strict()), 2, 1),
    "blocks": (glm.Mixer(glm.Blocks(6)), 6, sympy.Rational(7, 2)),
}


@pytest.mark.parametrize("name", LEADING)
def test_leading_constants(name: str) -> None:
    mixer, step, total = LEADING[name]
    report = glm.complexity.step_cost(mixer), glm.complexity.total_cost(mixer)
    for quantity, constant in zip(report, (step, total)):
        assert quantity.leading is not None
        assert sympy.simplify(quantity.leading - constant) == 0
        assert str(quantity.leading) in str(quantity.to_dict()["leading"])


@pytest.mark.parametrize("name", ["2^k", "k²+1", "dense", "strided", "chacal", "blocks"])
def test_leading_constants_are_approached(name: str) -> None:
    mixer = LEADING[name][0]
    for quantity in (glm.complexity.step_cost(mixer), glm.complexity.total_cost(mixer)):
        scale = sympy.lambdify(n, quantity.leading * quantity.theta, "math")
        assert math.isclose(quantity.at(10**12) / scale(10**12), 1, rel_tol=0.06)


def test_every_paper_row_offset_and_cache_efficient_pattern_is_proved() -> None:
    mixers = [entry.build() for entry in glm.catalogue.table1()]
    for f in RUNS:
        mixers += [glm.Mixer(recurrent=glm.Offsets(f)), glm.Mixer(recurrent=glm.CacheEfficient(f))]
    for mixer in mixers:
        for measure in (glm.complexity.step_cost, glm.complexity.total_cost, glm.complexity.cache_size):
            quantity = measure(mixer)
            assert quantity.status in ("proved", "cited"), (mixer, quantity.name, quantity.evidence)
            assert quantity.theta is not None


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_every_catalogue_entry_is_proved_or_cited(name: str) -> None:
    for measure in (glm.complexity.step_cost, glm.complexity.total_cost, glm.complexity.cache_size):
        quantity = measure(glm.catalogue[name])
        assert quantity.status in ("proved", "cited")
        assert quantity.latex
        assert "$" in quantity._repr_html_()


def test_opaque_functions_are_checked_with_their_range() -> None:
    def square(j: int) -> int:
        return j * j + 1

    offsets = glm.Offsets(square)
    for pattern in (
        offsets,
        glm.CacheEfficient(square),
        (glm.GlobalTokens(2) | offsets).strict(),
        offsets.blocked(2),
        (glm.Fenwick() | offsets),
    ):
        for measure in (glm.complexity.step_cost, glm.complexity.total_cost, glm.complexity.cache_size):
            quantity = measure(glm.Mixer(recurrent=pattern))
            assert quantity.status == "checked"
            assert any("k < 256" in step for step in quantity.evidence)
