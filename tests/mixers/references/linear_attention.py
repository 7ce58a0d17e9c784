"""Linear attention by its running state, and log-linear attention by its buckets."""

from __future__ import annotations

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.case import Case, columns, on_diagonal, on_lag_one, sigmoid


def linear_attention(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys = np.exp(rng.standard_normal((2, n, state)))  # a positive feature map
    values = np.eye(n)
    memory, total = np.zeros((state, n)), np.zeros(state)
    expected = np.zeros((n, n))
    for t in range(n):
        memory += np.outer(keys[t], values[t])
        total += keys[t]
        expected[t] = (queries[t] @ memory) / (queries[t] @ total)
    normalised = queries / (queries * np.cumsum(keys, axis=0)).sum(axis=1, keepdims=True)
    return Case(
        expected,
        alpha=columns(on_diagonal(keys), state),
        beta=on_lag_one(np.ones(n)),
        gamma=columns(on_diagonal(normalised), state),
    )


def retnet(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys = rng.standard_normal((2, n, state))
    decay, values = 1 - 2.0**-5, np.eye(n)
    memory, expected = np.zeros((state, n)), np.zeros((n, n))
    for t in range(n):
        memory = decay * memory + np.outer(keys[t], values[t])
        expected[t] = queries[t] @ memory
    return Case(
        expected,
        alpha=columns(on_diagonal(keys), state),
        beta=on_lag_one(np.full(n, decay)),
        gamma=columns(on_diagonal(queries), state),
    )


def gla(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys = rng.standard_normal((2, n, state))
    gates, values = sigmoid(rng.standard_normal((n, state))), np.eye(n)
    memory, expected = np.zeros((state, n)), np.zeros((n, n))
    for t in range(n):
        for j in range(state):
            memory[j] = gates[t, j] * memory[j] + keys[t, j] * values[t]
        expected[t] = queries[t] @ memory
    return Case(
        expected,
        alpha=columns(on_diagonal(keys), state),
        beta=columns(on_lag_one(gates), state),
        gamma=columns(on_diagonal(queries), state),
    )


def rwkv6(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    receptance, keys = rng.standard_normal((2, n, state))
    decays, bonus = sigmoid(rng.standard_normal((n, state))), rng.standard_normal(state)
    values = np.eye(n)
    memory, expected = np.zeros((state, n)), np.zeros((n, n))
    for t in range(n):
        now = np.outer(keys[t], values[t])
        expected[t] = receptance[t] @ (memory + np.diag(bonus) @ now)
        memory = np.diag(decays[t]) @ memory + now
    gamma = on_diagonal(receptance * bonus) + on_lag_one(receptance * (1 - bonus * decays))
    return Case(
        expected,
        alpha=columns(on_diagonal(keys), state),
        beta=columns(on_lag_one(decays), state),
        gamma=columns(gamma, state),
    )


def buckets(t: int, merged: bool) -> list[tuple[int, range]]:
    """``(level, positions)`` of the Fenwick buckets of ``t``, from the binary digits alone.

    Level 0 is ``t`` itself; level ``ℓ`` has ``2^{ℓ-1}`` positions, one for each bit set in ``t``. Merged:
    the buckets of ``t + 1``, of which the smallest ends with ``t``.
    """
    found = [] if merged else [(0, range(t, t + 1))]
    stop = t + 1 if merged else t
    for bit in range(stop.bit_length()):
        if stop >> bit & 1:
            found.append((bit + 1, range(stop - 2**bit, stop)))
            stop -= 2**bit
    return found


def log_linear_inputs(n: int, rng: np.random.Generator, state: int) -> tuple[np.ndarray, ...]:
    queries, keys = rng.standard_normal((2, n, state))
    return queries, keys, sigmoid(rng.standard_normal(n)), np.exp(rng.standard_normal((n, 8)))


def log_linear(
    queries: np.ndarray, keys: np.ndarray, decays: np.ndarray, weights: np.ndarray, merged: bool = False
) -> np.ndarray:
    """The mixing matrix as the sum over levels; ``weights[t, ℓ]`` is ``λ_t^(ℓ)``."""
    n = len(queries)
    matrix = np.zeros((n, n))
    for t in range(n):
        for level, positions in buckets(t, merged):
            for s in positions:
                decay = np.prod(decays[s + 1 : t + 1])
                matrix[t, s] += weights[t, level] * decay * (queries[t] @ keys[s])
    return matrix


def log_linear_coefficients(
    mixer: Mixer, queries: np.ndarray, keys: np.ndarray, decays: np.ndarray, weights: np.ndarray, merged: bool
) -> Case:
    """Coefficients on the tree: a bucket that ends before position ``e`` has level ``log2 lowbit(e) + 1``."""
    n, state = queries.shape
    level = [((s + 1) & -(s + 1)).bit_length() for s in range(n)]
    log_decay = np.cumsum(np.log(decays))
    between = np.tril(np.exp(log_decay[:, None] - log_decay))
    beta = between * mixer.recurrent.to_dense(n)
    gamma = np.zeros((n, n, state))
    for t, s in np.argwhere(mixer.readout.to_dense(n)):
        weight = weights[t, level[s]]
        if not merged and s == t:
            weight = weights[t, 0]
        elif not merged and beta[t, s]:
            weight -= weights[t, 0]  # the own term is Y_t less the children of t
        gamma[t, s] = weight * between[t, s] * queries[t]
    expected = log_linear(queries, keys, decays, weights, merged)
    return Case(expected, alpha=columns(on_diagonal(keys), state), beta=beta, gamma=columns(gamma, state))


def log_linear_attention(mixer: Mixer, n: int, rng: np.random.Generator, state: int, merged: bool) -> Case:
    return log_linear_coefficients(mixer, *log_linear_inputs(n, rng, state), merged)


REFERENCES = {
    "linear_attention": linear_attention,
    "retnet": retnet,
    "gla": gla,
    "rwkv6": rwkv6,
    "log_linear_attention": log_linear_attention,
}
