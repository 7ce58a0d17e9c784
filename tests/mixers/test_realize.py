"""Coefficients found for a matrix: exact where any are, else the best of each row, against brute force."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.errors import RealizationError
from glmix_theory.mixers import catalogue
from glmix_theory.mixers.realize import Realization, realize
from tests.mixers.references import REFERENCES, VARIANTS
from tests.strategies import DrawnMixer, mixers

WITHOUT_READOUT = mixers().filter(lambda drawn: drawn.mixer.readout is None)


def brute_matrix(mixer: glm.Mixer, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """``M`` by substitution, one step at a time, from the positions of the patterns."""
    n, r = len(alpha), mixer.state
    blocks = np.zeros((n, r, n))
    for t in range(n):
        for s in mixer.direct.sources(t):
            blocks[t, :, s] += alpha[t, s]
        for s in mixer.recurrent.sources(t):
            blocks[t] += np.reshape(beta[t, s], (r, r)) @ blocks[s]
    return blocks.reshape(n * r, n)


def drawn_coefficients(mixer: glm.Mixer, n: int, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Random coefficients: of order one, with zero rows, or with rows that are almost dependent or tiny."""
    rng, r = np.random.default_rng(seed), mixer.state
    alpha = rng.standard_normal((n, n, r))
    beta = rng.standard_normal((n, n, r, r)) / np.sqrt(n * r)
    if kind == "zero rows":
        alpha[rng.random(n) < 0.4] = 0
        beta[rng.random(n) < 0.4] = 0
    elif kind == "almost dependent":
        alpha *= 10.0 ** -rng.integers(0, 7, (n, 1, 1))
    elif kind == "tiny":
        alpha *= 1e-60
    alpha[~mixer.direct.to_dense(n)] = 0
    beta[~mixer.recurrent.to_dense(n)] = 0
    return (alpha[..., 0], beta[..., 0, 0]) if r == 1 else (alpha, beta)


def best_residual(
    past: np.ndarray, direct: tuple[int, ...], wanted: np.ndarray, shortest: float
) -> tuple[float, float]:
    """Least distance of a row from the span of unit vectors and past rows, and the length of the weights.

    By NumPy's SVD, on vectors scaled to length 1, without directions shorter than ``shortest``.
    """
    vectors = np.concatenate([np.eye(len(wanted))[list(direct)], past])
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[lengths > 0] / lengths[lengths > 0, None]
    if not len(vectors):
        return float(np.linalg.norm(wanted)), 0.0
    solution = np.linalg.lstsq(vectors.T, wanted, rcond=shortest)[0]
    return float(np.linalg.norm(wanted - solution @ vectors)), float(np.linalg.norm(solution))


@given(
    WITHOUT_READOUT,
    st.integers(1, 20),
    st.integers(0, 2**32),
    st.sampled_from(["plain", "zero rows", "almost dependent", "tiny"]),
)
def test_a_matrix_of_the_mixer_is_carried_exactly(drawn: DrawnMixer, n: int, seed: int, kind: str) -> None:
    mixer = drawn.mixer
    alpha, beta = drawn_coefficients(mixer, n, seed, kind)
    matrix = mixer.matrix(alpha, beta)
    np.testing.assert_allclose(matrix, brute_matrix(mixer, alpha, beta), rtol=1e-9, atol=1e-12)
    found = realize(matrix, mixer)
    size = np.linalg.norm(matrix)
    assert found.relative <= 1e-9
    assert np.linalg.norm(brute_matrix(mixer, found.alpha, found.beta) - matrix) <= 1e-9 * size
    # Mixer.matrix refuses coefficients outside the patterns and the wrong shapes
    np.testing.assert_allclose(mixer.matrix(found.alpha, found.beta), matrix, rtol=0, atol=1e-9 * size)
    if kind in ("plain", "zero rows"):
        assert found.exact


