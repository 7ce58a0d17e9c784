"""Operations on patterns: each composes the facts of its parts, in this one place."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from glmix_theory.errors import check_length
from glmix_theory.patterns.base import Pattern, lookahead
from glmix_theory.patterns.lag_operations import (
    LagDifference,
    LagIntersection,
    LagSum,
    LagUnion,
    ShiftedLags,
)
from glmix_theory.patterns.lag_sets import FiniteLags, LagSet
from glmix_theory.patterns.translation_invariant import lag_read_from, lag_rows

LOOKAHEAD_LIMIT = 1 << 14
"""Steps enumerated beyond ``n`` to decide whether a position is read again."""

_LARGEST_LISTED = 1 << 16


class Operation(Pattern):
    """A pattern derived from others; translation-invariant when its lags are known."""

    @cached_property
    def _lags(self) -> LagSet | None:
        lags = self._combined_lags()
        if lags is not None and isinstance(lags.largest, int) and lags.largest <= _LARGEST_LISTED:
            return FiniteLags(tuple(lags.up_to(lags.largest).tolist()))
        return lags

    def _combined_lags(self) -> LagSet | None:
        """The lags of the result when every part is translation-invariant."""
        raise NotImplementedError

    @property
    def lag_set(self) -> LagSet | None:
        return self._lags

    @property
    def parts(self) -> tuple[Pattern, ...]:
        """The patterns this one is made of."""
        raise NotImplementedError

    @property
    def count_note(self) -> str:
        return "; ".join(dict.fromkeys(part.count_note for part in self.parts if part.count_note))

    def sources(self, t: int) -> tuple[int, ...]:
        t = check_length(t, "t", 0)
        return tuple(self.rows(t, t + 1)[1].tolist())

    def in_degree(self, t: int) -> int:
        return self._lags.count(check_length(t, "t", 0)) if self._lags is not None else len(self.sources(t))

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return self._rows(start, stop) if self._lags is None else lag_rows(self._lags, start, stop)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def _read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        if self._lags is not None:
            return lag_read_from(self, width, start)
        certain, possible = self._derived_read_from(width, start)
        undecided = possible & ~certain
        if undecided.any():
            last = self.last_step(width)
            decidable = last is not None and last < start + LOOKAHEAD_LIMIT
            stop = last + 1 if last is not None and decidable else start + min(start + 64, 1024)
            certain = certain | (lookahead(self, width, start, stop) & possible)
            if decidable:
                possible = certain.copy()
        return certain, possible

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class _Binary(Operation):
    symbol = ""

    def __init__(self, left: Pattern, right: Pattern) -> None:
        self.left, self.right = left, right

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return self.left, self.right

    def __repr__(self) -> str:
        # Only a chain of the same associative operation may drop its brackets on the left.
        left = repr(self.left)
        if isinstance(self.left, _Binary) and type(self.left) is not type(self):
            left = f"({left})"
        right = f"({self.right!r})" if isinstance(self.right, _Binary) else repr(self.right)
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


class Union(_Binary):
    """Pairs of either pattern: ``p | q``."""

    symbol = "|"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagUnion(self.left.lag_set, self.right.lag_set)

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


class Intersection(_Binary):
    """Pairs of both patterns: ``p & q``."""

    symbol = "&"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagIntersection(self.left.lag_set, self.right.lag_set)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        left, right, width = self._pair_keys(start, stop)
        return self._from_keys(np.intersect1d(left, right), width, start, stop)

    def always_read(self, width: int, start: int) -> np.ndarray:
        return self.left.always_read(width, start) & self.right.always_read(width, start)

    def last_step(self, width: int) -> int | None:
        steps = [step for part in self.parts if (step := part.last_step(width)) is not None]
        return min(steps) if steps else None

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        left, right = (part.read_from(width, start) for part in self.parts)
        left_always, right_always = (part.always_read(width, start) for part in self.parts)
        certain = (left_always & right[0]) | (right_always & left[0])
        return certain, left[1] & right[1]


class Difference(_Binary):
    """Pairs of the first pattern that are not in the second: ``p - q``."""

    symbol = "-"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagDifference(self.left.lag_set, self.right.lag_set)

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


class Composition(_Binary):
    """Two hops: ``(t, s)`` belongs to ``p @ q`` when ``t`` reads some ``u`` by ``p`` and ``u`` reads ``s`` by ``q``.

    As boolean matrices, the product of ``p`` and ``q``.
    """

    symbol = "@"

    def _combined_lags(self) -> LagSet | None:
        if self.left.lag_set is None or self.right.lag_set is None:
            return None
        return LagSum(self.left.lag_set, self.right.lag_set)

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


class Strict(Operation):
    """A pattern without its diagonal."""

    def __init__(self, base: Pattern) -> None:
        self.base = base

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return None if self.base.lag_set is None else LagDifference(self.base.lag_set, FiniteLags((0,)))

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        indptr, sources = self.base.rows(start, stop)
        targets = np.repeat(np.arange(start, stop), np.diff(indptr))
        keep = targets != sources
        counts = np.bincount(targets[keep] - start, minlength=stop - start)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), sources[keep]

    def first_diagonal(self) -> int | None:
        return None

    @property
    def cache_efficient(self) -> bool:
        return self.base.cache_efficient

    def always_read(self, width: int, start: int) -> np.ndarray:
        return self.base.always_read(width, start) & (np.arange(width) < start)

    def last_step(self, width: int) -> int | None:
        return self.base.last_step(width)

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        return self.base.read_from(width, start)  # steps ≥ start ≥ width are off the diagonal of s < width

    def __repr__(self) -> str:
        return f"{_bracketed(self.base)}.strict()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strict) and self.base == other.base

    def __hash__(self) -> int:
        return hash(("Strict", self.base))


class Shift(Operation):
    """Step ``t`` reads what step ``t - m`` of the base read: every lag plus ``m``."""

    def __init__(self, base: Pattern, m: int) -> None:
        self.base, self.m = base, check_length(m, "m", 0)

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return None if self.base.lag_set is None else ShiftedLags(self.base.lag_set, self.m)

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = max(start - self.m, 0), max(stop - self.m, 0)
        indptr, sources = self.base.rows(low, high)
        empty = (stop - start) - (high - low)
        return np.concatenate([np.zeros(empty, dtype=np.int64), indptr]), sources

    def first_diagonal(self) -> int | None:
        return None if self.m else self.base.first_diagonal()

    def always_read(self, width: int, start: int) -> np.ndarray:
        if start < self.m:  # steps before m read nothing
            return np.zeros(width, dtype=bool)
        return self.base.always_read(width, start - self.m)

    def last_step(self, width: int) -> int | None:
        last = self.base.last_step(width)
        return None if last is None else last + self.m

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        return self.base.read_from(width, max(start - self.m, 0))

    def __repr__(self) -> str:
        return f"{_bracketed(self.base)}.shift({self.m})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shift) and (self.base, self.m) == (other.base, other.m)

    def __hash__(self) -> int:
        return hash(("Shift", self.base, self.m))


class Blocked(Operation):
    """Kronecker lift by dense causal ``b × b`` blocks."""

    def __init__(self, base: Pattern, b: int) -> None:
        self.base, self.b = base, check_length(b, "b")

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return self.base.lag_set if self.b == 1 else None

    def _rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = start // self.b, -(-stop // self.b)
        indptr, blocks = self.base.rows(low, high)
        inner = np.arange(self.b, dtype=np.int64)
        columns = [(blocks[indptr[i] : indptr[i + 1], None] * self.b + inner).ravel() for i in range(high - low)]
        lists = [
            (row := columns[t // self.b - low])[: np.searchsorted(row, t, side="right")] for t in range(start, stop)
        ]
        counts = np.array([0] + [len(row) for row in lists], dtype=np.int64)
        return np.cumsum(counts), np.concatenate([np.zeros(0, dtype=np.int64), *lists])

    def always_read(self, width: int, start: int) -> np.ndarray:
        blocks = self.base.always_read(-(-width // self.b), start // self.b)
        s = np.arange(width)
        return blocks[s // self.b] & (s <= start)

    def last_step(self, width: int) -> int | None:
        last = self.base.last_step(-(-width // self.b))
        return None if last is None else (last + 1) * self.b - 1

    def first_diagonal(self) -> int | None:
        block = self.base.first_diagonal()
        return None if block is None else block * self.b

    def _derived_read_from(self, width: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        # Block T holds a step ≥ start exactly if T ≥ start // b; steps ≥ start exceed every s < width.
        certain, possible = self.base.read_from(-(-width // self.b), start // self.b)
        block = np.arange(width) // self.b
        return certain[block], possible[block]

    def __repr__(self) -> str:
        return f"{_bracketed(self.base)}.blocked({self.b})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocked) and (self.base, self.b) == (other.base, other.b)

    def __hash__(self) -> int:
        return hash(("Blocked", self.base, self.b))


def _bracketed(pattern: Pattern) -> str:
    return f"({pattern!r})" if isinstance(pattern, _Binary) else repr(pattern)
