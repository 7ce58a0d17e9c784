"""Recurrences of higher order by recursion: ``y_t = α_t x_t + Σ β_ts y_s``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from glmix_theory import Mixer
from tests.mixers.references.case import Case

Sources = Callable[[int], Iterable[int]]


def _recursion(mixer: Mixer, n: int, rng: np.random.Generator, sources: Sources) -> Case:
    inputs, weights = rng.standard_normal(n), rng.standard_normal((n, n)) / np.sqrt(n)
    outputs: list[np.ndarray] = []
    for t in range(n):
        output = inputs[t] * np.eye(n)[t]
        for s in sources(t):
            output = output + weights[t, s] * outputs[s]
        outputs.append(output)
    return Case(np.array(outputs), alpha=np.diag(inputs), beta=weights * mixer.recurrent.to_dense(n))


def kth_order(mixer: Mixer, n: int, rng: np.random.Generator, order: int) -> Case:
    return _recursion(mixer, n, rng, lambda t: range(max(0, t - order), t))


def dense(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _recursion(mixer, n, rng, range)


def exponential(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _recursion(mixer, n, rng, lambda t: [t - 2**j for j in range(10) if t - 2**j >= 0])


def quadratic(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _recursion(mixer, n, rng, lambda t: [t - j * j - 1 for j in range(10) if t - j * j - 1 >= 0])


def rounded(f: Callable[[int], int]) -> Sources:
    """``S_i = { a_k ⌈(i - f(k))/a_k⌉ : f(k) < i }`` in 1-based positions, with its periods ``a_k``."""

    def sources(t: int) -> set[int]:
        i, period, found = t + 1, 1, set()
        for index in range(20):
            if f(index) >= i:
                break
            found.add(period * ((i - f(index) + period - 1) // period) - 1)
            period *= (f(index + 1) - f(index) + period - 1) // period
        return found

    return sources


def exponential_cache_efficient(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _recursion(mixer, n, rng, rounded(lambda j: 2**j))


def quadratic_cache_efficient(mixer: Mixer, n: int, rng: np.random.Generator) -> Case:
    return _recursion(mixer, n, rng, rounded(lambda j: j * j + 1))


REFERENCES = {
    "kth_order_recurrence": kth_order,
    "dense_recurrence": dense,
    "exponential_recurrence": exponential,
    "exponential_cache_efficient": exponential_cache_efficient,
    "quadratic_recurrence": quadratic,
    "quadratic_cache_efficient": quadratic_cache_efficient,
}
