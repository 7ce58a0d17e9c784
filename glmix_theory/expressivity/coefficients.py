"""Random coefficients of each kind, as matrices: to measure what formulas bound."""

from __future__ import annotations

import numpy as np

from glmix_theory.errors import CoefficientError, check_length, nearest
from glmix_theory.mixers import COEFFICIENTS, Mixer


def random_coefficients(
    mixer: Mixer, n: int, kind: str, seed: int = 0, gamma: float = 0.9
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """``(alpha, beta, readout)`` for ``mixer.matrix``: ``(n, n)`` each, drawn for a state of one row.

    Parameters
    ----------
    mixer : Mixer
        Its patterns say where coefficients may be non-zero.
    n : int
        Length.
    kind : str
        ``softmax``: joint rows are positive and sum to 1. ``signed``: joint rows have ``Σ|α| + Σ|β| ≤ 1``.
        ``chacal``: recurrent rows sum to ``gamma``, direct rows to ``1 - gamma``. ``gated``: ``β`` has decays in (0, 1)
        whose row sum is at most the largest decay, ``α = 1 - Σβ`` spread evenly. ``fixed``: one signed value per
        lag. ``delta``: ``β = -b ⟨k_t, k_s⟩`` with unit keys and ``b`` in (0, 1), ``α = b``.
    seed : int
        Of the draw.
    gamma : float
        The split of ``chacal``.

    Raises
    ------
    CoefficientError
        An unknown kind.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> alpha, beta, _ = random_coefficients(glm.Mixer(recurrent=glm.Lags([1])), 4, "softmax")
    >>> (alpha + beta).sum(axis=1).round(12).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    n = check_length(n)
    if kind not in COEFFICIENTS:
        raise CoefficientError(f"kind = {kind!r} is not known; {nearest(str(kind), list(COEFFICIENTS))}")
    generator = np.random.default_rng(seed)
    A, B = mixer.direct.to_dense(n), mixer.recurrent.to_dense(n)
    positive = [np.exp(generator.normal(size=(n, n))) * pattern for pattern in (A, B)]
    total = sum(part.sum(axis=1, keepdims=True) for part in positive)
    if kind == "softmax":
        alpha, beta = (part / np.maximum(total, 1e-300) for part in positive)
    elif kind == "signed":
        signs = [generator.choice([-1.0, 1.0], size=(n, n)) for _ in positive]
        alpha, beta = (part * sign / np.maximum(total, 1e-300) for part, sign in zip(positive, signs))
    elif kind == "chacal":
        alpha, beta = (
            share * part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
            for part, share in zip(positive, (1 - gamma, gamma))
        )
    elif kind == "gated":
        decay = 1 / (1 + np.exp(-generator.normal(size=(n, 1)) - 2))
        beta = decay * positive[1] / np.maximum(positive[1].sum(axis=1, keepdims=True), 1e-300)
        alpha = (1 - beta.sum(axis=1, keepdims=True)) * A / np.maximum(A.sum(axis=1, keepdims=True), 1)
    elif kind == "fixed":
        lag = np.maximum(np.subtract.outer(np.arange(n), np.arange(n)), 0)
        values = [generator.normal(size=n)[lag] * pattern for pattern in (A, B)]
        size = max(float(np.abs(values[0]).sum(axis=1).max() + np.abs(values[1]).sum(axis=1).max()), 1e-300)
        alpha, beta = (part / size for part in values)
    else:
        keys = generator.normal(size=(n, max(4, int(np.sqrt(n)))))
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        rate = generator.uniform(0, 1, size=(n, 1))
        alpha, beta = rate * A, -rate * (keys @ keys.T) * B
    if mixer.readout is None:
        return alpha, beta, None
    C = mixer.readout.to_dense(n)
    return alpha, beta, C / np.maximum(C.sum(axis=1, keepdims=True), 1)
