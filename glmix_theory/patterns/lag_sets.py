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
from glmix_theory.patterns.growth import Growth, constant_growth
from glmix_theory.patterns.index_functions import COUNT, LARGEST_POSITION, IndexFunction
from glmix_theory.patterns.periodicity import Periodicity

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
    def counting_expr(self) -> sympy.Expr | None:
        """:attr:`count_expr`, or an implicit expression that evaluates exactly, or ``None``."""
        return self.count_expr

    @property
    def summing_expr(self) -> sympy.Expr | None:
        """:attr:`sum_expr`, or an implicit expression that evaluates exactly, or ``None``."""
        return self.sum_expr

    @property
    def growth(self) -> Growth | None:
        """Growth of ``#{lag ∈ L : lag < n}``, or ``None`` where none is proved."""
        return None

    @property
    def window(self) -> int | None:
        """``w`` where the set is exactly ``0 … w-1``, else ``None``."""
        return None

    @property
    def all_from(self) -> int | None:
        """A number from which on every integer is a member, or ``None``."""
        return None

    @property
    def periodicity(self) -> Periodicity | None:
        """Periodicity of the pattern with these lags, or ``None``."""
        return None if self.largest in (None, math.inf) else Periodicity(1, 0, int(self.largest) + 1)

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
        array = np.array([lag for lag in self.lags if lag <= LARGEST_POSITION], dtype=np.int64)
        array.setflags(write=False)  # up_to hands out views of it
        return array

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
        return self._staircase(list(range(len(self.lags) + 1)))

    @property
    def sum_expr(self) -> sympy.Expr | None:
        if not self.lags:
            return sympy.Integer(0)
        if self._contiguous:
            count = self.count_expr
            assert count is not None
            return count * self.lags[0] + count * (count - 1) / 2
        return self._staircase([sum(self.lags[:i]) for i in range(len(self.lags) + 1)])

    @property
    def growth(self) -> Growth:
        return constant_growth(len(self.lags))

    @property
    def window(self) -> int | None:
        return len(self.lags) if not self.lags or self.lags[-1] + 1 == len(self.lags) else None

    def _staircase(self, values: list[int]) -> sympy.Expr | None:
        if len(self.lags) > _LONGEST_PIECEWISE:
            return None
        steps = [(values[i], n <= lag) for i, lag in enumerate(self.lags)]
        return sympy.Piecewise(*steps, (values[-1], True))


class SignedSum(LagSet):
    """A set whose counts are a signed sum of the counts of simpler sets, where those are known."""

    @property
    def _terms(self) -> tuple[tuple[int, LagSet], ...] | None:
        raise NotImplementedError

    def count(self, limit: int) -> int:
        if self._terms is None:
            return len(self.up_to(limit))
        return sum(sign * part.count(limit) for sign, part in self._terms)

    def sum(self, limit: int) -> int:
        if self._terms is None:
            return int(self.up_to(limit).sum())
        return sum(sign * part.sum(limit) for sign, part in self._terms)

    def _signed(self, name: str) -> sympy.Expr | None:
        if self._terms is None:
            return None
        found = [(sign, getattr(part, name)) for sign, part in self._terms]
        if any(expression is None for _, expression in found):
            return None
        return sympy.Add(*[sign * expression for sign, expression in found])

    @property
    def count_expr(self) -> sympy.Expr | None:
        return self._signed("count_expr")

    @property
    def sum_expr(self) -> sympy.Expr | None:
        return self._signed("sum_expr")

    @property
    def counting_expr(self) -> sympy.Expr | None:
        return self._signed("counting_expr")

    @property
    def summing_expr(self) -> sympy.Expr | None:
        return self._signed("summing_expr")

    @property
    def growth(self) -> Growth | None:
        if self._terms is None:
            return None
        known = [(sign, part.growth) for sign, part in self._terms if part.growth is not None]
        if len(known) < len(self._terms):
            return None
        parts = [(sign, growth) for sign, growth in known if growth.constant != 0]
        if not parts:
            return constant_growth(0)
        order = max(growth.order for _, growth in parts)
        top = [(sign, growth.constant) for sign, growth in parts if growth.order == order]
        constants = [sign * value for sign, value in top if value is not None]
        if len(constants) < len(top):
            return None
        constant = sympy.simplify(sympy.Add(*constants))
        return Growth(constant, *order) if constant.is_positive else None


@dataclass(frozen=True)
class ArithmeticLags(LagSet):
    """``{first, first + step, first + 2·step, …}``; ``step = 1`` and ``first = 0`` is every lag."""

    step: int
    first: int = 0
    largest = math.inf

    @property
    def reason(self) -> str:  # type: ignore[override]
        if self.first:
            return f"the lags are {self.first}, {self.first + self.step}, … in steps of {self.step}"
        return "every lag occurs" if self.step == 1 else f"the lags are the multiples of {self.step}"

    def up_to(self, limit: int) -> np.ndarray:
        return np.arange(self.first, limit + 1, self.step, dtype=np.int64)

    def count(self, limit: int) -> int:
        return (limit - self.first) // self.step + 1 if limit >= self.first else 0

    def sum(self, limit: int) -> int:
        number = self.count(limit)
        return self.first * number + self.step * number * (number - 1) // 2

    @property
    def count_expr(self) -> sympy.Expr:
        count = sympy.ceiling((n - self.first) / self.step)
        return count if self.first <= self.step else sympy.Max(count, 0)

    @property
    def sum_expr(self) -> sympy.Expr:
        count = self.count_expr
        return self.first * count + sympy.Integer(self.step) * count * (count - 1) / 2

    @property
    def growth(self) -> Growth:
        return Growth(sympy.Rational(1, self.step), sympy.Integer(1))

    @property
    def all_from(self) -> int | None:
        return self.first if self.step == 1 else None

    @property
    def periodicity(self) -> Periodicity:
        return Periodicity(self.step, 0, self.first)


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

    @property
    def counting_expr(self) -> sympy.Expr | None:
        return self._finite.counting_expr if self._finite else self.function.counting_expr

    @property
    def summing_expr(self) -> sympy.Expr | None:
        return self._finite.summing_expr if self._finite else self.function.summing_expr

    @property
    def growth(self) -> Growth | None:
        return None if self.function.growth is None else self.function.growth[0]


def _abbreviate(lags: tuple[int, ...]) -> str:
    if len(lags) <= 8:
        return "{" + ", ".join(map(str, lags)) + "}"
    return "{" + ", ".join(map(str, lags[:4])) + ", …, " + str(lags[-1]) + "}"