@given(WITHOUT_READOUT, st.integers(1, 16), st.integers(0, 2**32), st.booleans())
def test_every_row_is_the_best_given_the_rows_before(drawn: DrawnMixer, n: int, seed: int, sparse: bool) -> None:
    mixer, rng = drawn.mixer, np.random.default_rng(seed)
    r = mixer.state
    matrix = np.repeat(np.tril(np.ones((n, n))), r, axis=0) * rng.integers(-3, 4, (n * r, n))
    if sparse:
        matrix *= rng.random((n * r, n)) < 0.3
    found = realize(matrix, mixer)
    realised = brute_matrix(mixer, found.alpha, found.beta)
    for t in range(n):
        rows = [s * r + channel for s in mixer.recurrent.sources(t) for channel in range(r)]
        for row in range(t * r, (t + 1) * r):
            best, weights = best_residual(realised[rows], mixer.direct.sources(t), matrix[row], 1e-11)
            cautious, _ = best_residual(realised[rows], mixer.direct.sources(t), matrix[row], 1e-7)
            missed = float(np.linalg.norm(matrix[row] - realised[row]))
            assert best - 1e-6 <= missed <= cautious + 1e-6
            if weights < 1e4 * np.linalg.norm(matrix[row]):  # small enough that rounding is no reason to be cautious
                assert missed == pytest.approx(best, abs=1e-6)
            assert found.row_residuals[row] == pytest.approx(missed, abs=1e-6)
    assert found.residual == pytest.approx(np.linalg.norm(matrix - found.matrix()), abs=1e-12)


@given(WITHOUT_READOUT.filter(lambda drawn: drawn.mixer.state == 1), st.integers(1, 9), st.integers(0, 2**32))
def test_exact_agrees_with_a_rank_test_in_rational_numbers(drawn: DrawnMixer, n: int, seed: int) -> None:
    """Membership of each row in the span of allowed inputs and past rows of the matrix itself, by sympy."""
    mixer, rng = drawn.mixer, np.random.default_rng(seed)
    matrix = np.tril(rng.integers(-1, 2, (n, n)))
    for t in range(n):  # rows are often combinations of what is allowed, sometimes spoiled afterwards
        if rng.random() < 0.7:
            matrix[t] = 0
            for s in mixer.recurrent.sources(t):
                matrix[t] += int(rng.integers(-1, 2)) * matrix[s]
            for s in mixer.direct.sources(t):
                matrix[t, s] = int(rng.integers(-1, 2))
    possible = True
    for t in range(n):
        inputs = [[int(s == column) for column in range(n)] for s in mixer.direct.sources(t)]
        past = [matrix[s].tolist() for s in mixer.recurrent.sources(t)]
        span, row = sympy.Matrix([*inputs, *past, [0] * n]), sympy.Matrix([matrix[t].tolist()])
        possible &= span.rank() == span.col_join(row).rank()
    assert realize(matrix, mixer).exact == possible


SOLVED = [name for name in catalogue if name != "chimera"]


@pytest.mark.parametrize("n", [1, 2, 3, 17])
@pytest.mark.parametrize("name", SOLVED)
def test_every_catalogue_entry_carries_its_own_matrix(name: str, n: int) -> None:
    entry = catalogue.entry(name)
    for changed in [{}, *VARIANTS.get(name, [])]:
        parameters = {**entry.parameters, **changed}
        mixer, rng = entry.build(**parameters), np.random.default_rng(zlib.crc32(f"{name}/{n}".encode()))
        expected = REFERENCES[name](mixer, n, rng, **parameters).expected
        found = realize(expected, mixer)
        assert found.exact, (changed, found)
        again = mixer.matrix(found.alpha, found.beta, found.gamma)
        np.testing.assert_allclose(again, np.tril(expected), rtol=0, atol=1e-11 * np.abs(expected).max())


