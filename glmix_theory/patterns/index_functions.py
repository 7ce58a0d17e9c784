"""Index functions ``f: N → N_{>0}``, strictly increasing, exact at any size.

Every value is a Python integer computed without floating-point logarithms, so powers of two and
their neighbours land on the right side at any magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from glmix_theory.errors import IndexFunctionError
from glmix_theory.notation import k, n
from glmix_theory.patterns.rounding import ceiling

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
            self._exact = _compile(self.expr)
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

    def __repr__(self) -> str:
        if self.expr is not None:
            return str(self.expr)
        if self._values is not None:
            return str(list(self._values))
        return getattr(self._function, "__name__", repr(self._function))

    def count(self, limit: int) -> int:
        """``#{k : f(k) ≤ limit}``, exact for any size of ``limit``."""
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

    @cached_property
    def _proof(self) -> str | None:
        """Why ``f`` is strictly increasing for all ``k``, or ``None`` when only checked."""
        if self._values is not None:
            return f"f is the finite list of {len(self._values)} increasing values given"
        if self.expr is None:
            return None
        return prove_positive(self.gap, self._checked_terms - 1, "f(k+1) - f(k)")

    @property
    def gap(self) -> sympy.Expr:
        """``f(k+1) - f(k)`` as an expression in ``k``; only where ``f`` is an expression."""
        assert self.expr is not None
        return sympy.expand(sympy.powsimp(sympy.expand(self.expr.subs(k, k + 1) - self.expr)))

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
        """``g(n)`` with ``g(f(k)) = k``, where ``f`` extends to a strictly increasing real function."""
        if self.expr is None or self._proof is None or self.expr.has(sympy.floor, sympy.ceiling):
            return None
        x = sympy.Symbol("x", nonnegative=True)
        real = self.expr.subs(k, x)
        slope = sympy.diff(real, x)
        if real.is_polynomial(x):
            polynomial = sympy.Poly(slope, x)
            # a slope without a root beyond 0 keeps its leading sign; a root at 0 alone does no harm
            rising = polynomial.LC() > 0 and polynomial.count_roots(0, None) == polynomial.count_roots(0, 0)
        else:
            rising = bool(slope.is_nonnegative)
        if not rising:
            return None
        y = sympy.Symbol("y", positive=True)
        if not real.is_polynomial(x):
            try:
                candidates = sympy.solve(real - y, x)
            except NotImplementedError:
                return None
        elif sympy.degree(real, x) <= 2 or len(sympy.Poly(real, x).terms()) <= 2:
            candidates = sympy.solve(real - y, x) or sympy.solve(real - y, sympy.Symbol("x", positive=True))
            x_plain = sympy.Symbol("x_plain")
            candidates = candidates or sympy.solve(self.expr.subs(k, x_plain) - y, x_plain)
        else:
            return None
        for candidate in candidates:
            if candidate.has(sympy.LambertW) or (not candidate.is_real and candidate.is_real is not None):
                continue
            exact = all(sympy.simplify(candidate.subs(y, self(j)) - j) == 0 for j in (0, 1, 2, 5))
            if exact:
                return candidate.subs(y, n)
        return None

    @cached_property
    def count_expr(self) -> sympy.Expr | None:
        """``#{k : f(k) < n}`` in closed form, exact for every ``n ≥ 1``; ``None`` where ``f`` has no inverse.

        ``f(k) < n ⇔ k < g(n)`` for the increasing real inverse ``g``, so the count is ``⌈g(n)⌉`` once
        ``n ≥ f(0)`` and 0 before.
        """
        if self._values is not None or self.inverse is None:
            return None
        rational = self.inverse.is_rational_function(n)  # sympy rounds those exactly, other numbers not
        count = sympy.ceiling(self.inverse) if rational else ceiling(self.inverse)
        first = self(0)
        return count if first == 1 else sympy.Piecewise((0, n <= first), (count, True))

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


def prove_positive(expression: sympy.Expr, checked: int, name: str) -> str | None:
    """A reason why ``expression > 0`` for every integer ``k ≥ 0``, or ``None`` where none was found.

    Tries the signs of the terms, then, for polynomials, Sturm's theorem beyond ``checked`` together
    with the value at each ``k < checked``.

    >>> prove_positive(k**2 - k + 1, 8, "g(k)")
    'g(k) = k**2 - k + 1 has positive leading coefficient, no real root at or beyond k = 8 (Sturm), and is positive at each k < 8'
    """
    expression = sympy.expand(expression)
    if expression.is_positive:
        return f"{name} = {expression} > 0 for every k ≥ 0, by the signs of its terms"
    if expression.is_polynomial(k):
        polynomial = sympy.Poly(expression, k)
        beyond = polynomial.LC() > 0 and polynomial.count_roots(checked, None) == 0
        if beyond and all(expression.subs(k, index) > 0 for index in range(checked)):
            return (
                f"{name} = {expression} has positive leading coefficient, no real root at or beyond "
                f"k = {checked} (Sturm), and is positive at each k < {checked}"
            )
    return None


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


def _compile(expression: sympy.Expr) -> Callable[[int], Any]:
    """Exact evaluation with Python ints and fractions; sympy decides what those cannot (logs, roots)."""
    fast = _compile_rational(expression)
    return fast if fast is not None else lambda index: expression.subs(k, index)


def _compile_rational(node: Any) -> Callable[[int], Any] | None:
    if node == k:
        return lambda index: index
    if node.is_Integer:
        integer = int(node)
        return lambda index: integer
    if node.is_Rational:
        fraction = Fraction(int(node.p), int(node.q))
        return lambda index: fraction
    parts = [_compile_rational(argument) for argument in node.args]
    if not parts or any(part is None for part in parts):
        return None
    functions: list[Callable[[int], Any]] = [part for part in parts if part is not None]
    if node.is_Add:
        return lambda index: sum(function(index) for function in functions)
    if node.is_Mul:
        return lambda index: math.prod(function(index) for function in functions)
    if node.is_Pow:
        base, exponent = functions
        return lambda index: _power(base(index), exponent(index), node, index)
    if isinstance(node, sympy.floor):
        return lambda index: math.floor(functions[0](index))
    if isinstance(node, sympy.ceiling):
        return lambda index: math.ceil(functions[0](index))
    if isinstance(node, sympy.factorial):
        return lambda index: _factorial(functions[0](index))
    return None


def _factorial(argument: Any) -> Any:
    whole = isinstance(argument, int) or (isinstance(argument, Fraction) and argument.denominator == 1)
    return math.factorial(int(argument)) if whole and argument >= 0 else sympy.factorial(argument)


def _power(base: Any, exponent: Any, node: sympy.Expr, index: int) -> Any:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = int(exponent)
    if not isinstance(base, (int, Fraction)) or not isinstance(exponent, int) or (base == 0 and exponent < 0):
        return node.subs(k, index)  # roots and poles: sympy keeps them exact
    return Fraction(base) ** exponent if exponent < 0 else base**exponent
