"""Congestion against exhaustive search, laws against certified searches, routings against their bounds."""

import math

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k
from glmix_theory.expressivity.congestion_laws import cache_efficient_bounds, congestion_law, lanes_bound, necklaces
from glmix_theory.expressivity.lanes import lane_of_word
from tests.expressivity.graphs import end_kind, smallest_congestion, token_graph
from tests.strategies import increasing_lists, mixers


def ends(value):
    return (value.lower, value.upper) if isinstance(value, glm.Bounds) else (value, value)


@settings(max_examples=60)
@given(mixers(max_leaves=2), st.integers(1, 3))
def test_bounds_enclose_the_exhaustive_optimum(drawn, n):
    demand = ex.copy(n)
    best = smallest_congestion(token_graph(drawn, 2 * n), end_kind(drawn), list(demand.pairs))
    found = ex.congestion_bounds(drawn.mixer, n)
    found.check()
    low, high = ends(ex.congestion(drawn.mixer).at(n))
    if best == math.inf:
        assert found.bounds == (sympy.oo, sympy.oo)
        assert high == sympy.oo
    else:
        assert found.bounds.lower <= best <= found.bounds.upper
        assert low <= best <= high


@settings(max_examples=30)
@given(mixers(max_leaves=2), st.integers(2, 12), st.integers(0, 10**6))
def test_law_and_linear_program(drawn, n, seed):
    for demand in (ex.copy(n), ex.random_recall(n, seed), ex.all_to_one(n)):
        found = ex.congestion_bounds(drawn.mixer, demand)
        found.check()
        if found.bounds.lower == sympy.oo:
            continue
        exact = ex.fractional_congestion(drawn.mixer, demand)
        assert exact.lower.check() <= found.bounds.upper
        assert exact.value <= found.bounds.upper + 1e-6
        assert exact.lower.bound >= exact.value - 1e-3
    found = ex.congestion_bounds(drawn.mixer, n)
    if found.bounds.upper < sympy.oo:
        cache = glm.analyze(drawn.mixer).cache_size.at(n)
        assert found.bounds.upper * ends(cache)[1] >= n


@pytest.mark.parametrize("entry", glm.catalogue.table1(), ids=lambda entry: entry.name)
def test_laws_agree_with_certified_searches(entry):
    mixer = entry.build()
    quantity = ex.congestion(mixer)
    for n in (1, 2, 3, 5, 15, 16, 17, 40):
        low, high = ends(quantity.at(n))
        found = ex.congestion_bounds(mixer, n)
        found.check()
        assert low <= found.bounds.upper
        assert found.bounds.lower <= high


@pytest.mark.parametrize("order", range(1, 8))
def test_order_k_congestion_is_exact(order):
    mixer = glm.Mixer(recurrent=glm.Lags(range(1, order + 1)))
    for n in range(1, 24):
        found = ex.congestion_bounds(mixer, n, passes=6)
        assert found.bounds.lower <= -(-n // order) <= found.bounds.upper
        demand = ex.copy(n)
        paths = [ex.Path(mixer, t, t + n, tuple(dict.fromkeys([*range(t, t + n, order), t + n]))) for t in range(n)]
        assert ex.Routing(demand, tuple(paths), -(-n // order)).check() == -(-n // order)
        assert found.bounds.lower == -(-n // order)


@settings(max_examples=25)
@given(increasing_lists(first=1), st.integers(1, 60))
def test_bounds_of_drawn_cache_efficient_patterns(values, n):
    pattern = glm.CacheEfficient(values)
    bounds = cache_efficient_bounds(pattern, n)
    found = ex.congestion_bounds(glm.Mixer(recurrent=pattern), n, passes=1)
    assert bounds.lower <= found.bounds.upper
    assert found.bounds.lower <= bounds.upper


@pytest.mark.parametrize("f", [2**k, k**2 + 1, k**3 + 1, k * (k + 1) / 2 + 1, 3**k])
def test_gathering_keeps_its_bound(f):
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(f))
    for n in (*range(1, 70), 100, 257):
        try:
            routing = ex.gather_routing(mixer, n)
        except glm.GlmixError:
            continue
        assert routing.check() == routing.bound >= cache_efficient_bounds(mixer.recurrent, n).lower


def test_lanes_keep_their_bound():
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
    for n in (*range(2, 80), 100, 255, 256, 257, 1000):
        for lanes in range(1, n.bit_length()):
            assert ex.lane_routing(mixer, n, lanes).check() == lanes_bound(n, lanes)


@pytest.mark.parametrize("lanes", range(1, 11))
def test_lanes_of_words_are_balanced(lanes):
    words = range(2**lanes - 1)
    chosen = [lane_of_word(word, lanes) for word in words]
    assert all(not word >> lane & 1 for word, lane in zip(words, chosen))
    assert max(chosen.count(lane) for lane in range(lanes)) <= necklaces(lanes) - 1
    rotations = {min((w << r | w >> lanes - r) & (2**lanes - 1) for r in range(lanes)) for w in range(2**lanes)}
    assert necklaces(lanes) == len(rotations)


def test_table_1_at_256_is_within_one_and_a_half():
    for entry in glm.catalogue.table1():
        found = ex.congestion_bounds(entry.build(), 256, ratio=1.5)
        found.check()
        assert found.ratio <= 1.5, entry.name


def test_routing_without_numba(monkeypatch):
    monkeypatch.setattr(ex.routing, "_compiled", lambda: None)
    found = ex.congestion_bounds(glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)), 256)
    found.check()
    assert found.ratio <= 1.5


def test_every_cell_of_table_1_has_a_law():
    for entry in glm.catalogue.table1():
        assert congestion_law(entry.build()) is not None


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: ex.copy(0), glm.errors.LengthError),
        (lambda: ex.Demand("d", 4, [(2, 1)]), glm.errors.CausalityError),
        (lambda: ex.Demand("d", 4, [(2, 4)]), glm.errors.LengthError),
        (lambda: ex.Demand("d", 4, []), glm.errors.PatternError),
        (lambda: ex.bit_reversal(6), glm.errors.LengthError),
        (lambda: ex.lane_routing(glm.Mixer(recurrent=glm.Lags([1])), 8), glm.errors.PatternError),
        (lambda: ex.fractional_congestion(glm.Mixer(direct=glm.Dense()), ex.copy(99)), glm.errors.LengthError),
        (lambda: ex.shortest_path(glm.Mixer(), 3, 1), glm.errors.CausalityError),
    ],
)
def test_bad_input_is_named(build, error):
    with pytest.raises(error):
        build()
