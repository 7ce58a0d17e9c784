"""ChaCAL by a dense inverse, block-wise by masks from plain loops, and Chimera by summing paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.attention import WIDTH, attend, masked_softmax
from tests.mixers.references.case import Case, columns, on_diagonal

GAMMA = 0.9
"""ChaCAL's discount."""


def _attention(n: int, rng: np.random.Generator, allowed: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the causal softmax matrix that loops over ``allowed`` make of them."""
    queries, keys = rng.standard_normal((2, n, WIDTH))
    return queries @ keys.T, attend(queries, keys, np.eye(n), allowed)


def _split(weights: np.ndarray) -> dict[str, np.ndarray]:
    """``D = diag(1 - γA_tt)``, direct ``(1-γ) D^{-1} A``, recurrent ``γ D^{-1} A_strict``."""
    scale = 1 / (1 - GAMMA * np.diag(weights))[:, None]
    return {"alpha": (1 - GAMMA) * scale * weights, "beta": GAMMA * scale * np.tril(weights, -1)}


def _resolvent(weights: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.eye(len(weights)) - GAMMA * weights)


def chacal(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    scores, weights = _attention(n, rng, lambda t, s: True)
    expected = (1 - GAMMA) * weights @ _resolvent(weights)
    return Case(expected, **_split(masked_softmax(scores, mixer.direct.to_dense(n))))


def chacal_strict(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    scores, weights = _attention(n, rng, lambda t, s: True)
    expected = (1 - GAMMA) * weights @ _resolvent(np.tril(weights, -1))
    softmax = masked_softmax(scores, mixer.readout.to_dense(n))
    return Case(
        expected,
        alpha=(1 - GAMMA) * np.eye(n),
        beta=GAMMA * softmax * mixer.recurrent.to_dense(n),
        gamma=softmax,
    )


def block_chacal(mixer: Mixer, n: int, rng: np.random.Generator, block: int) -> Case:
    def allowed(t: int, s: int) -> bool:
        ends_block = (t + 1) % block == 0
        starts_at = t - t % block
        return s >= starts_at or s == starts_at - 1 or (ends_block and (s + 1) % block == 0)

    scores, weights = _attention(n, rng, allowed)
    expected = (1 - GAMMA) * weights @ _resolvent(weights)
    coefficients = _split(masked_softmax(scores, mixer.direct.to_dense(n)))
    coefficients["beta"] = coefficients["beta"] * mixer.recurrent.to_dense(n)
    return Case(expected, **coefficients)


def chimera(mixer: Mixer, n: int, rng: np.random.Generator, edges: tuple | None, state: int) -> Case:
    if edges is None:
        edges = tuple(
            (4 * row + column, 4 * (row - up) + column - 1 + up)
            for row in range(4)
            for column in range(4)
            for up in (0, 1)
            if row - up >= 0 and column - 1 + up >= 0
        )
    queries, keys = rng.standard_normal((2, n, state))
    weights = rng.uniform(0.1, 0.5, (n, n))
    adjacency = np.zeros((n, n))
    for t, s in edges:
        if t < n:
            adjacency[t, s] = weights[t, s]
    paths, power = np.zeros((n, n)), np.eye(n)
    while power.any():  # the graph has no cycle, so its powers end
        paths += power
        power = power @ adjacency
    return Case(
        paths * (queries @ keys.T),
        alpha=columns(on_diagonal(keys), state),
        beta=weights * mixer.recurrent.to_dense(n),
        gamma=columns(on_diagonal(queries), state),
    )


REFERENCES = {
    "chacal": chacal,
    "chacal_strict": chacal_strict,
    "block_chacal": block_chacal,
    "chimera": chimera,
}
