"""Which mixer carries a matrix, and the residual no coefficients get below."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.design.explain import crossing_rows, explain, rank_bound
from glmix_theory.errors import RealizationError
from glmix_theory.mixers import catalogue
from glmix_theory.mixers.realize import realize
from tests.strategies import DrawnMixer, mixers


@given(mixers(), st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([None, "stable", "stochastic"]))
def test_the_bound_is_never_above_what_is_achieved(
    drawn: DrawnMixer, n: int, seed: int, constraint: str | None
) -> None:
    mixer, rng = drawn.mixer, np.random.default_rng(seed)
    rows = n * (mixer.state if mixer.readout is None else 1)
    matrix = rng.standard_normal((rows, n)) * (rng.random((rows, n)) < 0.6) * np.repeat(np.tri(n), rows // n, axis=0)
    bound = rank_bound(matrix, mixer)
    norm = np.linalg.norm(matrix)
    assert bound.value <= norm * (1 + 1e-12)
    try:
        achieved = realize(matrix, mixer, constraint).residual
    except RealizationError:
        return
    assert bound.value <= achieved + 1e-9 * norm


@given(mixers(), st.integers(1, 12), st.integers(0, 2**32))
def test_no_block_of_a_carried_matrix_exceeds_the_crossing_rows(drawn: DrawnMixer, n: int, seed: int) -> None:
    """The rank chain itself, on matrices that random coefficients make, also with readouts that realize refuses."""
    mixer, rng, r = drawn.mixer, np.random.default_rng(seed), drawn.mixer.state
    parts = {"direct": (r,), "recurrent": (r, r), "readout": (r,)}
    values = []
    for part, shape in parts.items():
        pattern = getattr(mixer, part)
        if pattern is not None:
            array = rng.standard_normal((n, n, *shape))
            array[~pattern.to_dense(n)] = 0
            values.append(array[(..., *(0,) * len(shape))] if r == 1 else array)
    matrix = mixer.matrix(*values)
    each, ranks = len(matrix) // n, crossing_rows(mixer, n)
    assert len(ranks) == n - 1
    for c in range(1, n):
        block = matrix[c * each :, :c]
        assert np.linalg.matrix_rank(block, tol=1e-9 * max(1.0, np.abs(matrix).max())) <= ranks[c - 1]
    assert rank_bound(matrix, mixer).value <= 1e-6 * max(1.0, np.linalg.norm(matrix))


@pytest.mark.parametrize("n", [16, 32, 64, 128])
def test_copying_needs_rows(n: int) -> None:
    """``M[t, t - n/2] = 1``: the middle block is the identity, and ``ρ`` live rows capture ``ρ`` of its ``n/2``."""
    copy = np.eye(n, k=-n // 2)
    for mixer in (
        glm.Mixer(recurrent=glm.CacheEfficient(2**k)),
        glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)),
        catalogue["kth_order_recurrence"],
    ):
        live = int(crossing_rows(mixer, n)[n // 2 - 1])
        assert live < n // 2
        bound, found = rank_bound(copy, mixer), realize(copy, mixer)
        assert bound.value**2 >= n / 2 - live - 1e-9
        assert bound.rank == crossing_rows(mixer, n)[bound.cut - 1]
        assert bound.value**2 == pytest.approx(min(bound.cut, n - bound.cut) - bound.rank)
        assert found.residual >= bound.value * (1 - 1e-12)
        assert not found.exact
    # y_t = x_{t-n/2} is one term when that input is reached, whatever the rest
    assert realize(copy, glm.Mixer(glm.Lags([n // 2]))).exact


def test_cuts_of_long_matrices_are_some_of_all() -> None:
    matrix = np.tril(np.random.default_rng(0).standard_normal((80, 80)))
    mixer = catalogue["kth_order_recurrence"]
    every = [np.sqrt((np.linalg.svd(matrix[c:, :c], compute_uv=False)[min(c, 4) :] ** 2).sum()) for c in range(1, 80)]
    bound = rank_bound(matrix, mixer)
    assert 0.9 * max(every) <= bound.value <= max(every) * (1 + 1e-12)
    assert bound.value == pytest.approx(every[bound.cut - 1])
    heads = rank_bound(np.stack([matrix, matrix]), mixer)
    assert heads.value == pytest.approx(np.sqrt(2) * bound.value)
    assert heads.relative == pytest.approx(bound.relative)


def test_mixers_are_ranked_by_residual_then_cost() -> None:
    decay = np.tril(0.8 ** np.subtract.outer(np.arange(20), np.arange(20)).clip(0))
    names = ["long_convolution", "attention", "dense_recurrence", "diagonal_ssm", "kth_order_recurrence", "mamba2"]
    found = explain(decay, [*names, "local_attention", glm.Mixer(glm.Window(3))])
    order = [row.name for row in found]
    assert order[0] == found.best.name == "diagonal_ssm"
    assert order[-2:] == ["local_attention", "Mixer(direct=Window(3))"]
    for first, second in zip(found.rows, found.rows[1:]):
        if first.exact and second.exact:
            assert first.numbers <= second.numbers
        else:
            assert first.relative <= second.relative + 1e-9
    assert found["diagonal_ssm"].numbers == 20 + 19
    assert found["mamba2"].numbers == 16 * 20 + 256 * 19 + 16 * 20
    assert found["mamba2"].terms == 20 + 19 + 20
    assert found["attention"].cache == 20
    assert found["attention"].numbers == 210
    assert "the matrix itself is 210 numbers" in found.table().caption
    window = realize(decay, glm.Mixer(glm.Window(3)))
    assert found["Mixer(direct=Window(3))"].residual == window.residual
    assert found["Mixer(direct=Window(3))"].bound == rank_bound(decay, glm.Mixer(glm.Window(3)))


def test_refused_mixers_come_last_with_the_reason() -> None:
    matrix = np.tril(np.random.default_rng(0).standard_normal((16, 16)))
    found = explain(matrix, ["chimera", "local_attention", "diagonal_ssm"])
    assert [row.name for row in found][-1] == "chimera"
    row = found["chimera"]
    assert (row.residual, row.relative, row.exact) == (None, None, False)
    assert row.bound == rank_bound(matrix, catalogue["chimera"])
    assert "read by two states" in row.refused
    assert "read by two states" in found.table().caption
    constrained = explain(matrix, ["mamba2", "diagonal_ssm"], "stable")
    assert "leave the constraint out" in constrained["mamba2"].refused
    assert constrained["diagonal_ssm"].residual == realize(matrix, catalogue["diagonal_ssm"], "stable").residual


def test_an_explanation_prints_and_serialises() -> None:
    maps = np.stack([np.tril(np.random.default_rng(seed).random((10, 10))) for seed in range(2)])
    found = explain(maps, {"a": "attention", "b <c>": glm.Mixer(recurrent=glm.Offsets(2**k))})
    assert found.heads == 2
    assert found["a"].exact
    data = json.loads(found.to_json())
    assert [row["name"] for row in data["mixers"]] == ["a", "b <c>"]
    assert data["mixers"][1]["residual"] == pytest.approx(realize(maps, found["b <c>"].mixer).residual)
    assert data["mixers"][1]["lower_bound"] <= data["mixers"][1]["residual"]
    assert "b &lt;c&gt;" in found._repr_html_()
    assert "exactly" in str(found)
    assert "| a |" in found.to_markdown()
    assert "2 heads" in found.table().title
    twice = explain(maps, ["attention", "attention"])
    assert [row.name for row in twice] == ["attention", "attention (2)"]
