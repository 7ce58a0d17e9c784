"""Equality, hash, printed form, immutability and notebook rendering."""

import copy
import pickle

import pytest
import sympy
from hypothesis import given

import glmix_theory as glm
from glmix_theory.patterns import parse_pattern
from tests.patterns.cases import CASES
from tests.strategies import Drawn, patterns

NAMES = {name: getattr(glm, name) for name in glm.patterns.__all__ if hasattr(glm, name)}
NAMES |= {
    "k": glm.k,
    "n": glm.n,
    "sqrt": sympy.sqrt,
    "Staircase": glm.Staircase,
    "floor": sympy.floor,
    "ceiling": sympy.ceiling,
    "factorial": sympy.factorial,
}
FUNCTIONS = ("predicate", "offsets of a callable")
WRITTEN = [name for name in CASES if name not in FUNCTIONS]


def rebuilt(pattern: glm.Pattern) -> glm.Pattern:
    return eval(repr(pattern), dict(NAMES))


@pytest.mark.parametrize("name", WRITTEN)
def test_printed_form_builds_an_equal_pattern(name: str) -> None:
    pattern = CASES[name].pattern
    again = rebuilt(pattern)
    assert again is not pattern
    assert again == pattern
    assert hash(again) == hash(pattern)
    assert repr(again) == repr(pattern)
    assert parse_pattern(repr(pattern)) == pattern


@given(patterns(max_leaves=5).filter(lambda drawn: "lambda" not in repr(drawn)))
def test_printed_form_of_drawn_patterns(drawn: Drawn) -> None:
    assert rebuilt(drawn.pattern) == drawn.pattern
    assert parse_pattern(repr(drawn.pattern)) == drawn.pattern


def test_equal_exactly_when_printed_alike() -> None:
    for name, drawn in CASES.items():
        for other_name, other in CASES.items():
            equal = drawn.pattern == other.pattern
            assert equal == (repr(drawn) == repr(other)), (name, other_name)
            assert (drawn.pattern != other.pattern) == (not equal)


def test_never_equal_to_something_else() -> None:
    for drawn in CASES.values():
        for other in (None, 3, "Dense()", repr(drawn), object()):
            assert drawn.pattern != other


def test_functions_are_compared_by_identity() -> None:
    def belongs(t: int, s: int) -> bool:
        return t == s

    assert glm.Predicate(belongs) == glm.Predicate(belongs)
    assert hash(glm.Predicate(belongs)) == hash(glm.Predicate(belongs))
    assert glm.Predicate(belongs) != glm.Predicate(lambda t, s: t == s)
    assert repr(glm.Predicate(belongs)) == "Predicate(belongs)"


def test_brackets_keep_the_grouping() -> None:
    a, b, c = glm.Window(2), glm.Lags([4]), glm.Blocks(3)
    assert repr(a | b | c) == "Window(2) | Lags([4]) | Blocks(3)"
    assert repr(a | (b | c)) == "Window(2) | (Lags([4]) | Blocks(3))"
    assert repr(a - b - c) == "Window(2) - Lags([4]) - Blocks(3)"
    assert repr(a - (b - c)) == "Window(2) - (Lags([4]) - Blocks(3))"
    assert repr((a | b) & c) == "(Window(2) | Lags([4])) & Blocks(3)"
    assert repr((a @ b).shift(2)) == "(Window(2) @ Lags([4])).shift(2)"
    assert repr((a | b).strict().shift(2)) == "(Window(2) | Lags([4])).strict().shift(2)"
    assert repr((c | a).blocked(2)) == "(Blocks(3) | Window(2)).blocked(2)"


@pytest.mark.parametrize("name", CASES)
def test_patterns_do_not_change(name: str) -> None:
    pattern = CASES[name].pattern
    before = (repr(pattern), pattern.sources(40), hash(pattern))
    for attribute in list(vars(pattern)):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(pattern, attribute, 1)
        with pytest.raises(AttributeError, match="immutable"):
            delattr(pattern, attribute)
    for array in (*pattern.rows(0, 50), *pattern.read_from(20, 20), pattern.to_dense(20), pattern.to_csr(20).data):
        array[:] = 0  # a caller's own copy
    assert (repr(pattern), pattern.sources(40), hash(pattern)) == before
    _, sources = pattern.rows(40, 41)
    assert tuple(sources.tolist()) == before[1]


@pytest.mark.parametrize("name", WRITTEN)
def test_copies_and_pickles_are_equal(name: str) -> None:
    pattern = CASES[name].pattern
    for again in (copy.copy(pattern), copy.deepcopy(pattern), pickle.loads(pickle.dumps(pattern))):
        assert again == pattern
        assert again.sources(30) == pattern.sources(30)


@pytest.mark.parametrize("name", CASES)
def test_notebook_rendering_is_well_formed(name: str) -> None:
    import html
    from xml.etree import ElementTree

    pattern = CASES[name].pattern
    text = pattern._repr_html_()
    root = ElementTree.fromstring(text)
    assert root.find("code") is not None
    assert html.unescape(root.find("code").text or "") == repr(pattern)
    squares = root.findall(".//g/rect")
    assert len(squares) == pattern.to_dense(24).sum()
