"""Exact evaluation of expressions in ``k`` at Python integers of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy

from glmix_theory.notation import k
from glmix_theory.patterns.rounding import ceiling, exactly_rounded


def compile_exact(expression: sympy.Expr) -> Callable[[int], Any]:
    """Exact evaluation with Python ints and fractions; sympy decides what those cannot (logs, roots)."""
    fast = _compile_rational(expression)
    if fast is not None:
        return fast
    careful = exactly_rounded(expression)
    return lambda index: careful.subs(k, index)


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
        return lambda index: -_round_up(-functions[0](index))
    if isinstance(node, sympy.ceiling):
        return lambda index: _round_up(functions[0](index))
    if isinstance(node, sympy.factorial):
        return lambda index: _factorial(functions[0](index))
    return None


def _round_up(value: Any) -> Any:
    return math.ceil(value) if isinstance(value, (int, Fraction)) else ceiling(value)


def _factorial(argument: Any) -> Any:
    whole = isinstance(argument, int) or (isinstance(argument, Fraction) and argument.denominator == 1)
    return math.factorial(int(argument)) if whole and argument >= 0 else sympy.factorial(argument)


def _power(base: Any, exponent: Any, node: sympy.Expr, index: int) -> Any:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = int(exponent)
    if not isinstance(base, (int, Fraction)) or not isinstance(exponent, int) or (base == 0 and exponent < 0):
        return node.subs(k, index)  # roots and poles: sympy keeps them exact
    return Fraction(base) ** exponent if exponent < 0 else base**exponent
