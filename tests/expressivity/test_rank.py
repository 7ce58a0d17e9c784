"""State rank, walks, growth, conditioning and state tracking against independent counts."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k
from glmix_theory.mixers import COEFFICIENTS
from glmix_theory.report.frontier import frontier, frontier_table, plot_frontier
from tests.expressivity.graphs import end_kind, row_disjoint_paths, token_graph
from tests.strategies import mixers


@settings(max_examples=20)
@given(mixers(max_leaves=2), st.integers(1, 60))
def test_state_rank_agrees_with_networkx(drawn, length):
    graph = token_graph(drawn, length)
    expected = max(
        (row_disjoint_paths(graph, end_kind(drawn), length, cut, drawn.mixer.state) for cut in range(1, length)),
        default=0,
    )
    found = ex.state_rank_at(drawn.mixer, length)
    assert found.value == found.check() == expected
    assert ex.state_rank(drawn.mixer).at(length) == expected
    assert found.value <= found.live


@settings(max_examples=30)
@given(mixers(max_leaves=2).filter(lambda drawn: drawn.mixer.state == 1), st.integers(2, 60))
def test_rank_chain_holds(drawn, length):
    assert ex.rank_chain(drawn.mixer, length).holds


@pytest.mark.parametrize("entry", glm.catalogue.table1(), ids=lambda entry: entry.name)
def test_closed_forms_of_the_state_rank(entry):
    mixer = entry.build()
    quantity = ex.state_rank(mixer)
    for n in (1, 2, 3, 7, 20, 33):
        assert quantity.at(n) == ex.state_rank_at(mixer, n).value


@pytest.mark.parametrize("f", [2**k, k**2 + 1, k * (k + 1) / 2 + 1, k + 1, 2 * k + 1])
def test_matchings_cross_every_cut(f):
    quantity = ex.state_rank(glm.Mixer(recurrent=glm.Offsets(f)))
    for n in range(1, 40):
        assert quantity.at(n) == ex.state_rank_at(glm.Mixer(recurrent=glm.Offsets(f)), n).value
    assert quantity.status == ("proved" if quantity.expr is not None else "checked")


@given(mixers(max_leaves=2), st.integers(1, 60), st.data())
def test_walks_are_powers_of_the_adjacency(drawn, n, data):
    source = data.draw(st.integers(0, n - 1))
    mixer = drawn.mixer
    A, B = mixer.direct.to_dense(n).astype(object), mixer.recurrent.to_dense(n).astype(object)
    total, power = np.zeros((n, n), dtype=object), np.eye(n, dtype=object)
    for _ in range(n):
        total, power = total + power.astype(int), power.dot(B)
    walks = total.dot(A.astype(int))
    if mixer.readout is not None:
        walks = mixer.readout.to_dense(n).astype(int).astype(object).dot(walks)
    assert ex.walk_counts(mixer, source, n) == walks[:, source].tolist()


@pytest.mark.parametrize("f", [2**k, k**2 + 1, k + 1, 3**k])
def test_growth_rate_is_the_ratio_of_walks(f):
    rate = ex.growth_rate(glm.Offsets(f))
    low, high = rate.check()
    assert high - low < 1e-7
    walks = ex.walk_counts(glm.Mixer(recurrent=glm.Offsets(f)), 0, 600)
    assert walks[-1] / walks[-2] == pytest.approx(rate.value, rel=1e-3)


@pytest.mark.parametrize("kind", COEFFICIENTS)
@given(drawn=mixers(max_leaves=2), n=st.integers(1, 24), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_conditioning_respects_its_bounds(kind, drawn, n, seed):
    plain = glm.Mixer(drawn.mixer.direct, drawn.mixer.recurrent)
    found = ex.conditioning(plain, n, kind, seed)
    assert found.holds
    if kind in ("softmax", "signed", "fixed"):
        assert found.output_bound == 1.0


def test_permutations_of_five_items_are_tracked():
    chosen = random.Random(0)
    word = [tuple(chosen.sample(range(5), 5)) for _ in range(40)]
    items = list(range(5))
    for permutation in word:
        moved = [0] * 5
        for item, place in enumerate(permutation):
            moved[place] = items[item]
        items = moved
    tracker = ex.PermutationTracker(word)
    assert tracker.run().tolist() == items
    assert ex.tracked_items(tracker.mixer) == 5


def test_all_words_of_two_letters_over_three_items():
    letters = list(itertools.permutations(range(3)))
    for first, second in itertools.product(letters, repeat=2):
        expected = [0] * 3
        for item in range(3):
            expected[second[first[item]]] = item
        assert ex.PermutationTracker([first, second]).run().tolist() == expected


def test_tracked_items_and_bad_permutations():
    assert ex.tracked_items(glm.Mixer(recurrent=glm.Lags([1, 2, 4]))) == 1
    assert ex.tracked_items(glm.Mixer(recurrent=glm.Lags([2]))) == 0
    with pytest.raises(glm.errors.CoefficientError):
        ex.PermutationTracker([(0, 0)])
    with pytest.raises(glm.errors.CoefficientError):
        ex.PermutationTracker([])


def test_copy_ceiling_is_the_energy_that_passes():
    generator = np.random.default_rng(0)
    left, _ = np.linalg.qr(generator.normal(size=(12, 12)))
    for rank in range(13):
        best = left[:, :rank] @ left[:, :rank].T
        assert np.linalg.norm(best, "fro") ** 2 / 12 == pytest.approx(ex.copy_ceiling(rank, 12))


def test_frontier_and_law():
    rows = frontier(16)
    assert [row.name for row in rows] == [entry.name for entry in glm.catalogue.table1()]
    for row in rows:
        assert row.law.factor.upper >= 1
    assert "n = 16" in frontier_table(rows).to_markdown()
    assert plot_frontier(rows).axes
    path = ex.shortest_path(glm.catalogue["exponential_recurrence"], 0, 11)
    assert ex.plot_path(path).axes
    assert ex.plot_loads(ex.congestion_bounds(glm.catalogue["exponential_recurrence"], 8).upper).axes


def test_reports_say_how_close_a_mixer_comes_to_the_law():
    report = glm.analyze(glm.catalogue["kth_order_recurrence"], (64,))
    assert report.law().factor == (1, 1)
    assert "congestion 16 × cache 4 = 1.00 × n" in str(report.law())
    assert "law: congestion 16" in report.to_markdown()
    window = glm.analyze(glm.catalogue["local_attention"], (64,))
    assert "cannot be connected" in str(window.law())
