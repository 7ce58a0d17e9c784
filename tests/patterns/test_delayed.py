"""Delayed rows: exact far out, callables without a claim about their future, laws beside a band of lags."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import errors, k, n
from glmix_theory.complexity import Bounds
from tests import brute_force as brute
from tests.complexity.counts import check_mixer
from tests.strategies import MOVING_ON


def test_far_out_the_lag_is_exact() -> None:
    far = 2**60
    assert glm.Delayed(2**k).sources(far) == (far - 61,)
    assert glm.Delayed(2**k).sources(far - 1) == (far - 1 - 60,)
    square = glm.Delayed(k**2 + 1)
    for t in (far, far + 1, far + 2):
        assert square.sources(t) == (t - math.isqrt(t - 1) - 1,)
    indptr, sources = square.rows(far - 3, far + 40)
    assert np.diff(indptr).tolist() == [1] * 43
    assert sources.tolist() == [t - math.isqrt(t - 1) - 1 for t in range(far - 3, far + 40)]


def test_a_growth_in_n_is_its_staircase() -> None:
    pattern = glm.Delayed(sympy.sqrt(n) * sympy.log(n))
    assert pattern == glm.Delayed(glm.Staircase(sympy.sqrt(n) * sympy.log(n)))
    assert glm.parse_pattern("Delayed(sqrt(n)*log(n))") == glm.parse_pattern(repr(pattern)) == pattern
    assert repr(pattern) == "Delayed(Staircase(sqrt(n)*log(n)))"
    lags = [pattern.lag(t) for t in range(3000)]
    assert set(np.diff(lags)) == {0, 1}
    smooth = [min(t - 1, math.sqrt(t) * math.log(t)) for t in range(1, 3000)]
    assert max(abs(lag - value) for lag, value in zip(lags[1:], smooth)) < 8  # the concave start is shifted
    assert lags[-1] / smooth[-1] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (lambda: glm.Delayed(k + 1), ["position 0", "2*k + 1"]),
        (lambda: glm.Delayed(k + 5), ["position 4", "GlobalTokens"]),
        (lambda: glm.Delayed([]), ["Empty()"]),
        (lambda: glm.Delayed(n / 2), ["not slower than n", "Delayed(m*k + 1)", "Lags([m])"]),
        (lambda: glm.Delayed(3 - 1 / n), ["bounded", "Lags([m])"]),
        (lambda: glm.Delayed([3, 2]), ["not strictly increasing"]),
        (lambda: glm.Delayed(4), ["constant"]),
        (lambda: glm.Delayed("sqrt(n)"), ["a str"]),
    ],
)
def test_bad_lags_are_named(build, parts: list[str]) -> None:
    with pytest.raises(errors.IndexFunctionError) as caught:
        build()
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_callable_promises_nothing_about_its_future() -> None:
    """``j + 1`` below 1000 and even numbers later: the reader stands still for a thousand steps, then moves on."""
    waiting = glm.Delayed(lambda j: j + 1 if j < 1000 else 2 * j)
    assert waiting.sources(500) == (0,)
    certain, possible = waiting.read_from(40, 40)
    assert certain.tolist() == [True] + [False] * 39
    assert possible.all()
    cache = glm.complexity.cache_size(glm.Mixer(recurrent=waiting))
    assert cache.status == "checked"
    assert cache.theta is None
    value = cache.at(30)
    assert isinstance(value, Bounds)
    assert value.lower <= 30 == value.upper  # every row waits for the reader
    assert glm.complexity.step_cost(glm.Mixer(recurrent=waiting)).status == "checked"


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(list(MOVING_ON.items())), st.integers(0, 20), st.booleans(), st.booleans(), st.sampled_from([1, 2])
)
def test_beside_a_band_of_lags(f: tuple, largest: int, diagonal: bool, first: bool, start: int) -> None:
    formula, function = f
    lags = [*([0] if diagonal else []), *range(start, largest + 1)]
    band, reference = glm.Lags(lags), brute.lags(lags)
    row, other = glm.Delayed(formula), brute.delayed(function)
    pattern = band | row if first else row | band
    mixer = glm.Mixer(direct=pattern)
    truth = brute.union(reference, other)
    check_mixer(mixer, [truth], [], [], range(1, 131), 700, {1, 2, 3, 4, 8, 9, 21, 22, 23, 64, 65, 100, 130})
    if start == 1:
        assert glm.complexity.cache_size(mixer).status == "proved"
        assert glm.complexity.step_cost(mixer).status == "proved"


def test_laws_hold_at_a_trillion() -> None:
    mixer = glm.Mixer(recurrent=glm.Delayed(k**2 + 1))
    length = 10**12
    assert glm.complexity.cache_size(mixer).at(length) == math.isqrt(length - 1) + 1
    assert glm.complexity.total_cost(mixer).at(length) == 2 * length - 1
    banded = glm.Mixer(recurrent=glm.Lags([1, 2]) | glm.Delayed(2**k))
    assert glm.complexity.cache_size(banded).at(length) == 40
    assert glm.complexity.step_cost(banded).at(length) == 4


def test_union_with_slots_is_proved_and_bounded_far_out() -> None:
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k) | glm.Delayed(k**2 + 1))
    cache = glm.complexity.cache_size(mixer)
    assert (cache.status, cache.theta, cache.expr) == ("proved", sympy.sqrt(n), None)
    far = cache.at(10**8)
    assert isinstance(far, Bounds)
    assert 10**4 <= far.lower <= far.upper <= 10**4 + 28
    whole = glm.Mixer(recurrent=glm.Offsets(2**k) | glm.Delayed(k**2 + 1))
    assert glm.complexity.cache_size(whole).expr == n


def test_slots_of_the_plan_are_the_lag() -> None:
    plan = glm.SlotPlan(glm.Mixer(recurrent=glm.Delayed(k**2 + 1)))
    assert [plan.peak(length) for length in range(1, 300)] == [math.isqrt(length - 1) + 1 for length in range(1, 300)]
