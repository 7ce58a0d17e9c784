"""Reading the growth of a formula in ``n``: term by term, by the rules of composition, never from numbers."""

from __future__ import annotations

import sympy

from glmix_theory.errors import FormulaError
from glmix_theory.notation import n
from glmix_theory.patterns.growth import Growth

_ZERO, _ONE = sympy.Integer(0), sympy.Integer(1)
CLASSES = "n**a * log(n)**b * log(log(n))**c with rational a, b, c"
"""The classes that are read, in words."""


def growth_of(expression: sympy.Expr) -> Growth:
    """The growth of a formula in ``n``, with its leading constant; a formula that tends to 0 has a negative order.

    Claim: ``expression / (constant · scale) → 1``. Sums keep the fastest terms, products and powers multiply,
    ``log(c n^a …) ~ a log n``; rounding, ``Min`` and ``Max`` follow their arguments.

    Parameters
    ----------
    expression : sympy expression in ``glm.n``
        Positive for large ``n``, of the classes :data:`CLASSES` up to lower terms.

    Raises
    ------
    FormulaError
        Another symbol than ``n``, a formula of another kind (exponentials, oscillations), or fastest terms that
        cancel.

    Examples
    --------
    >>> growth_of(3 * sympy.sqrt(n) * sympy.log(n, 2) - sympy.log(n))
    Growth(constant=3/log(2), power=1/2, logs=1, loglogs=0)
    """
    others = sorted(symbol.name for symbol in expression.free_symbols if symbol.name != "n")
    if others:
        raise FormulaError(f"{expression} contains {', '.join(others)}; the one symbol allowed is n")
    return _read(expression.subs(dict.fromkeys(expression.free_symbols, n)))


def _read(node: sympy.Expr) -> Growth:
    if not node.has(n):
        if not (node.is_real and node.is_finite):
            raise FormulaError(f"{node} is not a finite real number")
        return Growth(node)
    if node == n:
        return Growth(_ONE, _ONE)
    if node.is_Add:
        return _sum(node)
    if node.is_Mul:
        parts = [_read(factor) for factor in node.args]
        constant = sympy.Mul(*(part.constant for part in parts))
        orders = [sympy.Add(*(part.order[axis] for part in parts)) for axis in range(3)]
        return Growth(constant, *orders)
    if node.is_Pow and not node.exp.has(n):
        return _power(node)
    if isinstance(node, sympy.log):
        return _logarithm(node)
    if isinstance(node, (sympy.floor, sympy.ceiling)):
        return _rounded(node)
    if isinstance(node, (sympy.Min, sympy.Max)):
        choose = min if isinstance(node, sympy.Min) else max
        order = choose(_read(part).order for part in node.args)
        constants = [part.constant for part in map(_read, node.args) if part.order == order]
        return Growth(node.func(*constants), *order)
    raise FormulaError(f"the growth of {node} is not read here: the classes are {CLASSES}")


def _sum(node: sympy.Add) -> Growth:
    parts = [part for part in map(_read, node.args) if part.constant != 0]
    order = max(part.order for part in parts)
    constant = sympy.simplify(sympy.Add(*(part.constant for part in parts if part.order == order)))
    if constant == 0:
        raise FormulaError(f"the fastest terms of {node} cancel; write it without them")
    return Growth(constant, *order)


def _power(node: sympy.Pow) -> Growth:
    base, exponent = _read(node.base), sympy.nsimplify(node.exp)
    if not exponent.is_Rational:
        raise FormulaError(f"the exponent of {node} is not rational; give a fraction such as 2/3")
    if not getattr(base.constant, "is_positive", False):
        raise FormulaError(f"the base of {node} is not positive for large n")
    return Growth(base.constant**exponent, *(part * exponent for part in base.order))


def _logarithm(node: sympy.log) -> Growth:
    base = _read(node.args[0])
    if not getattr(base.constant, "is_positive", False):
        raise FormulaError(f"the argument of {node} is not positive for large n")
    if base.power != 0:
        return Growth(base.power, _ZERO, _ONE)
    if base.logs != 0:
        return Growth(base.logs, _ZERO, _ZERO, _ONE)
    raise FormulaError(f"the growth of {node} is not read here: the classes are {CLASSES}")


def _rounded(node: sympy.Expr) -> Growth:
    inner = _read(node.args[0])
    if inner.order > (0, 0, 0):
        return inner
    if inner.order < (0, 0, 0):
        raise FormulaError(f"{node} rounds what tends to 0; leave it out or give the constant")
    # whether a limit is approached from above or below decides: only a plain number is rounded
    raise FormulaError(f"{node} rounds a bounded quantity; give the constant it settles at")
