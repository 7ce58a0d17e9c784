"""Bad input: a named error that says what was given, what is needed and the nearest valid thing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import glmix_theory as glm
from glmix_theory import errors, k
from tests.patterns.cases import CASES

BAD: dict[str, tuple[Callable[[], Any], type[errors.GlmixError], list[str]]] = {
    "cache-efficient from 2": (
        lambda: glm.CacheEfficient(2 * 2**k),
        errors.IndexFunctionError,
        ["f(0) = 2", "needs f(0) = 1", "2*2**k - 1"],
    ),
    "cache-efficient from 5": (
        lambda: glm.CacheEfficient(k + 5),
        errors.IndexFunctionError,
        ["f(0) = 5", "try CacheEfficient(k + 1)"],
    ),
    "cache-efficient list from 3": (
        lambda: glm.CacheEfficient([3, 4]),
        errors.IndexFunctionError,
        ["CacheEfficient([3, 4])", "f(0) = 3", "a list that starts with 1"],
    ),
    "cache-efficient without terms": (
        lambda: glm.CacheEfficient([]),
        errors.IndexFunctionError,
        ["no terms", "a list that starts with 1"],
    ),
    "cache-efficient callable from 2": (
        lambda: glm.CacheEfficient(lambda j: j + 2),
        errors.IndexFunctionError,
        ["f(0) = 2", "a list that starts with 1"],
    ),
    "offsets of a constant": (lambda: glm.Offsets(3), errors.IndexFunctionError, ["f = 3 is a constant"]),
    "offsets that fall": (lambda: glm.Offsets(9 - k), errors.IndexFunctionError, ["f(0) = 9, f(1) = 8"]),
    "offsets of n": (lambda: glm.Offsets(glm.n + k), errors.IndexFunctionError, ["contains n"]),
    "offsets of halves": (lambda: glm.Offsets(k / 2 + 1), errors.IndexFunctionError, ["f(1) = 3/2"]),
    "negative lag": (
        lambda: glm.Lags([1, -2]),
        errors.CausalityError,
        ["lag -2 reads the future", "did you mean 2?"],
    ),
    "a lag that is no integer": (lambda: glm.Lags([1.5]), errors.PatternError, ["lag 1.5", "Lags([1, 2, 5])"]),
    "a lag that is a bool": (lambda: glm.Lags([True]), errors.PatternError, ["lag True"]),
    "one lag, not a list": (lambda: glm.Lags(3), errors.PatternError, ["lags = 3", "Lags([1, 2, 5])"]),
    "lags as text": (lambda: glm.Lags("12"), errors.PatternError, ["lags = '12'"]),
    "window 0": (lambda: glm.Window(0), errors.LengthError, ["w = 0 is below 1"]),
    "window 2.5": (lambda: glm.Window(2.5), errors.LengthError, ["w = 2.5 is not an integer"]),
    "window True": (lambda: glm.Window(True), errors.LengthError, ["w = True is a bool"]),
    "window of text": (lambda: glm.Window("3"), errors.LengthError, ["w = '3' is not an integer"]),
    "strided 0": (lambda: glm.Strided(0), errors.LengthError, ["s = 0 is below 1"]),
    "blocks -1": (lambda: glm.Blocks(-1), errors.LengthError, ["b = -1 is below 1"]),
    "globals 0": (lambda: glm.GlobalTokens(0), errors.LengthError, ["g = 0 is below 1"]),
    "random 0": (lambda: glm.RandomSources(0, 1), errors.LengthError, ["m = 0 is below 1"]),
    "random seed": (lambda: glm.RandomSources(2, -1), errors.LengthError, ["seed = -1 is below 0"]),
    "an edge to the future": (
        lambda: glm.Explicit([(1, 0), (2, 3)]),
        errors.CausalityError,
        ["(t=2, s=3) reads the future", "did you mean (3, 2)?"],
    ),
    "an edge below 0": (
        lambda: glm.Explicit([(1, -1)]),
        errors.CausalityError,
        ["(t=1, s=-1)", "below 0", "positions start at 0"],
    ),
    "an edge that is no pair": (lambda: glm.Explicit([(1, 2, 3)]), errors.PatternError, ["(1, 2, 3)", "(t, s)"]),
    "an edge of text": (lambda: glm.Explicit(["ab"]), errors.PatternError, ["'ab'", "pair of ints"]),
    "an edge of floats": (lambda: glm.Explicit([(2.0, 1.0)]), errors.PatternError, ["(2.0, 1.0)"]),
    "an edge that is a number": (lambda: glm.Explicit([3]), errors.PatternError, ["edge 3"]),
    "edges that are no list": (lambda: glm.Explicit(7), errors.PatternError, ["edges = 7"]),
    "predicate": (lambda: glm.Predicate(3), errors.PatternError, ["3 is not callable", "(t, s) -> bool"]),
    "shift back": (lambda: glm.Dense().shift(-1), errors.LengthError, ["m = -1 is below 0"]),
    "shift by half": (lambda: glm.Dense().shift(0.5), errors.LengthError, ["m = 0.5 is not an integer"]),
    "shift by a bool": (lambda: glm.Dense().shift(False), errors.LengthError, ["m = False is a bool"]),
    "blocked 0": (lambda: glm.Dense().blocked(0), errors.LengthError, ["b = 0 is below 1"]),
    "diagonal recurrence": (
        lambda: glm.Window(2).require_strict(),
        errors.StrictnessError,
        ["Window(2) contains (0, 0)", "Window(2).strict()"],
    ),
    "explicit diagonal": (
        lambda: glm.Explicit([(1000, 1000)]).require_strict(),
        errors.StrictnessError,
        ["contains (1000, 1000)"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_error_text(name: str) -> None:
    build, error, parts = BAD[name]
    with pytest.raises(error) as caught:
        build()
    for part in parts:
        assert part in str(caught.value)


def test_every_nearest_valid_thing_is_valid() -> None:
    assert glm.CacheEfficient(2 * 2**k - 1).sources(3)
    assert glm.CacheEfficient(k + 1).sources(3)
    glm.Window(2).strict().require_strict()


@pytest.mark.parametrize("name", CASES)
def test_lengths_and_positions(name: str) -> None:
    pattern = CASES[name].pattern
    for build in (pattern.to_csr, pattern.to_dense, pattern.to_networkx):
        for bad, part in ((0, "n = 0 is below 1"), (-3, "n = -3"), (2.0, "not an integer"), (True, "is a bool")):
            with pytest.raises(errors.LengthError, match=part):
                build(bad)
    for ask in (pattern.sources, pattern.in_degree):
        for bad, part in ((-1, "t = -1 is below 0"), (1.5, "not an integer"), (None, "not an integer")):
            with pytest.raises(errors.LengthError, match=part):
                ask(bad)


@pytest.mark.parametrize("name", CASES)
def test_integers_of_every_kind_are_positions(name: str) -> None:
    pattern = CASES[name].pattern
    for five in (np.int64(5), np.uint8(5), sympy.Integer(5)):
        assert pattern.sources(five) == pattern.sources(5)
        assert np.array_equal(pattern.to_dense(five), pattern.to_dense(5))


def test_positions_beyond_arrays_are_refused_not_wrapped() -> None:
    for pattern in (glm.Offsets(2**k), glm.Window(2), glm.Offsets(2**k) | glm.Window(2)):
        with pytest.raises(errors.LengthError, match="2\\^63 - 1"):
            pattern.sources(2**70)


@pytest.mark.parametrize("other", [3, None, "Dense()", {1}, glm.Mixer()])
def test_operators_refuse_what_is_not_a_pattern(other: object) -> None:
    for operate in ("__or__", "__and__", "__sub__", "__matmul__"):
        assert getattr(glm.Dense(), operate)(other) is NotImplemented
    with pytest.raises(TypeError):
        glm.Dense() | other
    with pytest.raises(TypeError):
        other - glm.Dense()


def test_errors_are_also_the_builtin_a_caller_expects() -> None:
    with pytest.raises(ValueError, match="below 1"):
        glm.Window(0)
    with pytest.raises(ValueError, match="reads the future"):
        glm.Lags([-1])
    for name in dir(errors):
        error = getattr(errors, name)
        if isinstance(error, type) and issubclass(error, errors.GlmixError) and error is not errors.GlmixError:
            builtin = [base for base in error.__mro__ if base.__module__ == "builtins"]
            assert set(builtin) - {Exception, BaseException, object}, name
