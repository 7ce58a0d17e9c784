"""Number theory that gives the distance of a translation-invariant recurrence: sums of few lags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.expressivity.cache_efficient_laws import geometric_base
from glmix_theory.expressivity.lag_profile import sums_of_lags
from glmix_theory.notation import k, n
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.rounding import floor

WARING = {
    2: (4, "Lagrange 1770: every natural number is a sum of 4 squares"),
    3: (9, "Wieferich 1909, Kempner 1912: every natural number is a sum of 9 cubes"),
    4: (19, "Balasubramanian, Deshouillers, Dress 1986: every natural number is a sum of 19 fourth powers"),
    5: (37, "Chen 1964: every natural number is a sum of 37 fifth powers"),
    6: (73, "Pillai 1940: every natural number is a sum of 73 sixth powers"),
}
"""Waring's ``g(d)``: that many ``d``-th powers (0 allowed) sum to any natural number."""

_ENUMERATED = 1 << 17


@dataclass(frozen=True)
class LagTheorem:
    """The largest of the fewest summands over the lags ``1 … n-1``, and on what it rests."""

    evaluate: Callable[[int], Value]
    expr: sympy.Expr | None
    theta: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def infinite_lags(function: IndexFunction) -> LagTheorem | None:
    """The theorem for the lags ``f(0) = 1, f(1), …`` of a formula, or ``None`` where none is known here.

    >>> infinite_lags(IndexFunction(k**2 + 1)).evaluate(59)
    4
    >>> infinite_lags(IndexFunction(3**k)).evaluate(9)
    4
    """
    expr = function.expr
    if expr is None:
        return None
    base = geometric_base(expr)
    if base is not None:
        return _geometric(base)
    if not expr.is_polynomial(k):
        return None
    polynomial = sympy.Poly(expr, k)
    degree = polynomial.degree()
    if degree == 2 and sympy.expand(expr - k * (k + 1) / 2 - 1) == 0:
        return _staircase(function, 3, "Gauss 1796: every natural number is a sum of 3 triangular numbers")
    if sympy.expand(expr - k**degree - 1) == 0 and degree in WARING:
        most, citation = WARING[degree]
        return _staircase(function, most, citation)
    if degree >= 2 and function(0) == 1:
        return LagTheorem(
            lambda length: _enumerated(function, length, None),
            None,
            sympy.Integer(1),
            "cited",
            (
                f"Kamke 1921: an integer-valued polynomial with positive leading coefficient, here {expr}, has a "
                "constant c such that every natural number is a sum of at most c of its values and of ones; 1 = f(0)",
                f"enumerated for n ≤ {_ENUMERATED}; beyond, the value there is a lower bound and c is not computed",
            ),
        )
    return None


def _geometric(base: int) -> LagTheorem:
    if base == 2:
        return LagTheorem(
            lambda length: length.bit_length() - 1,
            floor(sympy.log(n) / sympy.log(2)),
            sympy.log(n),
            "proved",
            (
                "a lag l is a sum of powers of two; two equal ones merge into one larger, so the fewest is the "
                "number of ones in binary, popcount(l)",
                "the largest popcount of 1 … n-1 is reached at 2^m - 1 ≤ n - 1 with the largest m: m = ⌊log2 n⌋",
            ),
        )
    return LagTheorem(
        lambda length: _largest_digit_sum(length - 1, base),
        None,
        sympy.log(n),
        "proved",
        (
            f"a lag l is a sum of powers of {base}; {base} equal ones merge into one larger, so the fewest is the sum "
            f"of its digits in base {base}",
            f"the largest digit sum of 1 … n-1 lies between {base - 1}·⌊log n/log {base}⌋ and "
            f"{base - 1}·(⌊log n/log {base}⌋ + 1): Θ(log n); exact from the digits of n - 1",
        ),
    )


def _largest_digit_sum(limit: int, base: int) -> int:
    """Largest digit sum of ``0 … limit``: keep a prefix of ``limit``, lower one digit, fill with ``base - 1``."""
    digits = []
    while limit:
        limit, digit = divmod(limit, base)
        digits.append(digit)
    best, prefix = sum(digits), 0
    for place in range(len(digits) - 1, -1, -1):
        if digits[place]:
            best = max(best, prefix + digits[place] - 1 + place * (base - 1))
        prefix += digits[place]
    return best


def _staircase(function: IndexFunction, most: int, citation: str) -> LagTheorem:
    """``f = g + 1`` with ``g(0) = 0`` and every number a sum of ``most`` values of ``g``: ``most`` hops suffice."""
    counts = sums_of_lags(function.up_to(_ENUMERATED), _ENUMERATED)
    record = np.maximum.accumulate(counts)
    first = [int(np.argmax(counts >= hops)) for hops in range(1, int(record[-1]) + 1)]
    closed = len(first) == most  # the theorem's maximum occurs, so the staircase has no further step
    expr = sympy.Piecewise(*((hops, n <= lag) for hops, lag in enumerate(first)), (most, True)) if closed else None
    return LagTheorem(
        (lambda length: sum(lag < length for lag in first))
        if closed
        else (lambda length: _enumerated(function, length, most)),
        expr,
        sympy.Integer(1),
        "cited",
        (
            f"{citation}; write l - {most} that way and add 1 to each of the {most} terms, for l ≥ {most}",
            f"so no lag needs more than {most} hops (lags below {most} are sums of that many ones)",
            f"enumerated: lags {', '.join(map(str, first))} are the first to need 1 … {len(first)} hops"
            + ("" if closed else f"; no lag below {_ENUMERATED} needs more, larger ones may need up to {most}"),
        ),
    )


def _enumerated(function: IndexFunction, length: int, most: int | None) -> Value:
    size = min(length, _ENUMERATED)
    value = int(sums_of_lags(function.up_to(size), size).max())
    if length <= size or value == most:
        return value
    return Bounds(value, length - 1 if most is None else most)
