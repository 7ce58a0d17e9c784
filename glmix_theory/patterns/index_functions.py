"""Index functions ``f: N → N_{>0}``, strictly increasing, exact at any size.

Every value is a Python integer computed without floating-point logarithms, so powers of two and
their neighbours land on the right side at any magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import sympy

from glmix_theory.errors import IndexFunctionError
from glmix_theory.notation import k, n
from glmix_theory.patterns import counting
from glmix_theory.patterns.counting import SumBelow, TermsBelow
from glmix_theory.patterns.exact import compile_exact
from glmix_theory.patterns.growth import Growth, constant_growth
from glmix_theory.patterns.monotone import gap_ratio, prove_integral, prove_positive, prove_steps
from glmix_theory.patterns.staircase import Staircase

CHECKED_TERMS = 256
"""Terms evaluated at construction; a break of monotonicity among them is reported with its ``k``."""

LARGEST_POSITION = (1 << 63) - 1
"""The largest position or lag that arrays hold; exact integers beyond it stay symbolic."""

_LARGEST_CHECKED = 1 << 512
_INT64_LIMIT = 1 << 62


class IndexFunction:
    """A strictly increasing ``f`` with ``f(0) ≥ 1``, from a sympy expression, a callable or a list.

    Claim: every value is exact; ``count(limit) = #{k : f(k) ≤ limit}`` by bisection on exact values.

    Parameters
    ----------
    source : sympy expression in ``glm.k``, callable ``int -> int``, or sequence of ints
        A sequence is a finite ``f``.

    Raises
    ------
    IndexFunctionError
        Not integer-valued, ``f(0) < 1`` or not strictly increasing; names the first offending ``k``.

    Examples
    --------
    >>> f = IndexFunction(2**k)
    >>> f(70), f.count(2**60), f.count(2**60 - 1)
    (1180591620717411303424, 61, 60)
    >>> f.status, f.count_expr
    ('proved', ceiling(log(n)/log(2)))
    """

    def __init__(self, source: Any) -> None:
        self.expr: sympy.Expr | None = None
        self._function: Callable[[int], int] | None = None
        self._values: tuple[int, ...] | None = None
        self._checked_terms = 0
        if isinstance(source, IndexFunction):
            source = source.source
        if isinstance(source, sympy.Basic):
            self.expr = _in_k(source)
            self._expanded = sympy.expand_func(self.expr) if self.expr.has(sympy.binomial) else self.expr
            self._exact = compile_exact(self.expr)
        elif isinstance(source, int) and not isinstance(source, bool):
            raise IndexFunctionError(
                f"f = {source} is a constant, so not strictly increasing; give an expression in glm.k such as "
                f"k + {source}, or a list such as [{source}]"
            )
        elif callable(source):
            self._function = source
        elif isinstance(source, Sequence) and not isinstance(source, str):
            self._values = tuple(_as_integer(value, index) for index, value in enumerate(source))
        else:
            raise IndexFunctionError(
                f"f = {source!r} is a {type(source).__name__}; give a sympy expression in glm.k, a callable "
                "int -> int or a list of integers"
            )
        self._check()

    @property
    def source(self) -> Any:
        """What the function was built from: expression, callable or tuple."""
        if self.expr is not None:
            return self.expr
        return self._function if self._function is not None else self._values

    @property
    def length(self) -> int | None:
        """Number of terms, or ``None`` when there are infinitely many."""
        return None if self._values is None else len(self._values)

    def __call__(self, index: int) -> int:
        """``f(index)``, an exact Python int."""
        if self._values is not None:
            return self._values[index]
        if self.expr is not None:
            return _as_integer(self._exact(index), index)
        assert self._function is not None
        return _as_integer(self._function(index), index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexFunction) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __reduce__(self) -> tuple[Any, ...]:  # pickle rebuilds: compiled formulas are closures
        return IndexFunction, (self.source,)

    def __repr__(self) -> str:
        if self.expr is not None:
            return str(self.expr)
        if self._values is not None:
            return str(list(self._values))
        return getattr(self._function, "__name__", repr(self._function))

    def count(self, limit: int) -> int:
        """``#{k : f(k) ≤ limit}``, exact for any size of ``limit``."""
        if self._staircase is not None:
            return self._staircase.terms(limit)
        top = 1
        last = self.length
        while (last is None or top <= last) and self(top - 1) <= limit:
            top *= 2
        low, high = 0, top if last is None else min(top, last)
        while low < high:  # smallest index whose value exceeds the limit
            middle = (low + high) // 2
            if (last is None or middle < last) and self(middle) <= limit:
                low = middle + 1
            else:
                high = middle
        return low

    def up_to(self, limit: int) -> np.ndarray:
        """All values ``≤ limit`` (and below 2^63), ascending, as int64."""
        number = self.count(min(limit, LARGEST_POSITION))
        if self._polynomial is not None and number > 64:
            numerator, denominator = self._polynomial
            # Horner in int64: number ≤ 2^62 / the largest intermediate, or fall through to exact ints
            largest = sum(abs(c) * max(number, 1) ** e for e, c in enumerate(reversed(numerator)))
            if largest < _INT64_LIMIT:
                indices = np.arange(number, dtype=np.int64)
                total = np.zeros(number, dtype=np.int64)
                for coefficient in numerator:
                    total = total * indices + coefficient
                return total // denominator
        return np.array([self(index) for index in range(number)], dtype=np.int64)

    def prefix_sum(self, number: int) -> int:
        """``f(0) + … + f(number - 1)``, exact; instant where the sum has a closed form."""
        if self.prefix_sum_expr is not None:
            return int(self.prefix_sum_expr.subs(_K, number))
        return sum(self(index) for index in range(number))

    # --- symbolic facts ---------------------------------------------------------------------------

    @property
    def _staircase(self) -> Staircase | None:
        return self._function if isinstance(self._function, Staircase) else None

    @staticmethod
    @lru_cache(maxsize=256)
    def cached(expression: sympy.Expr) -> IndexFunction:
        """The index function of an expression, made once."""
        return IndexFunction(expression)

    @cached_property
    def _proof(self) -> str | None:
        """Why ``f`` is strictly increasing for all ``k``, or ``None`` when only checked."""
        if self._values is not None:
            return f"f is the finite list of {len(self._values)} increasing values given"
        if self._staircase is not None:
            return self._staircase.reason
        if self.expr is None:
            return None
        integral = prove_integral(self._expanded, self._checked_terms)
        reason = prove_positive(self.gap, self._checked_terms - 1, "f(k+1) - f(k)") or prove_steps(self._expanded, 1)
        return None if integral is None or reason is None else reason + integral

    @property
    def gap(self) -> sympy.Expr:
        """``f(k+1) - f(k)`` as an expression in ``k``; only where ``f`` is an expression."""
        assert self.expr is not None
        return sympy.expand(sympy.powsimp(sympy.expand(self._expanded.subs(k, k + 1) - self._expanded)))

    @property
    def status(self) -> str:
        """``proved`` when monotonicity holds for all ``k`` by a derivation, else ``checked``."""
        return "proved" if self._proof else "checked"

    @property
    def evidence(self) -> str:
        """The derivation of monotonicity, or the range in which it was checked."""
        return self._proof or f"f strictly increasing: checked for k < {self._checked_terms}"

    @cached_property
    def _polynomial(self) -> tuple[list[int], int] | None:
        """Integer coefficients (highest first) over a common denominator, if ``f`` is a polynomial."""
        if self.expr is None or not self.expr.is_polynomial(k):
            return None
        coefficients = sympy.Poly(self.expr, k).all_coeffs()
        if not all(c.is_Rational for c in coefficients):
            return None
        denominator = math.lcm(*(int(c.q) for c in coefficients))
        return [int(c * denominator) for c in coefficients], denominator

    @cached_property
    def inverse(self) -> sympy.Expr | None:
        """``g(n)`` with ``g(f(k)) = k``, where a closed form is known."""
        return None if self.expr is None or self._proof is None else counting.inverse(self._expanded)

    @cached_property
    def count_expr(self) -> sympy.Expr | None:
        """``#{k : f(k) < n}`` in closed form, exact for every ``n ≥ 1``; ``None`` where ``f`` has no inverse."""
        if self._staircase is not None:
            return self._staircase.terms_below
        if self.expr is None or self._proof is None:
            return None
        return counting.count_below(self._expanded, self(0))

    @property
    def counting_expr(self) -> sympy.Expr | None:
        """:attr:`count_expr`, or the implicit ``#{k : f(k) < n}``; ``None`` for lists and callables."""
        if self.expr is None or self._proof is None:
            return self.count_expr
        return self.count_expr if self.count_expr is not None else TermsBelow(sympy.Lambda(k, self.expr), n)

    @property
    def summing_expr(self) -> sympy.Expr | None:
        """``Σ f(k)`` over ``f(k) < n``: closed or implicit; ``None`` for lists and callables."""
        if self.expr is None or self._proof is None:
            return None
        if self.count_expr is not None and self.prefix_sum_expr is not None:
            return self.prefix_sum_expr.subs(_K, self.count_expr)
        return SumBelow(sympy.Lambda(k, self.expr), n)

    @cached_property
    def growth(self) -> tuple[Growth, str] | None:
        """Growth of ``#{k : f(k) < n}`` with the reason, or ``None`` where none is proved."""
        if self._values is not None:
            return constant_growth(len(self._values)), f"f has {len(self._values)} values"
        if self._staircase is not None:
            return self._staircase.growth, f"T(n) ~ {self._staircase.target}, the target"
        return None if self.expr is None or self._proof is None else counting.count_growth(self._expanded)

    @cached_property
    def gap_ratio(self) -> tuple[int, str] | None:
        """``(D, reason)`` with ``f(j) - f(j-1) ≤ D (f(k) - f(k-1))`` for all ``j ≤ k``, or ``None``."""
        if self._staircase is not None:
            return 2, self._staircase.gaps
        if self.expr is None or self._proof is None:
            return None
        values = [self(index) for index in range(min(self._checked_terms, 64))]
        return gap_ratio(self._expanded, [b - a for a, b in pairwise(values)])

    @cached_property
    def largest_gap(self) -> int | None:
        """A bound on every gap of ``f``, where ``f`` is linear up to rounding; else ``None``."""
        if self.growth is None or self.expr is None or self.growth[0].order != (1, 0, 0):
            return None
        slope = 1 / (self.growth[0].constant or sympy.oo)
        straight = self.expr.replace(sympy.floor, lambda a: a).replace(sympy.ceiling, lambda a: a)
        rounded = len(self.expr.atoms(sympy.floor, sympy.ceiling))
        return int(sympy.ceiling(slope)) + max(rounded - 1, 0) if straight.diff(k) == slope else None

    @cached_property
    def prefix_sum_expr(self) -> sympy.Expr | None:
        """``f(0) + … + f(K-1)`` in closed form in ``K``, or ``None``; confirmed at K = 1 … 7."""
        if self.expr is None or self.expr.has(sympy.floor, sympy.ceiling, sympy.log):
            return None
        total = sympy.summation(self.expr, (k, 0, _K - 1))
        if total.has(sympy.Sum):
            return None
        total = sympy.simplify(total)
        confirmed = all(total.subs(_K, number) == sum(self(index) for index in range(number)) for number in range(1, 8))
        return total if confirmed else None

    def _check(self) -> None:
        previous = 0
        number = CHECKED_TERMS if self.length is None else self.length
        for index in range(number):
            value = self(index)
            if value < 1:
                raise IndexFunctionError(
                    f"f = {self!r} is not positive: f({index}) = {value}; an offset is at least 1 "
                    f"(for example {self._raised(1 - value)}; use glm.Lags for lag 0)"
                )
            if index and value <= previous:
                raise IndexFunctionError(
                    f"f = {self!r} is not strictly increasing: f({index - 1}) = {previous}, "
                    f"f({index}) = {value}; each value must exceed the one before (as in 2**k or k**2 + 1)"
                )
            previous = value
            self._checked_terms = index + 1
            if value > _LARGEST_CHECKED:
                break

    def _raised(self, amount: int) -> str:
        return str(self.expr + amount) if self.expr is not None else f"f + {amount}"


