"""Distances, reach and paths against networkx; the laws against counting."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k
from glmix_theory.expressivity import cache_efficient_laws as laws
from glmix_theory.expressivity.lag_profile import UNREACHED, sums_of_lags
from glmix_theory.expressivity.source_classes import farthest_by_classes, suits_classes
from tests.expressivity.graphs import end_kind, hops, token_graph
from tests.strategies import increasing_lists, mixers


@settings(max_examples=60)
@given(mixers(), st.integers(1, 60))
def test_every_measure_of_hops_agrees_with_networkx(drawn, length):
    mixer = drawn.mixer
    expected = hops(token_graph(drawn, length), end_kind(drawn), length)
    pairs = {pair: value for pair, value in expected.items() if pair[0] < pair[1]}
    farthest = max(pairs.values(), default=0)
    counted = ex.all_pairs_hops(mixer, length)
    for (s, t), value in expected.items():
        assert counted[t, s] == (UNREACHED if value == math.inf else value)
    found = ex.farthest_pairs(mixer, length)
    assert found.hops[-1] == (UNREACHED if farthest == math.inf else farthest)
    value = ex.distance(mixer).at(length)
    if isinstance(value, glm.Bounds):
        assert value.lower <= farthest <= value.upper
    else:
        assert value == (sympy.oo if farthest == math.inf else farthest)
    if pairs:
        assert expected[found.pair(length)] == farthest
    reach = ex.reach(mixer, length)
    connected = [value for value in pairs.values() if value < math.inf]
    assert (reach.pairs, reach.reachable) == (len(pairs), len(connected))
    assert reach.mean_hops == pytest.approx(np.mean(connected) if connected else 0.0)
    if farthest == math.inf:
        assert pairs[reach.unreachable.check()] == math.inf
        for s, t in [pair for pair in pairs if pairs[pair] < math.inf][:1]:
            with pytest.raises(ex.CertificateError):
                ex.Unreachable(mixer, s, t).check()


@settings(max_examples=40)
@given(mixers(), st.integers(0, 59), st.integers(0, 59))
def test_shortest_paths_are_shortest_and_certified(drawn, s, t):
    s, t = min(s, t), max(s, t)
    expected = hops(token_graph(drawn, t + 1), end_kind(drawn), t + 1)[s, t]
    path = ex.shortest_path(drawn.mixer, s, t)
    if expected == math.inf:
        assert isinstance(path, ex.Unreachable)
        assert path.check() == (s, t)
    else:
        assert path.check() == path.hops == expected


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5, unique=True))
def test_sums_of_lags_follow_their_recursion(lags):
    lags = sorted(lags)
    counts = sums_of_lags(np.array(lags), 1500)
    expected = [0]
    for total in range(1, 1500):
        expected.append(min((expected[total - lag] for lag in lags if lag <= total), default=math.inf) + 1)
    assert all(c == (UNREACHED if e == math.inf else e) for c, e in zip(counts.tolist(), expected))


@settings(max_examples=30)
@given(increasing_lists(first=1), st.integers(64, 300))
def test_classes_of_sources_lose_nothing(values, length):
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(values))
    by_pair = ex.all_pairs_hops(mixer, length)
    expected = np.maximum.accumulate(np.where(np.tri(length, k=-1, dtype=bool), by_pair, 0).max(axis=1))
    assert np.maximum.accumulate(farthest_by_classes(mixer, length)[0]).tolist() == expected.tolist()


def test_classes_are_used_where_few_rows_are_live():
    assert suits_classes(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), 512)
    assert not suits_classes(glm.Mixer(recurrent=glm.Offsets(2**k)), 512)
    assert not suits_classes(glm.Mixer(glm.Window(3), glm.CacheEfficient(2**k)), 512)


@pytest.mark.parametrize("f", [2**k, k**2 + 1, 3**k, k**3 + 1, k * (k + 1) / 2 + 1, 2**k + k, 2 * k + 1])
def test_bounds_of_cache_efficient_distances(f):
    pattern = glm.CacheEfficient(f)
    exact = ex.distance_by_length(glm.Mixer(recurrent=pattern), 1500)
    for n in (*range(1, 200), 500, 1000, 1500):
        assert laws.least_hops_to_span(pattern, n) <= exact[n - 1] <= laws.most_hops_needed(pattern, n, exact[:32])


@given(increasing_lists(first=1), st.integers(2, 200))
def test_bounds_of_drawn_cache_efficient_distances(values, n):
    pattern = glm.CacheEfficient(values)
    exact = ex.distance_by_length(glm.Mixer(recurrent=pattern), n)
    upper = laws.most_hops_needed(pattern, n, exact[:2])
    assert laws.least_hops_to_span(pattern, n) <= exact[-1]
    assert upper is None or exact[-1] <= upper


def test_distance_of_cache_efficient_powers_of_two():
    exact = ex.distance_by_length(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), 7000)
    assert [laws.power_of_two_distance(n) for n in range(1, 7001)] == exact.tolist()
    assert [exact[n - 1] for n in (64, 256, 1024, 4096)] == [6, 8, 10, 12]


@given(mixers(), st.integers(1, 60))
def test_degree_bound(drawn, length):
    sources = [{s for part in drawn.mixer.sources(t).values() for s in part if s != t} for t in range(length)]
    bound = ex.distance_lower_bound(max(map(len, sources)), length)
    if drawn.mixer.readout is None:
        assert bound <= max(ex.farthest_pairs(drawn.mixer, length).hops[-1], 0)


@pytest.mark.parametrize(
    ("f", "most", "first"), [(k**2 + 1, 4, 58), (k * (k + 1) / 2 + 1, 3, None)], ids=["squares", "triangles"]
)
def test_lags_to_a_million_need_few_hops(f, most, first):
    profile = ex.lag_hops(glm.Mixer(recurrent=glm.Offsets(f)), 10**6)
    assert profile.max() == most
    assert first is None or int(np.argmax(profile == most)) == first


def test_a_million_lags_of_powers_of_two_are_popcounts():
    profile = ex.lag_hops(glm.Mixer(recurrent=glm.Offsets(2**k)), 10**6)
    assert profile.tolist() == [lag.bit_count() for lag in range(10**6)]


@pytest.mark.parametrize("base", [2, 3, 5, 10])
def test_digit_sums(base):
    quantity = ex.distance(glm.Mixer(recurrent=glm.Offsets(base**k)))
    exact = ex.distance_by_length(glm.Mixer(recurrent=glm.Offsets(base**k)), 3000)
    assert quantity.status == "proved"
    assert [quantity.at(n) for n in range(1, 3001)] == exact.tolist()


def test_unreachable_pairs_are_named():
    found = ex.reach(glm.Mixer(direct=glm.Window(4)), 9)
    assert found.unreachable.check() == (0, 4)
    assert ex.distance(glm.Mixer(direct=glm.Window(4))).at(9) == sympy.oo
    assert "(0, 4)" in ex.distance(glm.Mixer(direct=glm.Window(4))).evidence[0]
