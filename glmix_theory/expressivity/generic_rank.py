"""Ranks of blocks of ``M`` measured with actual coefficients: exactly modulo a prime, and by singular values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmix_theory.errors import check_length
from glmix_theory.expressivity.coefficients import random_coefficients
from glmix_theory.expressivity.state_rank import state_rank_at
from glmix_theory.mixers import Mixer

PRIME = (1 << 31) - 1
"""Ranks are taken modulo this Mersenne prime: never above the generic rank, and below it with probability ≤ n²/p."""


@dataclass(frozen=True)
class RankChain:
    """``rank ≤ disjoint paths ≤ live rows`` at the cut of the state rank, each measured on its own."""

    length: int
    cut: int
    modular: int
    random: int
    softmax: int
    disjoint_paths: int
    live: int

    @property
    def holds(self) -> bool:
        """The inequalities, and equality of the exact rank with the number of disjoint paths."""
        measured = max(self.random, self.softmax) <= self.disjoint_paths
        return measured and self.modular == self.disjoint_paths <= self.live


def rank_chain(mixer: Mixer, n: int, seed: int = 0) -> RankChain:
    """Measure the chain of proposition 9 at the cut with the largest generic rank.

    The mixer's state must be 1. ``softmax`` may fall below the generic rank: numerical ranks count singular
    values above ``1e-10`` of the largest.

    >>> import glmix_theory as glm
    >>> chain = rank_chain(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 32)
    >>> chain.modular, chain.disjoint_paths, chain.live, chain.holds
    (5, 5, 5, True)
    """
    n = check_length(n)
    found = state_rank_at(mixer, n)
    cut = max(found.cut, 1)
    return RankChain(
        n,
        found.cut,
        modular_rank(mixer, n, cut, seed),
        _numerical(mixer, n, cut, "signed", seed),
        _numerical(mixer, n, cut, "softmax", seed),
        found.value,
        found.live,
    )


def modular_rank(mixer: Mixer, n: int, cut: int, seed: int = 0) -> int:
    """Exact rank of ``M[c:, :c]`` modulo a 31-bit prime with uniform random coefficients (state 1).

    >>> import glmix_theory as glm
    >>> modular_rank(glm.Mixer(recurrent=glm.Lags([1, 2])), 8, 4)
    2
    """
    generator = np.random.default_rng(seed)
    matrices = {}
    for part, pattern in mixer.parts.items():
        dense = pattern.to_dense(n)
        matrices[part] = np.where(dense, generator.integers(1, PRIME, size=(n, n)), 0).astype(object)
    mixed = np.zeros((n, n), dtype=object)
    for t in range(n):
        row = matrices["direct"][t].copy() if "direct" in matrices else np.zeros(n, dtype=object)
        if "recurrent" in matrices:
            for s in np.flatnonzero(matrices["recurrent"][t]):
                row = (row + matrices["recurrent"][t, s] * mixed[s]) % PRIME
        mixed[t] = row % PRIME
    if "readout" in matrices:
        mixed = matrices["readout"].dot(mixed) % PRIME
    return _rank_modulo(mixed[cut:, :cut].copy())


def _rank_modulo(matrix: np.ndarray) -> int:
    rank = 0
    for column in range(matrix.shape[1]):
        pivots = np.flatnonzero(matrix[rank:, column])
        if not len(pivots):
            continue
        chosen = rank + int(pivots[0])
        matrix[[rank, chosen]] = matrix[[chosen, rank]]
        matrix[rank] = matrix[rank] * pow(int(matrix[rank, column]), -1, PRIME) % PRIME
        below = matrix[rank + 1 :]
        matrix[rank + 1 :] = (below - below[:, column : column + 1] * matrix[rank]) % PRIME
        rank += 1
        if rank == matrix.shape[0]:
            break
    return rank


def _numerical(mixer: Mixer, n: int, cut: int, kind: str, seed: int) -> int:
    block = mixer.matrix(*random_coefficients(mixer, n, kind, seed))[cut:, :cut]
    if not block.size:
        return 0
    values = np.linalg.svd(block, compute_uv=False)
    return int((values > 1e-10 * max(values[0], 1e-300)).sum())


def copy_ceiling(state_rank: int, n: int) -> float:
    """The largest fraction of the energy of ``n`` independent rows that rank ``s`` lets through: ``min(1, s/n)``.

    Eckart–Young: of ``n`` equal singular values a map of rank ``s`` keeps ``s`` (proposition 15).

    >>> copy_ceiling(13, 4096), copy_ceiling(5000, 4096)
    (0.003173828125, 1.0)
    """
    return min(1.0, state_rank / check_length(n))
