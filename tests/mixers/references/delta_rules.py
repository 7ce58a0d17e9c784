"""Delta rules as their publications write them: the state is value × key and is updated from the right."""

from __future__ import annotations

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.case import Case, columns, on_diagonal, on_lag_one, sigmoid, unit


def delta_inputs(n: int, rng: np.random.Generator, state: int) -> tuple[np.ndarray, ...]:
    """Queries, unit keys and writing strengths."""
    queries, keys = rng.standard_normal((2, n, state))
    return queries, unit(keys), sigmoid(rng.standard_normal(n))


def delta_rule(queries: np.ndarray, keys: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """``S_t = S_{t-1}(I - b k kᵀ) + b v kᵀ``, ``y_t = S_t q_t``, with ``V = I``: the mixing matrix."""
    n, width = keys.shape
    values, memory, outputs = np.eye(n), np.zeros((n, width)), np.zeros((n, n))
    for t in range(n):
        forget = np.eye(width) - strengths[t] * np.outer(keys[t], keys[t])
        memory = memory @ forget + strengths[t] * np.outer(values[t], keys[t])
        outputs[t] = memory @ queries[t]
    return outputs


def _case(expected: np.ndarray, writes: np.ndarray, transitions: np.ndarray, reads: np.ndarray) -> Case:
    state = writes.shape[1]
    beta = on_lag_one(transitions)
    return Case(
        expected,
        alpha=columns(on_diagonal(writes), state),
        beta=beta[:, :, 0, 0] if state == 1 else beta,
        gamma=columns(on_diagonal(reads), state),
    )


def _householder(keys: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    return np.eye(keys.shape[1]) - strengths[:, None, None] * keys[:, :, None] * keys[:, None, :]


def delta_net(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys, strengths = delta_inputs(n, rng, state)
    expected = delta_rule(queries, keys, strengths)
    return _case(expected, strengths[:, None] * keys, _householder(keys, strengths), queries)


def delta_net_ut(mixer: Mixer, n: int, rng: np.random.Generator, state: int = 4) -> Case:
    queries, keys, strengths = delta_inputs(n, rng, state)
    return Case(
        delta_rule(queries, keys, strengths),
        alpha=np.diag(strengths),
        beta=-strengths[:, None] * np.tril(keys @ keys.T, -1),
        gamma=np.tril(queries @ keys.T),
    )


def gated_delta_net(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys, strengths = delta_inputs(n, rng, state)
    decays, values = sigmoid(rng.standard_normal(n)), np.eye(n)
    memory, expected = np.zeros((n, state)), np.zeros((n, n))
    for t in range(n):
        memory = decays[t] * memory
        held = memory @ keys[t]
        memory = memory + strengths[t] * np.outer(values[t] - held, keys[t])
        expected[t] = memory @ queries[t]
    transitions = decays[:, None, None] * _householder(keys, strengths)
    return _case(expected, strengths[:, None] * keys, transitions, queries)


def kimi_delta_attention(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    queries, keys, strengths = delta_inputs(n, rng, state)
    decays, values = sigmoid(rng.standard_normal((n, state))), np.eye(n)
    memory, expected = np.zeros((state, n)), np.zeros((n, n))  # key × value, as published
    for t in range(n):
        memory = decays[t][:, None] * memory
        held = keys[t] @ memory
        memory = memory + strengths[t] * np.outer(keys[t], values[t] - held)
        expected[t] = queries[t] @ memory
    transitions = _householder(keys, strengths) * decays[:, None, :]
    return _case(expected, strengths[:, None] * keys, transitions, queries)


def rwkv7(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    receptance, keys, removal = rng.standard_normal((3, n, state))
    removal, values = unit(removal), np.eye(n)
    decays, rates = sigmoid(rng.standard_normal((2, n, state)))
    memory, expected = np.zeros((n, state)), np.zeros((n, n))
    for t in range(n):
        change = np.diag(decays[t]) - np.outer(removal[t], rates[t] * removal[t])
        memory = memory @ change + np.outer(values[t], keys[t])
        expected[t] = memory @ receptance[t]
    removed = (rates * removal)[:, :, None] * removal[:, None, :]
    return _case(expected, keys, decays[:, :, None] * np.eye(state) - removed, receptance)


REFERENCES = {
    "delta_net": delta_net,
    "delta_net_ut": delta_net_ut,
    "gated_delta_net": gated_delta_net,
    "kimi_delta_attention": kimi_delta_attention,
    "rwkv7": rwkv7,
}
