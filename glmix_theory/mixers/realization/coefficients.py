"""Coefficients kept edge by edge: what a pattern holds, never an ``n × n`` array of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glmix_theory.patterns import Pattern


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The coefficients of one part: a value for every pair ``(t, s)`` of its pattern below ``n``.

    Parameters
    ----------
    indptr : array (n + 1,), int64
        The pairs of step ``t`` are ``indptr[t] … indptr[t + 1] - 1``.
    sources : array (edges,), int64
        The position ``s`` of every pair.
    values : array (heads, edges) or (heads, edges, r) or (heads, edges, r, r), fp64
        A number, a column or a block for every pair.
    """

    indptr: np.ndarray
    sources: np.ndarray
    values: np.ndarray

    @classmethod
    def zeros(cls, pattern: Pattern, n: int, heads: int, block: tuple[int, ...] = ()) -> Coefficients:
        """All coefficients of a pattern, zero; ``block`` is the shape of one."""
        indptr, sources = pattern.rows(0, n)
        return cls(indptr, sources, np.zeros((heads, len(sources), *block)))

    @property
    def n(self) -> int:
        """Number of positions."""
        return len(self.indptr) - 1

    def of(self, t: int) -> slice:
        """Where the pairs of step ``t`` are."""
        return slice(int(self.indptr[t]), int(self.indptr[t + 1]))

    def find(self, t: int, s: int) -> int:
        """Where the pair ``(t, s)`` is."""
        span = self.of(t)
        return span.start + int(np.searchsorted(self.sources[span], s))

    def dense(self, head: int) -> np.ndarray:
        """The array ``Mixer.matrix`` takes: ``(n, n, …)``, zero outside the pattern."""
        array = np.zeros((self.n, self.n, *self.values.shape[2:]))
        array[np.repeat(np.arange(self.n), np.diff(self.indptr)), self.sources] = self.values[head]
        return array
