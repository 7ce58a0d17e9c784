"""Which positions are read again: the pattern's own answer against looking ahead step by step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from tests import brute_force
from tests.patterns.cases import CASES, FAMILIES
from tests.strategies import Drawn, patterns

LONGEST = 300
HORIZON = 4 * LONGEST + 64


def check_read_from(drawn: Drawn, width: int, start: int) -> bool:
    """Both arrays against lookahead; returns whether the pattern claims to know its future exactly."""
    certain, possible = drawn.pattern.read_from(width, start)
    assert certain.dtype == possible.dtype == bool
    assert certain.shape == possible.shape == (width,)
    assert not (certain & ~possible).any()
    found = brute_force.read_later(drawn.reference, width, start, 4 * max(width, start) + 64)
    assert not (found & ~possible).any(), np.flatnonzero(found & ~possible)
    for s in np.flatnonzero(certain & ~found):  # claimed for good, not seen yet: look farther
        assert any(s in drawn.reference(t) for t in range(start, 40 * max(width, start) + 400)), s
    return bool((certain == possible).all())


@pytest.mark.parametrize("name", [name for name in CASES if name != "predicate"])
def test_every_length_against_lookahead(name: str) -> None:
    drawn = CASES[name]
    matrix = np.zeros((HORIZON, LONGEST), dtype=bool)
    for t in range(HORIZON):
        matrix[t, [s for s in drawn.reference(t) if s < LONGEST]] = True
    lengths = range(1, LONGEST + 1) if name in FAMILIES else (*range(1, 40), *range(40, LONGEST + 1, 13))
    for n in lengths:
        certain, possible = drawn.pattern.read_from(n, n)
        found = matrix[n : 4 * n + 64, :n].any(axis=0)
        assert not (found & ~possible).any(), n
        assert not (certain & ~possible).any(), n
        unseen = certain & ~found
        if unseen.any():  # lags of factorial(k + 1) grow faster than the window
            assert matrix[n:, :n].any(axis=0)[unseen].all(), n
        if name in FAMILIES:
            assert np.array_equal(certain, possible), f"{name} is a primitive: it must know its future (n = {n})"


@pytest.mark.parametrize("name", [name for name in CASES if name != "predicate"])
def test_start_before_and_after_width(name: str) -> None:
    for width, start in [(1, 0), (1, 9), (5, 0), (5, 3), (12, 12), (12, 13), (12, 60), (30, 7), (40, 100)]:
        check_read_from(CASES[name], width, start)


def test_a_predicate_promises_nothing_it_has_not_seen() -> None:
    drawn = FAMILIES["predicate"]
    for n in (1, 2, 10, 40):
        certain, possible = drawn.pattern.read_from(n, n)
        assert possible.all()
        assert np.array_equal(certain, brute_force.read_later(drawn.reference, n, n, n + 64))


def test_random_sources_say_on_what_their_counts_rest() -> None:
    pattern = glm.RandomSources(3, seed=1)
    certain, possible = pattern.read_from(50, 50)
    assert certain.all()
    assert possible.all()
    assert "Borel" in pattern.count_note
    assert (pattern | glm.Dense()).count_note == pattern.count_note
    assert glm.Dense().count_note == ""


@given(patterns(), st.integers(1, 24), st.integers(0, 30))
def test_drawn_patterns(drawn: Drawn, width: int, start: int) -> None:
    check_read_from(drawn, width, start)


@given(patterns(), st.integers(1, 20), st.integers(0, 20))
def test_facts_used_by_the_algebra_hold_for_drawn_patterns(drawn: Drawn, width: int, start: int) -> None:
    far = [drawn.reference(t) for t in range(120)]
    last, largest = drawn.pattern.last_step(width), drawn.pattern.largest_source()
    if last is not None:
        assert not any(s < width for row in far[last + 1 :] for s in row)
    if largest is not None:
        assert max((s for row in far for s in row), default=-1) <= largest
    for s in np.flatnonzero(drawn.pattern.always_read(width, start)):
        assert all(s in row for row in far[start:]), s
