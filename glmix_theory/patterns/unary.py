"""Operations on one pattern: without its diagonal, shifted, lifted to blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from glmix_theory.errors import check_length
from glmix_theory.patterns.base import Pattern
from glmix_theory.patterns.lag_operations import LagDifference, shifted_lags
from glmix_theory.patterns.lag_sets import FiniteLags, LagSet
from glmix_theory.patterns.operation import Operation, bracketed
from glmix_theory.patterns.periodicity import Periodicity


class Strict(Operation):
    """A pattern without its diagonal."""

    def __init__(self, base: Pattern) -> None:
        self.base = base

    def subs(self, *values: Any) -> Pattern:
        return self.base.subs(*values).strict()

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return None if self.base.lag_set is None else LagDifference(self.base.lag_set, FiniteLags((0,)))

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        return parts[0].strict()

    off_diagonal = True

    @property
    def tree_parts(self) -> frozenset[str] | None:
        return None if self.base.tree_parts is None else self.base.tree_parts - {"self"}

    @property
    def every_row_read_again(self) -> bool:
        return self.base.every_row_read_again

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
        return f"{bracketed(self.base)}.strict()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strict) and self.base == other.base

    def __hash__(self) -> int:
        return hash(("Strict", self.base))


class Shift(Operation):
    """Step ``t`` reads what step ``t - m`` of the base read: every lag plus ``m``."""

    def __init__(self, base: Pattern, m: int) -> None:
        self.base, self.m = base, check_length(m, "m", 0)

    def subs(self, *values: Any) -> Pattern:
        return self.base.subs(*values).shift(self.m)

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return None if self.base.lag_set is None else shifted_lags(self.base.lag_set, self.m)

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        return parts[0].shifted(self.m)

    @property
    def every_row_read_again(self) -> bool:
        return self.base.every_row_read_again

    @property
    def off_diagonal(self) -> bool:
        return self.m > 0 or self.base.off_diagonal

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
        return f"{bracketed(self.base)}.shift({self.m})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shift) and (self.base, self.m) == (other.base, other.m)

    def __hash__(self) -> int:
        return hash(("Shift", self.base, self.m))


class Blocked(Operation):
    """Kronecker lift by dense causal ``b × b`` blocks."""

    def __init__(self, base: Pattern, b: int) -> None:
        self.base, self.b = base, check_length(b, "b")

    def subs(self, *values: Any) -> Pattern:
        return self.base.subs(*values).blocked(self.b)

    @property
    def parts(self) -> tuple[Pattern, ...]:
        return (self.base,)

    def _combined_lags(self) -> LagSet | None:
        return self.base.lag_set if self.b == 1 else None

    def _periodicity(self, *parts: Periodicity) -> Periodicity:
        return parts[0].blocked(self.b)

    @property
    def every_row_read_again(self) -> bool:
        return self.base.every_row_read_again

    @property
    def off_diagonal(self) -> bool:
        return self.base.off_diagonal

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
        return f"{bracketed(self.base)}.blocked({self.b})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocked) and (self.base, self.b) == (other.base, other.b)

    def __hash__(self) -> int:
        return hash(("Blocked", self.base, self.b))
