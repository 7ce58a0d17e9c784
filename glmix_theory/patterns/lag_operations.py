"""Operations on sets of lags: what union, difference, shift and two hops do to counts and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy

from glmix_theory.notation import n
from glmix_theory.patterns.common_lags import common_lags
from glmix_theory.patterns.growth import Growth
from glmix_theory.patterns.lag_sets import ArithmeticLags, FiniteLags, IndexLags, LagSet, SignedSum
from glmix_theory.patterns.periodicity import Periodicity

_LONGEST_LISTED = 1 << 16


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
    def counting_expr(self) -> sympy.Expr | None:
        return self._delayed(self.base.counting_expr)

    @property
    def summing_expr(self) -> sympy.Expr | None:
        base, count = self._delayed(self.base.summing_expr), self.counting_expr
        return None if base is None or count is None else base + self.amount * count

    @property
    def growth(self) -> Growth | None:
        return self.base.growth

    @property
    def periodicity(self) -> Periodicity | None:
        return None if self.base.periodicity is None else self.base.periodicity.shifted(self.amount)

    @property
    def all_from(self) -> int | None:
        base = self.base.all_from
        return None if base is None else base + self.amount


@dataclass(frozen=True)
class _Pair(SignedSum):
    """An operation on two sets, pair by pair."""

    left: LagSet
    right: LagSet

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved

    @property
    def periodicity(self) -> Periodicity | None:
        left, right = self.left.periodicity, self.right.periodicity
        if super().periodicity is not None:
            return super().periodicity
        return None if left is None or right is None else left.combined(right)


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
    def _terms(self) -> tuple[tuple[int, LagSet], ...] | None:
        common = common_lags(self.left, self.right)
        return None if common is None else ((1, self.left), (1, self.right), (-1, common))

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
    def _terms(self) -> tuple[tuple[int, LagSet], ...] | None:
        common = common_lags(self.left, self.right)
        return None if common is None else ((1, self.left), (-1, common))

    @cached_property
    def largest(self) -> float | int | None:  # type: ignore[override]
        finite_until = self.left.largest
        if self.right.all_from is not None:  # nothing survives from there on
            finite_until = self.right.all_from
        if isinstance(finite_until, int):
            rest = self.up_to(finite_until)
            return int(rest[-1]) if len(rest) else -1
        common = common_lags(self.left, self.right)
        if common is not None and isinstance(common.largest, int):
            return math.inf if self.left.largest == math.inf else None
        # a difference that keeps growing loses infinitely many lags and keeps infinitely many
        return math.inf if self.growth is not None and self.growth.order > (0, 0, 0) else None

    def up_to(self, limit: int) -> np.ndarray:
        return np.setdiff1d(self.left.up_to(limit), self.right.up_to(limit))

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

    @cached_property
    def _terms(self) -> tuple[tuple[int, LagSet], ...] | None:
        common = common_lags(self.left, self.right)
        return None if common is None else ((1, common),)

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        bounds = [s.largest for s in (self.left, self.right) if isinstance(s.largest, int)]
        if bounds:
            common = self.up_to(min(bounds))
            return int(common[-1]) if len(common) else -1
        return None if self._terms is None else self._terms[0][1].largest

    def up_to(self, limit: int) -> np.ndarray:
        return np.intersect1d(self.left.up_to(limit), self.right.up_to(limit))

    @property
    def all_from(self) -> int | None:
        starts = (self.left.all_from, self.right.all_from)
        return None if None in starts else max(starts)  # type: ignore[type-var]


@dataclass(frozen=True)
class LagSum(LagSet):
    """``{a + b : a ∈ left, b ∈ right}``: the lags of two hops."""

    left: LagSet
    right: LagSet

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved

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


def union_of_lags(left: LagSet, right: LagSet) -> LagSet:
    """Members of either set; listed where both are finite and short."""
    union = LagUnion(left, right)
    if isinstance(union.largest, int) and union.largest <= _LONGEST_LISTED:
        return FiniteLags(tuple(union.up_to(union.largest).tolist()))
    return union


def shifted_lags(lags: LagSet, amount: int) -> LagSet:
    """Every member plus ``amount``, in the simplest form."""
    if isinstance(lags, ArithmeticLags):
        return ArithmeticLags(lags.step, lags.first + amount)
    if isinstance(lags, IndexLags) and lags.function.expr is not None:
        return IndexLags(lags.function.cached(lags.function.expr + amount))
    if isinstance(lags, (LagUnion, LagDifference, LagIntersection)):
        return type(lags)(shifted_lags(lags.left, amount), shifted_lags(lags.right, amount))
    return ShiftedLags(lags, amount)
