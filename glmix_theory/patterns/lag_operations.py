"""Operations on sets of lags: what union, difference, shift and two hops do to counts and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy

from glmix_theory.notation import n
from glmix_theory.patterns.lag_sets import FiniteLags, LagSet


@dataclass(frozen=True)
class ShiftedLags(LagSet):
    """Every member of ``base`` plus ``amount``."""

    base: LagSet
    amount: int

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        largest = self.base.largest
        return largest + self.amount if largest is not None and largest >= 0 else largest

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.base.proved

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"{self.base.reason}, each plus {self.amount}"

    def up_to(self, limit: int) -> np.ndarray:
        return self.base.up_to(limit - self.amount) + self.amount

    def count(self, limit: int) -> int:
        return self.base.count(limit - self.amount)

    def sum(self, limit: int) -> int:
        return self.base.sum(limit - self.amount) + self.amount * self.count(limit)

    @property
    def count_expr(self) -> sympy.Expr | None:
        return self._delayed(self.base.count_expr)

    @property
    def sum_expr(self) -> sympy.Expr | None:
        base, count = self._delayed(self.base.sum_expr), self.count_expr
        return None if base is None or count is None else base + self.amount * count

    def _delayed(self, expression: sympy.Expr | None) -> sympy.Expr | None:
        if expression is None:
            return None
        return sympy.Piecewise((0, n <= self.amount), (expression.subs(n, n - self.amount), True))

    @property
    def all_from(self) -> int | None:
        base = self.base.all_from
        return None if base is None else base + self.amount


@dataclass(frozen=True)
class _Pair(LagSet):
    """An operation on two sets of lags."""

    left: LagSet
    right: LagSet

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved


@dataclass(frozen=True)
class LagUnion(_Pair):
    """Members of either set."""

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        sizes = (self.left.largest, self.right.largest)
        if math.inf in sizes:
            return math.inf
        return None if None in sizes else max(sizes)  # type: ignore[type-var]

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"{self.left.reason}; {self.right.reason}; common lags counted once"

    def up_to(self, limit: int) -> np.ndarray:
        return np.union1d(self.left.up_to(limit), self.right.up_to(limit))

    @cached_property
    def _split(self) -> tuple[LagSet, FiniteLags] | None:
        """A set and the finitely many lags the other side adds to it, where that is known."""
        for whole, part in ((self.left, self.right), (self.right, self.left)):
            if isinstance(part.largest, int) and part.largest <= 1 << 16:
                extra = np.setdiff1d(part.up_to(part.largest), whole.up_to(part.largest))
                return whole, FiniteLags(tuple(int(lag) for lag in extra))
        return None

    def count(self, limit: int) -> int:
        if self._split is None:
            return len(self.up_to(limit))
        return self._split[0].count(limit) + self._split[1].count(limit)

    def sum(self, limit: int) -> int:
        if self._split is None:
            return int(self.up_to(limit).sum())
        return self._split[0].sum(limit) + self._split[1].sum(limit)

    @property
    def count_expr(self) -> sympy.Expr | None:
        if self._split is None:
            return None
        whole, extra = self._split[0].count_expr, self._split[1].count_expr
        return None if whole is None or extra is None else whole + extra

    @property
    def sum_expr(self) -> sympy.Expr | None:
        if self._split is None:
            return None
        whole, extra = self._split[0].sum_expr, self._split[1].sum_expr
        return None if whole is None or extra is None else whole + extra

    @property
    def all_from(self) -> int | None:
        starts = [s.all_from for s in (self.left, self.right) if s.all_from is not None]
        return min(starts) if starts else None


@dataclass(frozen=True)
class LagDifference(_Pair):
    """Members of ``left`` that are not in ``right``."""

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"{self.left.reason}, without: {self.right.reason}"

    @cached_property
    def _removed(self) -> FiniteLags | None:
        """The members actually removed, where they are finitely many and known."""
        bounds = [s.largest for s in (self.left, self.right) if isinstance(s.largest, int)]
        if not bounds or min(bounds) > 1 << 16:
            return None
        bound = min(bounds)
        removed = np.intersect1d(self.left.up_to(bound), self.right.up_to(bound))
        return FiniteLags(tuple(int(lag) for lag in removed))

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        if self._removed is not None and self.left.largest == math.inf:
            return math.inf
        finite_until = self.left.largest
        if self.right.all_from is not None:  # nothing survives from there on
            finite_until = self.right.all_from
        if isinstance(finite_until, int):
            rest = self.up_to(finite_until)
            return int(rest[-1]) if len(rest) else -1
        return None

    def up_to(self, limit: int) -> np.ndarray:
        return np.setdiff1d(self.left.up_to(limit), self.right.up_to(limit))

    def count(self, limit: int) -> int:
        if self._removed is None:
            return len(self.up_to(limit))
        return self.left.count(limit) - self._removed.count(limit)

    def sum(self, limit: int) -> int:
        if self._removed is None:
            return int(self.up_to(limit).sum())
        return self.left.sum(limit) - self._removed.sum(limit)

    @property
    def count_expr(self) -> sympy.Expr | None:
        return self._less(self.left.count_expr, self._removed and self._removed.count_expr)

    @property
    def sum_expr(self) -> sympy.Expr | None:
        return self._less(self.left.sum_expr, self._removed and self._removed.sum_expr)

    @staticmethod
    def _less(whole: sympy.Expr | None, removed: sympy.Expr | None) -> sympy.Expr | None:
        return None if whole is None or removed is None else whole - removed

    @property
    def all_from(self) -> int | None:
        if self.left.all_from is None or not isinstance(self.right.largest, int):
            return None
        return max(self.left.all_from, self.right.largest + 1)


@dataclass(frozen=True)
class LagIntersection(_Pair):
    """Members of both sets."""

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"lags common to both: {self.left.reason}; {self.right.reason}"

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        bounds = [s.largest for s in (self.left, self.right) if isinstance(s.largest, int)]
        if bounds:
            common = self.up_to(min(bounds))
            return int(common[-1]) if len(common) else -1
        for one, other in ((self.left, self.right), (self.right, self.left)):
            if one.all_from is not None and other.largest == math.inf:
                return math.inf
        return None

    def up_to(self, limit: int) -> np.ndarray:
        return np.intersect1d(self.left.up_to(limit), self.right.up_to(limit))

    @cached_property
    def _finite(self) -> FiniteLags | None:
        if not isinstance(self.largest, int):
            return None
        return FiniteLags(tuple(int(lag) for lag in self.up_to(self.largest)))

    @property
    def count_expr(self) -> sympy.Expr | None:
        return self._finite.count_expr if self._finite is not None else None

    @property
    def sum_expr(self) -> sympy.Expr | None:
        return self._finite.sum_expr if self._finite is not None else None

    @property
    def all_from(self) -> int | None:
        starts = (self.left.all_from, self.right.all_from)
        return None if None in starts else max(starts)  # type: ignore[type-var]


@dataclass(frozen=True)
class LagSum(_Pair):
    """``{a + b : a ∈ left, b ∈ right}``: the lags of two hops."""

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"sums of one lag each: {self.left.reason}; {self.right.reason}"

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        sizes = (self.left.largest, self.right.largest)
        if -1 in sizes:
            return -1
        return None if None in sizes else sizes[0] + sizes[1]  # type: ignore[operator]

    def up_to(self, limit: int) -> np.ndarray:
        left, right = self.left.up_to(limit), self.right.up_to(limit)
        if not len(left) or not len(right):
            return np.zeros(0, dtype=np.int64)
        found = np.zeros(limit + 1, dtype=bool)
        few, many = (left, right) if len(left) <= len(right) else (right, left)
        for lag in few:
            found[many[many <= limit - lag] + lag] = True
        return np.flatnonzero(found).astype(np.int64)

    @property
    def all_from(self) -> int | None:
        for one, other in ((self.left, self.right), (self.right, self.left)):
            first = other.up_to(1 << 10)
            if one.all_from is not None and len(first):
                return one.all_from + int(first[0])
        return None