_K = sympy.Symbol("K", integer=True, positive=True)
COUNT = _K
"""The symbol ``K`` of :attr:`IndexFunction.prefix_sum_expr`: how many terms are added."""


def _in_k(expression: sympy.Basic) -> sympy.Expr:
    """Replace any symbol called ``k`` by the toolkit's, and refuse other symbols."""
    others = {symbol for symbol in expression.free_symbols if symbol.name != "k"}
    if others:
        names = ", ".join(sorted(symbol.name for symbol in others))
        raise IndexFunctionError(f"f = {expression} contains {names}; an index function has the one symbol k")
    expression = expression.subs(dict.fromkeys(expression.free_symbols, k))
    if not expression.has(k):
        raise IndexFunctionError(
            f"f = {expression} does not depend on k, so it is not strictly increasing; try k + {expression}"
        )
    return expression


def _as_integer(value: Any, index: int) -> int:
    if isinstance(value, bool):
        raise IndexFunctionError(f"f({index}) = {value} is a bool; an integer is needed")
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Fraction) and value.denominator == 1:
        return int(value)
    if getattr(value, "is_Integer", False):
        return int(value)
    raise IndexFunctionError(
        f"f({index}) = {value} is not an integer; wrap f in sympy.floor or sympy.ceiling to round it"
    )
