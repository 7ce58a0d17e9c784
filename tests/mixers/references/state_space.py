"""State space models as scans over time, one channel at a time."""

from __future__ import annotations

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.case import Case, columns, on_diagonal, on_lag_one, sigmoid


def diagonal_ssm(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    inputs, decays = rng.standard_normal(n), sigmoid(rng.standard_normal(n))
    expected = np.zeros((n, n))
    for source in range(n):
        channel = 0.0
        for t in range(n):
            channel = decays[t] * channel + inputs[t] * (t == source)
            expected[t, source] = channel
    return Case(expected, alpha=np.diag(inputs), beta=on_lag_one(decays))


def rotation_blocks(eigenvalues: np.ndarray) -> np.ndarray:
    """The real block-diagonal matrix of complex multiplications, rows ``Re, Im`` per eigenvalue."""
    blocks = np.zeros((2 * len(eigenvalues), 2 * len(eigenvalues)))
    for i, value in enumerate(eigenvalues):
        rotation = [[value.real, -value.imag], [value.imag, value.real]]
        blocks[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = rotation
    return blocks


def as_rows(numbers: np.ndarray, sign: float = 1.0) -> np.ndarray:
    """``Re, Im`` interleaved; with ``sign = -1`` the row whose product with a state is ``Re(c h)``."""
    return np.stack([numbers.real, sign * numbers.imag], axis=-1).ravel()


def _complex_case(n: int, eigenvalues: np.ndarray, b: np.ndarray, c: np.ndarray, factor: float) -> Case:
    expected = np.zeros((n, n))
    for source in range(n):
        state = np.zeros(len(eigenvalues), dtype=complex)
        for t in range(n):
            state = eigenvalues * state + b * (t == source)
            expected[t, source] = factor * (c * state).sum().real
    return Case(
        expected,
        alpha=on_diagonal(np.tile(as_rows(b), (n, 1))),
        beta=on_lag_one(np.tile(rotation_blocks(eigenvalues), (n, 1, 1))),
        gamma=on_diagonal(np.tile(factor * as_rows(c, -1.0), (n, 1))),
    )


def _complex(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size) + 1j * rng.standard_normal(size)


def s4d(mixer: Mixer, n: int, rng: np.random.Generator, pairs: int) -> Case:
    step = 0.1
    a = -0.5 + 1j * np.pi * np.arange(pairs)  # S4D-Lin, zero-order hold
    eigenvalues = np.exp(step * a)
    b = (eigenvalues - 1) / a * _complex(rng, pairs)
    return _complex_case(n, eigenvalues, b, _complex(rng, pairs), factor=2.0)


def s5(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    step, a = 0.3, np.array([-0.5 + 2.0j])
    eigenvalues = np.exp(step * a)
    return _complex_case(n, eigenvalues, (eigenvalues - 1) / a, _complex(rng, 1), factor=1.0)


def lru(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    eigenvalues = np.exp(-np.exp(rng.standard_normal(1)) + 1j * rng.uniform(0, 6.28, 1))
    normaliser = np.sqrt(1 - np.abs(eigenvalues) ** 2).astype(complex)
    return _complex_case(n, eigenvalues, normaliser, _complex(rng, 1), factor=1.0)


def mamba(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    a = -np.arange(1.0, state + 1)
    steps = np.log1p(np.exp(rng.standard_normal(n)))
    b, c = rng.standard_normal((2, n, state))
    expected = np.zeros((n, n))
    for source in range(n):
        h = np.zeros(state)
        for t in range(n):
            for j in range(state):
                h[j] = np.exp(steps[t] * a[j]) * h[j] + steps[t] * b[t, j] * (t == source)
            expected[t, source] = c[t] @ h
    return Case(
        expected,
        alpha=columns(on_diagonal(steps[:, None] * b), state),
        beta=columns(on_lag_one(np.exp(np.outer(steps, a))), state),
        gamma=columns(on_diagonal(c), state),
    )


def mamba2(mixer: Mixer, n: int, rng: np.random.Generator, state: int) -> Case:
    decays, steps = sigmoid(rng.standard_normal(n)), np.log1p(np.exp(rng.standard_normal(n)))
    b, c = rng.standard_normal((2, n, state))
    values = np.eye(n)
    h, expected = np.zeros((state, n)), np.zeros((n, n))
    for t in range(n):
        h = decays[t] * h + steps[t] * np.outer(b[t], values[t])
        expected[t] = c[t] @ h
    return Case(
        expected,
        alpha=columns(on_diagonal(steps[:, None] * b), state),
        beta=on_lag_one(decays),
        gamma=columns(on_diagonal(c), state),
    )


def rg_lru(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    recurrence_gate, input_gate = sigmoid(rng.standard_normal((2, n)))
    decays = sigmoid(rng.standard_normal()) ** (8 * recurrence_gate)
    expected = np.zeros((n, n))
    for source in range(n):
        h = 0.0
        for t in range(n):
            h = decays[t] * h + np.sqrt(1 - decays[t] ** 2) * input_gate[t] * (t == source)
            expected[t, source] = h
    return Case(expected, alpha=np.diag(np.sqrt(1 - decays**2) * input_gate), beta=on_lag_one(decays))


REFERENCES = {
    "diagonal_ssm": diagonal_ssm,
    "s4d": s4d,
    "s5": s5,
    "lru": lru,
    "mamba": mamba,
    "mamba2": mamba2,
    "rg_lru": rg_lru,
}
