"""What a reference returns, and the few steps that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Case:
    """Coefficients for ``Mixer.matrix`` and the mixing matrix they must give."""

    expected: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray | None = None
    gamma: np.ndarray | None = None


def on_diagonal(rows: np.ndarray) -> np.ndarray:
    """``rows[t]`` at ``(t, t)``, zero elsewhere."""
    n = len(rows)
    array = np.zeros((n, n, *rows.shape[1:]))
    array[range(n), range(n)] = rows
    return array


def on_lag_one(rows: np.ndarray) -> np.ndarray:
    """``rows[t]`` at ``(t, t-1)``, zero elsewhere; ``rows[0]`` is not used."""
    n = len(rows)
    array = np.zeros((n, n, *rows.shape[1:]))
    array[range(1, n), range(n - 1)] = rows[1:]
    return array


def columns(array: np.ndarray, state: int) -> np.ndarray:
    """The shape ``Mixer.matrix`` takes: a state of one row has no axis of its own."""
    return array.reshape(array.shape[:2]) if state == 1 else array


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))``."""
    return 1 / (1 + np.exp(-x))
