"""Θ classes by limits: a second method, against which the composed growth is held.

A candidate ``n^a (log n)^b`` is read off the expression by limits, and accepted only when the limit of
the ratio exists, is finite and positive: that limit is the leading constant.
"""

from __future__ import annotations

from functools import lru_cache

import sympy

from glmix_theory.notation import n

_x = sympy.Symbol("x", positive=True)


@lru_cache(maxsize=1024)
def leading(expression: sympy.Expr) -> tuple[sympy.Expr | None, sympy.Expr] | None:
    """``(c, g)`` with ``g = n^a (log n)^b`` and ``expression / g → c``, ``0 < c < ∞``; or ``None``.

    Every rounding is replaced by both ends of its range: the scale must agree at both, and ``c`` is
    ``None`` where the two ends differ (the ratio then stays between them without a limit).

    >>> leading(n * (n + 1) / 2)
    (1/2, n**2)
    >>> leading(2 ** sympy.ceiling(sympy.log(n, 2)))
    (None, n)
    """
    try:
        low, high = (_leading_smooth(_smooth(sympy.sympify(expression), end)) for end in (0, 1))
    except (NotImplementedError, ValueError, TypeError):  # sympy finds no limit
        return None
    if low is None or high is None or low[1] != high[1]:
        return None
    return (low[0] if sympy.simplify(low[0] - high[0]) == 0 else None), low[1]


def _leading_smooth(smooth: sympy.Expr | None) -> tuple[sympy.Expr, sympy.Expr] | None:
    if smooth is None or smooth == sympy.oo:
        return None
    if not smooth.has(_x):
        return (smooth, sympy.Integer(1)) if smooth.is_positive else None
    power = sympy.limit(sympy.log(smooth) / sympy.log(_x), _x, sympy.oo)
    if not (power.is_number and power.is_finite):
        return None
    power = sympy.nsimplify(power)
    rest = sympy.simplify(smooth / _x**power)
    log_power = sympy.Integer(0)
    if rest.has(_x):
        log_power = sympy.limit(sympy.log(rest) / sympy.log(sympy.log(_x)), _x, sympy.oo)
        if not (log_power.is_number and log_power.is_finite):
            return None
    scale = _x**power * sympy.log(_x) ** log_power
    constant = sympy.limit(smooth / scale, _x, sympy.oo)
    if not (constant.is_number and constant.is_finite and constant.is_positive):
        return None
    return sympy.simplify(constant), scale.subs(_x, n)


def _smooth(expression: sympy.Expr, end: int) -> sympy.Expr | None:
    """The expression for large real n: last branches, limits of Min/Max, roundings at one end of their range.

    ``end = 0`` drops a rounding, ``end = 1`` moves its argument by the full unit it may change.
    Arguments that stay bounded are refused: there a unit is not negligible.
    """
    # the last branch of a Piecewise in n with conditions n <= c is the one for large n
    expression = expression.replace(sympy.Piecewise, lambda *pairs: pairs[-1][0])
    expression = expression.subs(n, _x)
    expression = expression.replace(sympy.Min, lambda *args: _extreme(args, smallest=True))
    expression = expression.replace(sympy.Max, lambda *args: _extreme(args, smallest=False))
    for rounding in expression.atoms(sympy.floor, sympy.ceiling):
        argument = rounding.args[0].replace(sympy.floor, lambda a: a).replace(sympy.ceiling, lambda a: a)
        if sympy.limit(argument, _x, sympy.oo) != sympy.oo:
            return None
    return expression.replace(sympy.floor, lambda a: a - end).replace(sympy.ceiling, lambda a: a + end)


def _extreme(arguments: tuple[sympy.Expr, ...], smallest: bool) -> sympy.Expr:
    """The argument of Min (or Max) that wins for large x."""
    best = arguments[0]
    for argument in arguments[1:]:
        difference = sympy.limit(argument - best, _x, sympy.oo)
        if (difference.is_negative if smallest else difference.is_positive) or difference == (
            -sympy.oo if smallest else sympy.oo
        ):
            best = argument
    return best
