"""Counts along Fenwick trees: exponents of 2 and bit sums of ``i = t + 1``, with exact sums and maxima."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from glmix_theory.complexity.laws import Law
from glmix_theory.notation import n
from glmix_theory.patterns.growth import Growth, constant_growth
from glmix_theory.patterns.rounding import ceiling

_LOG2 = sympy.log(2)


class BitSum(sympy.Function):
    """Number of ones in the binary digits of ``n``.

    >>> BitSum(sympy.Integer(13)), BitSum(n)
    (3, bit_sum(n))
    """

    nargs = 1
    is_integer = True
    is_nonnegative = True

    @classmethod
    def eval(cls, number: Any) -> Any:
        """The integer at an integer."""
        return sympy.Integer(int(number).bit_count()) if number.is_Integer else None

    def _sympystr(self, printer: Any) -> str:
        return f"bit_sum({printer._print(self.args[0])})"

    def _latex(self, printer: Any) -> str:
        return rf"s_2\left({printer._print(self.args[0])}\right)"


class BitSumTotal(sympy.Function):
    """``Σ_{i ≤ n}`` of the bit sums of ``i``.

    >>> BitSumTotal(sympy.Integer(10)), BitSumTotal(n)
    (17, bit_sum_total(n))
    """

    nargs = 1
    is_integer = True
    is_nonnegative = True

    @classmethod
    def eval(cls, number: Any) -> Any:
        """The integer at an integer."""
        return sympy.Integer(bit_sum_total(int(number))) if number.is_Integer else None

    def _sympystr(self, printer: Any) -> str:
        return f"bit_sum_total({printer._print(self.args[0])})"

    def _latex(self, printer: Any) -> str:
        return rf"\sum_{{i=1}}^{{{printer._print(self.args[0])}}} s_2(i)"


def bit_sum_total(last: int) -> int:
    """``Σ_{i ≤ last}`` of the bit sums: bit ``j`` is set in ``2^j`` of each ``2^(j+1)`` numbers."""
    total = 0
    for j in range(last.bit_length()):
        full, rest = divmod(last + 1, 2 << j)
        total += full * (1 << j) + max(0, rest - (1 << j))
    return total


def bits_law(exponent: int, ones: int, constant: int, evidence: tuple[str, ...]) -> Law:
    """The law of ``a v(i) + b s(i) + c`` at ``i = t + 1``: ``v`` the exponent of 2 in ``i``, ``s`` its bit sum.

    Claim: the maximum over ``i ≤ n`` is ``a ⌊log2 n⌋ + b + c`` for ``a ≥ b`` (at a power of 2: of the numbers with
    ``L+1`` binary digits one with ``v`` has at most ``L + 1 - v`` ones) and ``b ⌊log2(n+1)⌋ + c`` for ``a = 0``;
    else it is at one of ``2 log2 n`` numbers that share their leading digits with ``n``. The sum is
    ``a (n - s(n)) + b Σ s(i) + c n`` (Legendre).
    """
    largest = None
    if exponent >= ones:
        largest = exponent * (ceiling(sympy.log(n + 1) / _LOG2) - 1) + ones + constant  # ⌊log2 n⌋ = ⌈log2(n+1)⌉ - 1
    elif exponent == 0:
        largest = ones * (ceiling(sympy.log(n + 2) / _LOG2) - 1) + constant

    def listed(length: int) -> np.ndarray:
        i = np.arange(1, length + 1, dtype=np.int64)
        exponents = np.bitwise_count((i & -i) - 1).astype(np.int64)
        return exponent * exponents + ones * np.bitwise_count(i).astype(np.int64) + constant

    def peak(length: int) -> int:
        if exponent >= ones:
            return exponent * (length.bit_length() - 1) + ones + constant
        return max(at(i - 1) for i in _candidates(length))

    def at(t: int) -> int:
        i = t + 1
        return exponent * ((i & -i).bit_length() - 1) + ones * i.bit_count() + constant

    slope = max(exponent, ones)
    growth = Growth(slope / _LOG2, sympy.Integer(0), sympy.Integer(1)) if slope else constant_growth(constant)
    prefix_growth = (
        Growth(ones / (2 * _LOG2), sympy.Integer(1), sympy.Integer(1))
        if ones
        else Growth(sympy.Integer(exponent + constant), sympy.Integer(1))
    )
    return Law(
        listed=listed,
        peak=peak,
        prefix=lambda m: exponent * (m - m.bit_count()) + ones * bit_sum_total(m) + constant * m,
        at=at,
        peak_expr=largest,
        prefix_expr=sympy.expand(exponent * (n - BitSum(n)) + ones * BitSumTotal(n) + constant * n),
        growth=growth,
        prefix_growth=prefix_growth,
        bits=(exponent, ones, constant),
        evidence=(
            *evidence,
            "Σ over i ≤ n of the exponent of 2 is n - s(n) (Legendre), of the ones n log2(n)/2 + O(n): bit j is set in "
            "half of any 2^(j+1) consecutive numbers",
        ),
    )


def _candidates(last: int) -> list[int]:
    """Numbers ``≤ last`` among which ``a v + b s`` is largest, for ``0 ≤ a < b``.

    A number below ``last`` agrees with it down to a digit that is 0 instead of 1; of what follows, ones are worth
    more than trailing zeros one by one, so all ones or all zeros is best.
    """
    found = [last]
    for j in range(last.bit_length()):
        if last >> j & 1:
            prefix = (last >> (j + 1)) << (j + 1)
            found += [number for number in (prefix, prefix | ((1 << j) - 1)) if number]
    return found
