"""Stable and stochastic coefficients: feasible, and the best of each row by the gap of its optimality conditions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.errors import RealizationError
from glmix_theory.mixers import catalogue
from glmix_theory.mixers.realization.constrained import nearest_in_hull
from glmix_theory.mixers.realize import Realization, realize
from tests.strategies import DrawnMixer, mixers

SCALARS = mixers().filter(lambda drawn: drawn.mixer.readout is None and drawn.mixer.state == 1)


def check_feasible(found: Realization, constraint: str) -> None:
    alpha, beta = found.alpha, found.beta
    if constraint == "stable":
        assert (np.abs(alpha).sum(axis=1) + np.abs(beta).sum(axis=1)).max() <= 1 + 1e-12
    else:
        assert min(alpha.min(), beta.min()) >= 0
        np.testing.assert_allclose(alpha.sum(axis=1) + beta.sum(axis=1), 1, rtol=0, atol=1e-12)


def check_optimal(matrix: np.ndarray, found: Realization, constraint: str) -> None:
    """Frank–Wolfe gap: ``g·λ - min g·vertex`` is 0 exactly at the best point of a convex hull, and bounds the excess.

    ``g`` is the gradient of ``‖w - wanted‖²/2`` in the coefficients. The vertices are the vectors (stochastic) or
    the vectors, their negatives (stable).
    """
    mixer, realised = found.mixer, found.matrix()
    for t in range(len(matrix)):
        direct, recurrent = list(mixer.direct.sources(t)), list(mixer.recurrent.sources(t))
        vectors = np.concatenate([np.eye(len(matrix))[direct], realised[recurrent]])
        if not len(vectors):
            continue
        gradient = vectors @ (realised[t] - matrix[t])
        coefficients = np.concatenate([found.alpha[t, direct], found.beta[t, recurrent]])
        np.testing.assert_allclose(coefficients @ vectors, realised[t], rtol=0, atol=1e-12)
        least = -np.abs(gradient).max() if constraint == "stable" else gradient.min()
        assert gradient @ coefficients - least <= 1e-10 * (1 + np.abs(matrix[t]).sum())


@given(
    SCALARS,
    st.integers(1, 14),
    st.integers(0, 2**32),
    st.sampled_from(["stable", "stochastic"]),
    st.sampled_from([0.01, 1.0, 30.0]),
)
def test_constrained_rows_are_feasible_and_best(
    drawn: DrawnMixer, n: int, seed: int, constraint: str, size: float
) -> None:
    mixer, rng = drawn.mixer, np.random.default_rng(seed)
    matrix = np.tril(size * rng.standard_normal((n, n))) * (rng.random((n, n)) < 0.7)
    unread = [t for t in range(n) if not mixer.direct.sources(t) and not mixer.recurrent.sources(t)]
    if constraint == "stochastic" and unread:
        with pytest.raises(RealizationError, match=f"step {unread[0]} reads nothing"):
            realize(matrix, mixer, constraint)
        return
    found = realize(matrix, mixer, constraint)
    check_feasible(found, constraint)
    check_optimal(matrix, found, constraint)


@given(SCALARS, st.integers(1, 14), st.integers(0, 2**32), st.sampled_from(["stable", "stochastic"]))
def test_feasible_coefficients_are_recovered_exactly(drawn: DrawnMixer, n: int, seed: int, constraint: str) -> None:
    """A matrix that constrained coefficients make is carried exactly under that constraint."""
    mixer, rng = drawn.mixer, np.random.default_rng(seed)
    alpha, beta = rng.standard_normal((2, n, n)) * (rng.random((2, n, n)) < 0.8)
    alpha, beta = alpha * mixer.direct.to_dense(n), beta * mixer.recurrent.to_dense(n)
    if constraint == "stochastic":
        alpha, beta = np.abs(alpha), np.abs(beta)
    total = (np.abs(alpha).sum(axis=1) + np.abs(beta).sum(axis=1))[:, None]
    if constraint == "stochastic" and not total.all():
        return
    scale = np.where(total > 0, np.maximum(total, 1 if constraint == "stable" else 0), 1)
    matrix = mixer.matrix(alpha / scale, beta / scale)
    found = realize(matrix, mixer, constraint)
    check_feasible(found, constraint)
    assert found.residual <= 1e-10


@pytest.mark.parametrize("constraint", ["stable", "stochastic"])
@pytest.mark.parametrize(
    "mixer",
    [
        catalogue["dense_recurrence"],
        catalogue["chacal"],
        catalogue["local_attention"],
        glm.Mixer(glm.Window(5), glm.Offsets(k**2 + 1)),
    ],
    ids=repr,
)
def test_an_attention_map_under_constraints(mixer: glm.Mixer, constraint: str) -> None:
    rng = np.random.default_rng(0)
    matrix = np.tril(np.exp(2 * rng.standard_normal((60, 60))))
    matrix /= matrix.sum(axis=1, keepdims=True)
    found = realize(matrix, mixer, constraint)
    check_feasible(found, constraint)
    check_optimal(matrix, found, constraint)
    assert np.abs(found.matrix()).sum(axis=1).max() <= 1 + 1e-12  # proposition 11
    if mixer is catalogue["chacal"]:
        assert found.residual <= 1e-14
    tight = realize(1.5 * matrix, mixer, constraint)  # out of reach: the constraint binds
    check_optimal(1.5 * matrix, tight, constraint)
    assert not tight.exact


def test_the_nearest_point_of_a_hull_by_brute_force() -> None:
    """Every face of small random hulls: the least distance over all subsets whose best shares are feasible."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        count, width = rng.integers(1, 6), rng.integers(1, 5)
        points, wanted = rng.standard_normal((count, width)), 1.5 * rng.standard_normal(width)
        best = np.inf
        for size in range(1, count + 1):
            for chosen in itertools.combinations(range(count), size):
                face = points[list(chosen)]
                shares = np.zeros(size)
                if size > 1:
                    edges = (face[1:] - face[0]).T
                    shares[1:] = np.linalg.lstsq(edges, wanted - face[0], rcond=None)[0]
                shares[0] = 1 - shares[1:].sum()
                if shares.min() >= -1e-12:
                    best = min(best, float(np.linalg.norm(shares @ face - wanted)))
        shares = nearest_in_hull(points, wanted)
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1, abs=1e-13)
        assert np.linalg.norm(shares @ points - wanted) == pytest.approx(best, abs=1e-10)
    assert nearest_in_hull(np.ones((3, 2)), np.ones(2)).sum() == pytest.approx(1)
