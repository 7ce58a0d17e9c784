"""Sets of lags: all that a translation-invariant pattern is.

A pattern is translation-invariant when ``(t, s)`` belongs to it exactly if the lag ``t - s`` belongs
to a set ``L ⊂ N``. Its costs are then counts and sums over ``L``, and set operations on such patterns
are set operations on their lags.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy

from glmix_theory.notation import n
from glmix_theory.patterns.index_functions import COUNT, IndexFunction

_LONGEST_PIECEWISE = 64


class LagSet(ABC):
    """A set of non-negative integers with exact counting.

    ``largest`` is the maximum, ``math.inf`` for an infinite set, ``None`` where that is not known.
    """

    largest: float | int | None
    proved = True
    """Whether the closed forms rest on facts proved for every member."""
    reason = ""
    """Why the closed forms hold, one sentence."""

    @abstractmethod
    def up_to(self, limit: int) -> np.ndarray:
        """Members ``≤ limit``, ascending, int64."""

    def count(self, limit: int) -> int:
        """``#{lag ∈ L : lag ≤ limit}``."""
        return len(self.up_to(limit))

    def sum(self, limit: int) -> int:
        """Sum of the members ``≤ limit``."""
        return int(self.up_to(limit).sum())

    @property
    def count_expr(self) -> sympy.Expr | None:
        """``#{lag ∈ L : lag < n}``, exact for every ``n ≥ 1``, or ``None``."""
        return None

    @property
    def sum_expr(self) -> sympy.Expr | None:
        """Sum of the members ``< n``, exact for every ``n ≥ 1``, or ``None``."""
        return None

    @property
    def all_from(self) -> int | None:
        """A number from which on every integer is a member, or ``None``."""
        return None

    def __contains__(self, lag: int) -> bool:
        return self.count(lag) > (self.count(lag - 1) if lag > 0 else 0)


@dataclass(frozen=True)
class FiniteLags(LagSet):
    """A finite set, given ascending."""

    lags: tuple[int, ...]

    @property
    def largest(self) -> int:  # type: ignore[override]
        return self.lags[-1] if self.lags else -1

    @cached_property
    def _array(self) -> np.ndarray:
        return np.array(self.lags, dtype=np.int64)

    @property
    def reason(self) -> str:  # type: ignore[override]
        return f"the lags are the finite set {_abbreviate(self.lags)}, counted one by one"

    def up_to(self, limit: int) -> np.ndarray:
        return self._array[: np.searchsorted(self._array, limit, side="right")]

    @property
    def _contiguous(self) -> bool:
        return bool(self.lags) and self.lags[-1] - self.lags[0] == len(self.lags) - 1

    @property
    def count_expr(self) -> sympy.Expr | None:
        if not self.lags:
            return sympy.Integer(0)
        if self._contiguous:
            first, size = self.lags[0], len(self.lags)
            return sympy.Min(sympy.Max(n - first, 0), size) if first > 1 else sympy.Min(n - first, size)
        return self._staircase([i for i in range(len(self.lags) + 1)])

    @property
    def sum_expr(self) -> sympy.Expr | None:
        if not self.lags:
            return sympy.Integer(0)
        if self._contiguous:
            count = self.count_expr
            return count * self.lags[0] + count * (count - 1) / 2
        return self._staircase([sum(self.lags[:i]) for i in range(len(self.lags) + 1)])

    def _staircase(self, values: list[int]) -> sympy.Expr | None:
        if len(self.lags) > _LONGEST_PIECEWISE:
            return None
        steps = [(values[i], n <= lag) for i, lag in enumerate(self.lags)]
        return sympy.Piecewise(*steps, (values[-1], True))


@dataclass(frozen=True)
class ArithmeticLags(LagSet):
    """``{0, step, 2·step, …}``; ``step = 1`` is every lag."""

    step: int
    largest = math.inf

    @property
    def reason(self) -> str:  # type: ignore[override]
        return "every lag occurs" if self.step == 1 else f"the lags are the multiples of {self.step}"

    def up_to(self, limit: int) -> np.ndarray:
        return np.arange(0, limit + 1, self.step, dtype=np.int64)

    def count(self, limit: int) -> int:
        return limit // self.step + 1 if limit >= 0 else 0

    def sum(self, limit: int) -> int:
        last = self.count(limit) - 1
        return self.step * last * (last + 1) // 2 if last >= 0 else 0

    @property
    def count_expr(self) -> sympy.Expr:
        return sympy.ceiling(n / self.step)

    @property
    def sum_expr(self) -> sympy.Expr:
        count = self.count_expr
        return sympy.Integer(self.step) * count * (count - 1) / 2

    @property
    def all_from(self) -> int | None:
        return 0 if self.step == 1 else None


@dataclass(frozen=True)
class IndexLags(LagSet):
    """``{f(0), f(1), …}`` of an index function."""

    function: IndexFunction

    @property
    def largest(self) -> float | int:  # type: ignore[override]
        length = self.function.length
        return math.inf if length is None else (self.function(length - 1) if length else -1)

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.function.status == "proved"

    @property
    def reason(self) -> str:  # type: ignore[override]
        return self.function.evidence

    def up_to(self, limit: int) -> np.ndarray:
        return self.function.up_to(limit)

    def count(self, limit: int) -> int:
        return self.function.count(limit)

    def sum(self, limit: int) -> int:
        return self.function.prefix_sum(self.function.count(limit))

    @property
    def _finite(self) -> FiniteLags | None:
        length = self.function.length
        return None if length is None else FiniteLags(tuple(self.function(i) for i in range(length)))

    @property
    def count_expr(self) -> sympy.Expr | None:
        return self._finite.count_expr if self._finite else self.function.count_expr

    @property
    def sum_expr(self) -> sympy.Expr | None:
        if self._finite:
            return self._finite.sum_expr
        if self.count_expr is None or self.function.prefix_sum_expr is None:
            return None
        return self.function.prefix_sum_expr.subs(COUNT, self.count_expr)


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
class LagUnion(LagSet):
    """Members of either set."""

    left: LagSet
    right: LagSet

    @property
    def largest(self) -> float | int | None:  # type: ignore[override]
        sizes = (self.left.largest, self.right.largest)
        if math.inf in sizes:
            return math.inf
        return None if None in sizes else max(sizes)  # type: ignore[type-var]

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved

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
class LagDifference(LagSet):
    """Members of ``left`` that are not in ``right``."""

    left: LagSet
    right: LagSet

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved

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
class LagIntersection(LagSet):
    """Members of both sets."""

    left: LagSet
    right: LagSet

    @property
    def proved(self) -> bool:  # type: ignore[override]
        return self.left.proved and self.right.proved

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


def _abbreviate(lags: tuple[int, ...]) -> str:
    if len(lags) <= 8:
        return "{" + ", ".join(map(str, lags)) + "}"
    return "{" + ", ".join(map(str, lags[:4])) + ", …, " + str(lags[-1]) + "}"
