"""Every coefficient kind by loops over tokens and numbers, written from the docstring of ``export.kinds``.

Knows patterns by ``sources(t)`` and the bias by the class of a lag; nothing of the code under test.
"""

from __future__ import annotations

import numpy as np
import torch

import glmix_theory as glm
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import lag_class


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def lag_classes(pattern: glm.Pattern, n: int) -> dict[tuple[int, int], int]:
    """The class of every edge: by the rank of its lag where the pattern has a set of lags, else by the lag."""
    pairs = [(t, s) for t in range(n) for s in pattern.sources(t)]
    lags = sorted({t - s for t, s in pairs})
    ranks = {lag: rank if pattern.lag_set is not None else lag for rank, lag in enumerate(lags)}
    return {(t, s): int(lag_class(np.array([ranks[t - s]]))[0]) for t, s in pairs}


def softmax(scores: list[float]) -> list[float]:
    powers = [np.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


class Head:
    """One head of one batch element."""

    def __init__(self, mixer: glm.Mixer, kind: str, inputs: Inputs, b: int, h: int) -> None:
        def cut(x: torch.Tensor | None) -> np.ndarray | None:
            return None if x is None else x[b, h].detach().double().numpy()

        self.mixer, self.kind = mixer, kind
        self.q, self.k, self.v = cut(inputs.q), cut(inputs.k), cut(inputs.v)
        self.n = len(self.v)
        gate, write = cut(inputs.gate), cut(inputs.write)
        self.a = None if gate is None else sigmoid(gate)
        self.not_a = None if gate is None else sigmoid(-gate)
        self.b = None if write is None else sigmoid(write)[:, 0]
        bias = None if inputs.bias is None else inputs.bias[:, h].detach().double().numpy()
        parts = [mixer.direct, mixer.recurrent] + ([] if mixer.readout is None else [mixer.readout])
        self.bias = []
        for part, pattern in enumerate(parts):
            classes = lag_classes(pattern, self.n)
            self.bias.append({pair: 0.0 if bias is None else bias[part][c] for pair, c in classes.items()})

    def score(self, part: int, t: int, s: int) -> float:
        return self.q[t] @ self.k[s] / np.sqrt(self.q.shape[1]) + self.bias[part][t, s]

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """``z`` and ``y``."""
        return self.matrices() if self.mixer.state > 1 else self.rows()

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        y, z = np.zeros_like(self.v), np.zeros_like(self.v)
        for t in range(self.n):
            D, R = self.mixer.direct.sources(t), self.mixer.recurrent.sources(t)
            alpha, beta = self.joint(t, D, R)
            y[t] = sum((w * self.v[s] for w, s in zip(alpha, D)), np.zeros(self.v.shape[1]))
            y[t] += sum((w * y[s] for w, s in zip(beta, R)), np.zeros(self.v.shape[1]))
            if self.mixer.readout is None:
                z[t] = y[t]
            else:
                C = self.mixer.readout.sources(t)
                z[t] = sum((w * y[s] for w, s in zip(self.read(t, C), C)), np.zeros(self.v.shape[1]))
        return z, y

    def joint(self, t: int, D: tuple[int, ...], R: tuple[int, ...]) -> tuple[list, list]:
        if self.kind == "fixed":
            weights = [self.bias[0][t, s] for s in D] + [self.bias[1][t, s] for s in R]
            total = max(1.0, sum(abs(w) for w in weights))
            weights = [w / total for w in weights]
        elif self.kind == "delta":
            return [self.b[t] for _ in D], [-self.b[t] * (self.k[t] @ self.k[s]) for s in R]
        else:
            direct, recurrent = [self.score(0, t, s) for s in D], [self.score(1, t, s) for s in R]
            if self.kind == "gated":
                alpha = [self.not_a[t] * w for w in softmax(direct)] if D else []
                return alpha, [self.a[t] * w for w in softmax(recurrent)] if R else []
            if self.kind == "chacal" and self.mixer.readout is not None:
                own = self.q[t] @ self.k[t] / np.sqrt(self.q.shape[1])
                return softmax(direct) if D else [], [self.a[t, 0] * w for w in softmax([*recurrent, own])[:-1]]
            scores = direct + recurrent
            if self.kind == "chacal":
                kept, new = np.log(self.a[t, 0]), np.log(self.not_a[t, 0])
                scores = [s + new for s in direct] + [s + kept for s in recurrent]
            if self.kind == "signed":
                total = sum(np.cosh(s) for s in scores)
                weights = [np.sinh(s) / total for s in scores]
            else:
                weights = softmax(scores) if scores else []
        return weights[: len(D)], weights[len(D) :]

    def read(self, t: int, C: tuple[int, ...]) -> list[float]:
        if self.kind == "delta":
            return [self.q[t] @ self.k[s] for s in C]
        if self.kind == "fixed":
            weights = [self.bias[2][t, s] for s in C]
            return [w / max(1.0, sum(abs(x) for x in weights)) for w in weights]
        scores = [self.score(2, t, s) for s in C]
        if self.kind == "signed":
            return [np.sinh(s) / sum(np.cosh(x) for x in scores) for s in scores]
        factor = self.not_a[t, 0] if self.kind == "chacal" else 1.0
        return [factor * w for w in softmax(scores)] if C else []

    def decay(self, t: int, s: int) -> np.ndarray:
        """As a column, for the rows of a state."""
        if self.a is None:
            return np.ones((1, 1))
        return np.prod(self.a[s + 1 : t + 1], axis=0)[:, None]

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        r, width = self.mixer.state, self.v.shape[1]
        readers = [s for t in range(self.n) for s in self.mixer.recurrent.sources(t)]
        sole = self.mixer.recurrent in (glm.Lags([1]), glm.Fenwick()) or (
            isinstance(self.mixer.recurrent, glm.Explicit) and len(readers) == len(set(readers))
        )
        S, z = np.zeros((self.n, r, width)), np.zeros((self.n, width))
        for t in range(self.n):
            D, R = self.mixer.direct.sources(t), self.mixer.recurrent.sources(t)
            for s, share in zip(D, softmax([self.bias[0][t, s] for s in D]) if D else []):
                u = self.k[s] if self.kind != "delta" else self.b[s] * self.k[s]
                S[t] += share * np.outer(u, self.v[s])
            shares = [1.0] * len(R) if sole else softmax([self.bias[1][t, s] for s in R]) if R else []
            read = sum((w * self.decay(t, s) * S[s] for w, s in zip(shares, R)), np.zeros((r, width)))
            if self.kind == "delta":
                read = read - self.b[t] * np.outer(self.k[t], self.k[t]) @ read
            S[t] += read
            for s in self.mixer.readout.sources(t):
                z[t] += np.exp(self.bias[2][t, s]) * self.q[t] @ (self.decay(t, s) * S[s])
        return z, S


def token_loops(mixer: glm.Mixer, kind: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` of a whole batch, without segments."""
    batch, heads = inputs.v.shape[:2]
    found = [[Head(mixer, kind, inputs, b, h).run() for h in range(heads)] for b in range(batch)]
    z, y = (torch.stack([torch.stack([torch.from_numpy(head[i]) for head in row]) for row in found]) for i in (0, 1))
    return z, y
