"""Softmax attention with masks by plain loops, and convolution term by term."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.case import Case

WIDTH = 4
"""Width of queries and keys."""


def masked_softmax(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rows of exponentials over the mask, normalised."""
    weights = np.where(mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def attend(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, allowed: Callable) -> np.ndarray:
    """Softmax attention of every position to the earlier ones that ``allowed(t, s)`` admits."""
    outputs = np.zeros_like(values)
    for t in range(len(values)):
        admitted = [s for s in range(t + 1) if allowed(t, s)]
        weights = [float(np.exp(queries[t] @ keys[s])) for s in admitted]
        for s, weight in zip(admitted, weights):
            outputs[t] += weight / sum(weights) * values[s]
    return outputs


def _softmax_case(mixer: Mixer, n: int, rng: np.random.Generator, allowed: Callable) -> Case:
    queries, keys = rng.standard_normal((2, n, WIDTH))
    alpha = masked_softmax(queries @ keys.T, mixer.direct.to_dense(n))
    return Case(expected=attend(queries, keys, np.eye(n), allowed), alpha=alpha)


def attention(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: True)


def window(mixer: Mixer, n: int, rng: np.random.Generator, window: int) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: t - s < window)


def _in_dilated_window(t: int, s: int, window: int, dilation: int) -> bool:
    return s in [t - j * dilation for j in range(window)]


def dilated(mixer: Mixer, n: int, rng: np.random.Generator, window: int, dilation: int) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: _in_dilated_window(t, s, window, dilation))


def strided(mixer: Mixer, n: int, rng: np.random.Generator, stride: int) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: t - s < stride or (t - s) % stride == 0)


def longformer(mixer: Mixer, n: int, rng: np.random.Generator, window: int, dilation: int, global_tokens: int) -> Case:
    def allowed(t: int, s: int) -> bool:
        return t - s < window or _in_dilated_window(t, s, window, dilation) or s < global_tokens

    return _softmax_case(mixer, n, rng, allowed)


def bigbird(
    mixer: Mixer,
    n: int,
    rng: np.random.Generator,
    window: int,
    global_tokens: int,
    random_sources: int,
    seed: int,
) -> Case:
    from glmix_theory import RandomSources

    drawn = [RandomSources(random_sources, seed).sources(t) for t in range(n)]
    assert all(len(row) == min(t, random_sources) for t, row in enumerate(drawn))

    def allowed(t: int, s: int) -> bool:
        return t - s < window or s < global_tokens or s in drawn[t]

    return _softmax_case(mixer, n, rng, allowed)


def attention_sinks(mixer: Mixer, n: int, rng: np.random.Generator, window: int, sinks: int) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: t - s < window or s < sinks)


def log_sparse(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _softmax_case(mixer, n, rng, lambda t, s: t - s in (0, 1, 2, 4, 8, 16))


def long_convolution(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    taps, gates, inputs = rng.standard_normal((3, n))
    expected = np.zeros((n, n))
    for t in range(n):
        for lag in range(t + 1):
            expected[t, t - lag] += gates[t] * taps[lag] * inputs[t - lag]
    lags = np.arange(n)[:, None] - np.arange(n)
    toeplitz = np.where(lags >= 0, taps[np.abs(lags)], 0.0)
    return Case(expected=expected, alpha=np.diag(gates) @ toeplitz @ np.diag(inputs))


REFERENCES = {
    "attention": attention,
    "local_attention": window,
    "sliding_window": window,
    "dilated": dilated,
    "strided": strided,
    "longformer": longformer,
    "bigbird": bigbird,
    "attention_sinks": attention_sinks,
    "log_sparse": log_sparse,
    "long_convolution": long_convolution,
}
