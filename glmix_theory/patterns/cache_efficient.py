"""Patterns that read only what the step before read, plus the newest position."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmix_theory.errors import IndexFunctionError, check_length
from glmix_theory.patterns.base import Pattern
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.periodicity import Periodicity


class CacheEfficient(Pattern):
    """The cache-efficient approximation of ``Offsets(f)``: ``sources(t) ⊆ sources(t-1) ∪ {t-1}``.

    Claim: with ``i = t + 1``, ``S_i = { a_k ⌈(i - f(k))/a_k⌉ : f(k) < i }`` where ``a_0 = 1`` and
    ``a_{k+1} = a_k ⌈(f(k+1) - f(k))/a_k⌉``. Slot ``k`` reads at a lag in ``(f(k) - a_k, f(k)]``: never
    farther than the pattern it approximates. Slots may coincide, so they are sets.

    Parameters
    ----------
    f : sympy expression in ``glm.k``, callable ``int -> int`` or list of ints
        Strictly increasing with ``f(0) = 1``.

    Raises
    ------
    IndexFunctionError
        As for :class:`~glmix_theory.patterns.Offsets`, or ``f(0) ≠ 1``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> p = glm.CacheEfficient(2**glm.k)
    >>> p.sources(9), p.sources(10)
    ((3, 5, 7, 8), (3, 7, 8, 9))

    References
    ----------
    Fagnou et al., arXiv:2605.31367; propositions 7 and 8.
    """

    off_diagonal = True

    def __init__(self, f: Any) -> None:
        self.function = IndexFunction(f)
        if self.function.length == 0 or self.function(0) != 1:
            first = "no terms" if self.function.length == 0 else f"f(0) = {self.function(0)}"
            nearest = "a list that starts with 1" if self.function.expr is None else self._nearest()
            raise IndexFunctionError(
                f"CacheEfficient({self.function!r}): {first}, and the construction needs f(0) = 1 "
                f"(step t must read t-1); try {nearest}"
            )
        self._periods = [1]

    def _nearest(self) -> str:
        assert self.function.expr is not None
        return f"CacheEfficient({self.function.expr - (self.function(0) - 1)})"

    def period(self, index: int) -> int:
        """``a_index``: slot ``index`` moves once every ``a_index`` steps."""
        while len(self._periods) <= index:
            j = len(self._periods) - 1
            gap = self.function(j + 1) - self.function(j)
            self._periods.append(self._periods[-1] * -(-gap // self._periods[-1]))
        return self._periods[index]

    def slots_disjoint_until(self, number: int) -> bool:
        """Whether ``a_k = f(k) - f(k-1)`` for all ``k < number``: then no two of these slots coincide."""
        return all(self.period(j) == self.function(j) - self.function(j - 1) for j in range(1, number))

    def sources(self, t: int) -> tuple[int, ...]:
        i = check_length(t, "t", 0) + 1
        found = set()
        for index in range(self.function.count(i - 1)):
            a = self.period(index)
            found.add(a * -(-(i - self.function(index)) // a) - 1)
        return tuple(sorted(found))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        number = self.function.count(stop - 1) if stop > 0 else 0
        offsets = self.function.up_to(stop - 1)[::-1]
        periods = np.array([self.period(j) for j in range(number)], dtype=np.int64)[::-1]
        indptr = np.zeros(max(stop - start, 0) + 1, dtype=np.int64)
        pieces = [np.zeros(0, dtype=np.int64)]
        chunk = max(1, (1 << 22) // max(1, number))
        for low in range(start, stop, chunk):
            i = np.arange(low, min(low + chunk, stop), dtype=np.int64)[:, None] + 1
            table = periods * -((offsets - i) // periods)
            keep = offsets < i
            # ascending along a row (slot k+1 follows slot k), so equal slots are neighbours
            keep[:, 1:] &= (table[:, 1:] != table[:, :-1]) | ~keep[:, :-1]
            pieces.append(table[keep] - 1)
            indptr[low - start + 1 : low - start + 1 + len(i)] = keep.sum(axis=1)
        np.cumsum(indptr, out=indptr)
        return indptr, np.concatenate(pieces)

    @property
    def cache_efficient(self) -> bool:
        return True

    @property
    def periodicity(self) -> Periodicity | None:
        # Once every slot of a finite f exists, i → i + a moves each by a = a_last, which all periods divide.
        if self.function.length is None:
            return None
        last = self.function.length - 1
        return Periodicity(self.period(last), self.function(last), self.function(last) + 1)

    def first_diagonal(self) -> int | None:
        return None

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        # What step start does not read is never read again: sources(t+1) ⊆ sources(t) ∪ {t}, start ≥ width.
        read = np.zeros(width, dtype=bool)
        read[[s for s in self.sources(start) if s < width]] = True
        return read, read.copy()

    def last_step(self, width: int) -> int | None:
        # Position s (1-based) is last read at s + max{f(k) : a_k divides s}; a_k ≤ s bounds k.
        length = self.function.length
        index = 0
        while (length is None or index + 1 < length) and self.period(index + 1) <= width:
            index += 1
            if index > 1 << 12:
                return None
        return width - 1 + self.function(index)

    def __repr__(self) -> str:
        return f"CacheEfficient({self.function!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CacheEfficient) and self.function == other.function

    def __hash__(self) -> int:
        return hash(("CacheEfficient", self.function))