def test_a_graph_of_states_that_is_no_forest_is_refused() -> None:
    mixer = catalogue["chimera"]
    matrix = REFERENCES["chimera"](
        mixer, 16, np.random.default_rng(0), **catalogue.entry("chimera").parameters
    ).expected
    with pytest.raises(RealizationError, match="position 0 is read by two states, 1 and 4"):
        realize(matrix, mixer)
    tree = catalogue.entry("chimera").build(edges=((1, 0), (3, 1), (3, 2), (6, 3)), state=2)
    alpha, beta, gamma = (np.random.default_rng(1).standard_normal((8, 8, 2)) for _ in range(3))
    parts = [part * mask.to_dense(8)[..., None] for part, mask in zip((alpha, beta, gamma), tree.parts.values())]
    assert realize(tree.matrix(*parts), tree).exact


def semiseparable(n: int, rank: int, seed: int = 0) -> np.ndarray:
    """A lower triangle of a generic matrix of that rank."""
    left, right = np.random.default_rng(seed).standard_normal((2, n, rank))
    return np.tril(left @ right.T)


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
def test_semiseparable_matrices_need_a_state_as_large_as_their_rank(rank: int) -> None:
    matrix = semiseparable(24, rank)
    for state in range(1, 7):
        mixer = catalogue.entry("mamba2").build(state=state)
        found = realize(matrix, mixer)
        assert found.exact == (state >= rank)
        assert found.residual >= glm_bound(matrix, state) * (1 - 1e-9)
        assert (found.residual > 1e-3) == (state < rank)
    # scalars of order k read k past outputs, but those know too much of the last k inputs
    assert realize(matrix, catalogue.entry("kth_order_recurrence").build(order=rank)).exact == (rank == 1)


def glm_bound(matrix: np.ndarray, rank: int) -> float:
    """Eckart–Young over the blocks of rows from ``t`` and columns to ``t``, which pass through one state."""
    n = len(matrix)
    blocks = [np.linalg.svd(matrix[t:, : t + 1], compute_uv=False) for t in range(n)]
    return max(float(np.sqrt((values[rank:] ** 2).sum())) for values in blocks)


def test_first_order_recurrence_and_zero_rows() -> None:
    """Without a readout an output that is zero forgets; with one it need not."""
    forgetful, with_readout = catalogue["diagonal_ssm"], catalogue.entry("mamba2").build(state=1)
    rng = np.random.default_rng(2)
    left, decay, right = rng.uniform(0.5, 1, (3, 20))
    products = np.tril([[decay[s + 1 : t + 1].prod() for s in range(20)] for t in range(20)])
    matrix = left[:, None] * products * right
    assert realize(matrix, forgetful).exact
    left[7] = 0
    silent = left[:, None] * products * right
    assert not realize(silent, forgetful).exact
    assert realize(silent, with_readout).exact


def test_the_fit_is_greedy_as_documented() -> None:
    matrix = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    mixer = catalogue["diagonal_ssm"]
    found = realize(matrix, mixer)
    assert found.row_residuals.tolist() == [0, 1, 1]
    assert found.residual == pytest.approx(np.sqrt(2))
    other = mixer.matrix(np.diag([1.0, 0, 0]), np.eye(3, k=-1))
    assert np.linalg.norm(other - matrix) == 1


