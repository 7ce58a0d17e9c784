"""Rounding exactly at any size of number."""

from __future__ import annotations

from typing import Any

import sympy

_CLEAR = sympy.Rational(1, 10**9)


class ceiling(sympy.ceiling):  # noqa: N801 – prints as the function it is
    """``⌈x⌉`` that is right at every number, however close to an integer.

    ``sympy.ceiling`` is off by one just above odd integers: at ``log(2**31 + 1)/log(2)`` it gives 31.
    Here the distance to the nearest integer is evaluated with as many digits as its sign needs.

    Examples
    --------
    >>> from sympy import log
    >>> ceiling(log(2**31) / log(2)), ceiling(log(2**31 + 1) / log(2))
    (31, 32)
    """

    @classmethod
    def eval(cls, argument: Any) -> Any:
        """The integer for a number, a simplified form or ``None`` for an expression with symbols."""
        if not argument.is_number or argument.is_Rational or argument.is_extended_real is False:
            return super().eval(argument)
        size = abs(argument.evalf(15))
        if not size.is_finite:
            return super().eval(argument)
        digits = len(str(int(size))) + 20
        approximate = sympy.Rational(str(argument.evalf(digits)))
        nearest = sympy.floor(approximate + sympy.Rational(1, 2))
        if abs(approximate - nearest) > _CLEAR:
            return sympy.ceiling(approximate)
        sign = _sign(argument - nearest)
        return None if sign is None else nearest + max(sign, 0)


class floor(sympy.floor):  # noqa: N801 – prints as the function it is
    """``⌊x⌋`` that is right at every number: ``sympy.floor`` gives 31 at ``log(2**31 - 1)/log(2)``.

    >>> from sympy import log
    >>> floor(log(2**31) / log(2)), floor(log(2**31 - 1) / log(2))
    (31, 30)
    """

    @classmethod
    def eval(cls, argument: Any) -> Any:
        """The integer for a number, a simplified form or ``None`` for an expression with symbols."""
        if not argument.is_number or argument.is_Rational or argument.is_extended_real is False:
            return super().eval(argument)
        rounded = ceiling(-argument)
        return -rounded if rounded.is_Integer else super().eval(argument)


def exactly_rounded(expression: sympy.Expr) -> sympy.Expr:
    """The expression with sympy's roundings replaced by the exact ones."""
    return expression.replace(sympy.ceiling, ceiling).replace(sympy.floor, floor)


def _sign(number: sympy.Expr) -> int | None:
    """-1, 0 or 1; ``None`` where neither digits nor simplification decide."""
    written = sum(len(str(atom)) for atom in number.atoms(sympy.Integer, sympy.Rational))
    try:
        value = number.evalf(5, maxn=100 + 8 * written, strict=True)
    except sympy.core.evalf.PrecisionExhausted:
        value = sympy.Integer(0)
    if value.is_positive or value.is_negative:
        return 1 if value.is_positive else -1
    return 0 if number.equals(0) else None
