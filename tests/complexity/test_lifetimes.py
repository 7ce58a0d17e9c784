"""Last reads and live rows against step-by-step simulation, with and without a horizon."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.complexity.lifetimes import last_reads, live_counts, live_profile
from tests import brute_force
from tests.patterns.cases import CASES, FAMILIES
from tests.strategies import Drawn, DrawnMixer, mixers, patterns


def check_last_reads(drawn: Drawn, length: int) -> None:
    lower, upper = last_reads(drawn.pattern, length)
    assert lower.shape == upper.shape == (length,)
    assert (lower <= upper).all()
    stop = 4 * length + 64
    for s in range(length):
        readers = drawn.reference.readers_after(s, 0, stop)
        last = min(max(readers, default=-1), length)
        assert last <= upper[s], s
        if lower[s] == upper[s] and lower[s] < length:
            assert last == lower[s], s
        if lower[s] == length and last < length:  # claimed for good, not seen yet: look farther
            assert drawn.reference.readers_after(s, length, 40 * length + 400), s


@pytest.mark.parametrize("name", [name for name in CASES if name != "predicate"])
def test_last_reads(name: str) -> None:
    for length in (1, 2, 3, 7, 16, 33, 50):
        check_last_reads(CASES[name], length)
        if name in FAMILIES:
            lower, upper = last_reads(CASES[name].pattern, length)
            assert np.array_equal(lower, upper)


@pytest.mark.parametrize("name", CASES)
def test_last_reads_within_a_horizon(name: str) -> None:
    drawn = CASES[name]
    for length, horizon in ((1, 1), (10, 10), (10, 25), (30, 20), (30, 31), (30, 90)):
        lower, upper = last_reads(drawn.pattern, length, horizon)
        assert np.array_equal(lower, upper)
        readers = [drawn.reference.readers_after(s, 0, max(horizon, length)) for s in range(length)]
        assert lower.tolist() == [min(max(steps, default=-1), length) for steps in readers]


@given(patterns(), st.integers(1, 24))
def test_last_reads_of_drawn_patterns(drawn: Drawn, length: int) -> None:
    check_last_reads(drawn, length)


@given(st.lists(st.integers(-1, 20), min_size=1, max_size=20))
def test_live_counts(last: list[int]) -> None:
    last = [min(step, len(last)) for step in last]
    expected = [sum(s <= t < step for s, step in enumerate(last)) for t in range(len(last))]
    assert live_counts(np.array(last)).tolist() == expected


@given(mixers(), st.integers(1, 24))
def test_live_profile_brackets_the_simulation(drawn: DrawnMixer, length: int) -> None:
    lower, upper = live_profile(drawn.mixer, length)
    live = brute_force.live_sets(drawn.reads, length, 4 * length + 64)
    simulated = np.array([len(rows) for rows in live]) * drawn.mixer.state
    assert (simulated <= upper).all()
    assert (lower <= upper).all()
    farther = brute_force.live_sets(drawn.reads, length, 12 * length + 200)
    assert (lower <= np.array([len(rows) for rows in farther]) * drawn.mixer.state).all()


@given(mixers(), st.integers(1, 24), st.integers(0, 30))
def test_live_profile_within_a_horizon(drawn: DrawnMixer, length: int, beyond: int) -> None:
    lower, upper = live_profile(drawn.mixer, length, length + beyond)
    live = brute_force.live_sets(drawn.reads, length, length + beyond)
    expected = [len(rows) * drawn.mixer.state for rows in live]
    assert lower.tolist() == upper.tolist() == expected


def test_live_rows_by_hand() -> None:
    def cache(mixer: glm.Mixer, n: int) -> int:
        lower, upper = live_profile(mixer, n)
        assert np.array_equal(lower, upper)
        return int(upper.max())

    n = 100
    assert cache(glm.Mixer(direct=glm.Dense()), n) == n
    assert cache(glm.Mixer(direct=glm.Window(8)), n) == 7
    assert cache(glm.Mixer(recurrent=glm.Lags([1])), n) == 1
    assert cache(glm.Mixer(recurrent=glm.Lags([1]), state=16), n) == 16
    assert cache(glm.Mixer(recurrent=glm.Lags([1, 2, 5])), n) == 5
    assert cache(glm.Mixer(recurrent=glm.Offsets(2**k)), n) == n
    assert cache(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), n) == 7
    assert cache(glm.Mixer(direct=glm.GlobalTokens(3)), n) == 3
    assert cache(glm.Mixer(direct=glm.Blocks(10)), n) == 9
    assert cache(glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()), 64) == 6