def attention_map(n: int, seed: int, sharpness: float = 3.0) -> np.ndarray:
    scores = np.where(np.tri(n) > 0, sharpness * np.random.default_rng(seed).standard_normal((n, n)), -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_dense_direct_carries_attention_and_convolutions() -> None:
    kernel = np.random.default_rng(0).standard_normal(33)
    convolution = np.tril(kernel[np.subtract.outer(np.arange(33), np.arange(33)).clip(0)])
    for matrix in (attention_map(33, 0), convolution):
        found = realize(matrix, catalogue["long_convolution"])
        assert found.residual == 0
        assert (found.alpha == matrix).all()
        chacal = realize(matrix, catalogue["chacal"])
        assert chacal.exact
        assert not chacal.beta.any()  # inputs that are reached directly need no past row


MANY = {
    "dense": catalogue["dense_recurrence"],
    "every second": glm.Mixer(recurrent=glm.Strided(2).strict()),
    "far": glm.Mixer(glm.Window(20), glm.Dense() - glm.Window(20)),
    "wide window": glm.Mixer(recurrent=glm.Window(120).strict()),
    "first ones": glm.Mixer(recurrent=glm.GlobalTokens(110).strict() | glm.Lags([1])),
}


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("kind", ["plain", "zero rows"])
def test_many_past_rows(name: str, kind: str) -> None:
    """Beyond 96 past rows steps share a factorisation; what it finds must be what one step alone would find."""
    mixer = MANY[name]
    matrix = mixer.matrix(*drawn_coefficients(mixer, 230, 5, kind))
    assert realize(matrix, mixer).exact


@pytest.mark.parametrize("name", ["dense", "every second", "first ones"])
@pytest.mark.parametrize("kind", ["attention", "zeros on the diagonal"])
def test_many_past_rows_of_a_matrix_that_is_not_carried(name: str, kind: str) -> None:
    mixer, n = MANY[name], 200
    matrix = attention_map(n, 3)
    if kind == "zeros on the diagonal":
        zero = np.random.default_rng(4).random(n) < 0.5
        matrix[zero, zero] = 0
    found = realize(matrix, mixer)
    realised = mixer.matrix(found.alpha, found.beta)
    for t in range(0, n, 7):
        past = realised[list(mixer.recurrent.sources(t))]
        lengths = np.linalg.norm(past[:, :t], axis=1)
        scaled = past[lengths > 0, :t] / lengths[lengths > 0, None]
        # the promise: no worse than a fit without the directions shorter than 1e-7
        solution = np.linalg.lstsq(scaled.T, matrix[t, :t], rcond=1e-7)[0] if len(scaled) else np.zeros(0)
        best = np.linalg.norm(matrix[t, :t] - solution @ scaled)
        assert found.row_residuals[t] <= best + 1e-6


def test_heads_are_realised_one_by_one() -> None:
    maps = np.stack([attention_map(20, seed) for seed in range(3)])
    for mixer in (catalogue["quadratic_recurrence"], catalogue.entry("gla").build(state=3)):
        for constraint in (None, "stable") if mixer.readout is None else (None,):
            together = realize(maps, mixer, constraint)
            assert together.matrix().shape == (3, 20, 20)
            assert together.residual == pytest.approx(np.linalg.norm(maps - together.matrix()))
            for head in range(3):
                alone = realize(maps[head], mixer, constraint)
                np.testing.assert_array_equal(together.alpha[head], alone.alpha)
                np.testing.assert_array_equal(together.beta[head], alone.beta)
                np.testing.assert_array_equal(together.row_residuals[head], alone.row_residuals)
                if mixer.readout is not None:
                    np.testing.assert_array_equal(together.gamma[head], alone.gamma)


def test_a_realization_prints_what_is_missed() -> None:
    found = realize(attention_map(12, 1), glm.Mixer(recurrent=glm.Offsets(2**k)))
    worst = int(np.argmax(found.row_residuals))
    assert found.largest_rows(1) == [
        {
            "head": 0,
            "row": worst,
            "norm": found.row_norms[worst],
            "residual": found.row_residuals[worst],
        }
    ]
    assert f"row {worst}" in str(found)
    assert f"row {worst}" in found._repr_html_()
    assert "exact=False" in repr(found)
    data = found.to_dict()
    assert data["row_residuals"] == found.row_residuals.tolist()
    assert data["relative"] == pytest.approx(found.residual / np.linalg.norm(attention_map(12, 1)))
    zero = realize(np.zeros((4, 4)), found.mixer)
    assert (zero.exact, zero.residual, zero.relative, zero.largest_rows()) == (True, 0.0, 0.0, [])
    assert isinstance(zero, Realization)
