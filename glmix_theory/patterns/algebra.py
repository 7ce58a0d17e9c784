"""Operations on two patterns: each composes the facts of its parts, in this one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmix_theory.patterns.base import Pattern
from glmix_theory.patterns.families import Explicit
from glmix_theory.patterns.lag_operations import LagDifference, LagIntersection, LagSum, LagUnion, union_of_lags
from glmix_theory.patterns.lag_sets import LagSet
from glmix_theory.patterns.operation import Operation
from glmix_theory.patterns.periodicity import Periodicity


class Binary(Operation):
    """An operation on two patterns."""

    symbol = ""

    def __init__(self, left: Pattern, right: Pattern) -> None:
        self.left, self.right = left, right

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        return parts[0].combined(parts[1])

    def subs(self, *values: Any) -> Pattern:
        return type(self)(self.left.subs(*values), self.right.subs(*values))

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return self.left, self.right

    def __repr__(self) -> str:
        # Only a chain of the same associative operation may drop its brackets on the left.
        left = repr(self.left)
        if isinstance(self.left, Binary) and type(self.left) is not type(self):
            left = f"({left})"
        right = f"({self.right!r})" if isinstance(self.right, Binary) else repr(self.right)
        return f"{left} {self.symbol} {right}"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self.parts))

    def _pair_keys(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, int]:
        width = stop + 1
        keys = []
        for part in self.parts:
            indptr, sources = part.rows(start, stop)
            keys.append(np.repeat(np.arange(stop - start, dtype=np.int64), np.diff(indptr)) * width + sources)
        return keys[0], keys[1], width

    def _from_keys(self, keys: np.ndarray, width: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        indptr = np.searchsorted(keys, np.arange(stop - start + 1, dtype=np.int64) * width)
        return indptr.astype(np.int64), keys % width


class Union(Binary):
    """Pairs of either pattern: ``p | q``."""

    symbol = "|"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagUnion(self.left.lag_set, self.right.lag_set)

    @property
    def lags_and_globals(self) -> tuple[LagSet, int] | None:
        if self._lags is not None:
            return self._lags, 0
        left, right = (part.lags_and_globals for part in self.parts)
        if left is None or right is None:
            return None
        return union_of_lags(left[0], right[0]), max(left[1], right[1])

    @property
    def tree_parts(self) -> frozenset[str] | None:
        left, right = (part.tree_parts for part in self.parts)
        return None if left is None or right is None else left | right

    @property
    def every_row_read_again(self) -> bool:
        return any(part.every_row_read_again for part in self.parts)

    @property
    def off_diagonal(self) -> bool:
        return all(part.off_diagonal for part in self.parts)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        left, right, width = self._pair_keys(start, stop)
        return self._from_keys(np.union1d(left, right), width, start, stop)

    def always_read(self, width: int, start: int) -> np.ndarray:
        return self.left.always_read(width, start) | self.right.always_read(width, start)

    def last_step(self, width: int) -> int | None:
        steps = [part.last_step(width) for part in self.parts]
        return None if None in steps else max(steps)  # type: ignore[type-var]

    def first_diagonal(self) -> int | None:
        found = [where for part in self.parts if (where := part.first_diagonal()) is not None]
        return min(found) if found else None

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        left, right = (part.read_from(width, start) for part in self.parts)
        return left[0] | right[0], left[1] | right[1]


class Intersection(Binary):
    """Pairs of both patterns: ``p & q``."""

    symbol = "&"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagIntersection(self.left.lag_set, self.right.lag_set)

    @property
    def tree_parts(self) -> frozenset[str] | None:
        left, right = (part.tree_parts for part in self.parts)
        return None if left is None or right is None else left & right

    @property
    def off_diagonal(self) -> bool:
        return any(part.off_diagonal for part in self.parts)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        left, right, width = self._pair_keys(start, stop)
        return self._from_keys(np.intersect1d(left, right), width, start, stop)

    def always_read(self, width: int, start: int) -> np.ndarray:
        return self.left.always_read(width, start) & self.right.always_read(width, start)

    def last_step(self, width: int) -> int | None:
        steps = [step for part in self.parts if (step := part.last_step(width)) is not None]
        return min(steps) if steps else None

    def first_diagonal(self) -> int | None:
        for part, other in (self.parts, self.parts[::-1]):
            if isinstance(part, Explicit):  # its few diagonal pairs are looked up wherever they are
                return next((t for t, s in part.edges if t == s and t in other.sources(t)), None)
        return super().first_diagonal()

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        left, right = (part.read_from(width, start) for part in self.parts)
        left_always, right_always = (part.always_read(width, start) for part in self.parts)
        certain = (left_always & right[0]) | (right_always & left[0])
        return certain, left[1] & right[1]


class Difference(Binary):
    """Pairs of the first pattern that are not in the second: ``p - q``."""

    symbol = "-"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagDifference(self.left.lag_set, self.right.lag_set)

    @property
    def tree_parts(self) -> frozenset[str] | None:
        left, right = (part.tree_parts for part in self.parts)
        return None if left is None or right is None else left - right

    @property
    def off_diagonal(self) -> bool:
        return self.left.off_diagonal

    def first_diagonal(self) -> int | None:
        if isinstance(self.left, Explicit):
            return next((t for t, s in self.left.edges if t == s and t not in self.right.sources(t)), None)
        return super().first_diagonal()

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        left, right, width = self._pair_keys(start, stop)
        return self._from_keys(np.setdiff1d(left, right), width, start, stop)

    def always_read(self, width: int, start: int) -> np.ndarray:
        return self.left.always_read(width, start) & ~self.right.read_from(width, start)[1]

    def last_step(self, width: int) -> int | None:
        return self.left.last_step(width)

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        left, right = (part.read_from(width, start) for part in self.parts)
        certain = left[0] & ~right[1]
        return certain, left[1] & ~self.right.always_read(width, start)


class Composition(Binary):
    """Two hops: ``(t, s)`` belongs to ``p @ q`` when ``t`` reads some ``u`` by ``p`` and ``u`` reads ``s`` by ``q``.

    As boolean matrices, the product of ``p`` and ``q``.
    """

    symbol = "@"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagSum(self.left.lag_set, self.right.lag_set)

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        return parts[0].composed(parts[1])

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        import scipy.sparse

        if stop <= start:
            return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        indptr, sources = self.left.rows(start, stop)
        ones = np.ones(len(sources), dtype=np.int64)
        first = scipy.sparse.csr_array((ones, sources, indptr), shape=(stop - start, stop))
        product = first @ self.right.to_csr(stop).astype(np.int64)
        product.sort_indices()
        return product.indptr.astype(np.int64), product.indices.astype(np.int64)

    def last_step(self, width: int) -> int | None:
        middle = self.right.last_step(width)
        return None if middle is None else self.left.last_step(middle + 1)

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        # Middle positions u < start are enumerated; u ≥ start are known only through q's own future.
        indptr, sources = self.right.rows(0, start)
        middles = np.repeat(np.arange(start), np.diff(indptr))
        certain_middle, possible_middle = self.left.read_from(start, start)
        certain, possible = np.zeros(width, dtype=bool), np.zeros(width, dtype=bool)
        inside = sources < width
        certain[sources[inside & certain_middle[middles]]] = True
        possible[sources[inside & possible_middle[middles]]] = True
        largest = self.left.largest_source()
        if largest is not None and largest < start:
            return certain, possible
        later_certain, later_possible = self.right.read_from(width, start)
        lags = self.left.lag_set
        if lags is not None and lags.largest is not None and lags.largest >= 0:
            certain |= later_certain  # a non-empty set of lags reads every position again
        return certain, possible | later_possible
