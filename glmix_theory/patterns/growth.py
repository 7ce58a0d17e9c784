"""Growth of a count: its Θ class with, where the limit exists, the leading constant.

Growth is composed, never guessed: families state theirs with a reason, sums and products follow the
rules here. No numerical limit is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from glmix_theory.notation import n

_ZERO = sympy.Integer(0)


@dataclass(frozen=True)
class Growth:
    """``constant · n^power · (log n)^logs · (log log n)^loglogs``, up to a factor that tends to 1.

    ``constant`` is ``None`` where only the Θ class is known. A constant of 0 stands for the zero count.

    >>> half = Growth(sympy.Rational(1, 2), sympy.Integer(2))
    >>> half.scale, (half + LINEAR).constant, (LINEAR + LINEAR).constant
    (n**2, 1/2, 2)
    """

    constant: sympy.Expr | None
    power: sympy.Expr = _ZERO
    logs: sympy.Expr = _ZERO
    loglogs: sympy.Expr = _ZERO

    @property
    def order(self) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
        """Compares lexicographically as the classes do."""
        return self.power, self.logs, self.loglogs

    @property
    def scale(self) -> sympy.Expr:
        """The Θ class as an expression in ``n``; 0 for the zero count."""
        if self.constant == 0:
            return sympy.Integer(0)
        return n**self.power * sympy.log(n) ** self.logs * sympy.log(sympy.log(n)) ** self.loglogs

    def __add__(self, other: Growth) -> Growth:
        """Growth of the sum of two non-negative sequences."""
        if other.constant == 0:
            return self
        if self.constant == 0:
            return other
        if self.order != other.order:
            return max(self, other, key=lambda growth: growth.order)
        if self.constant is None or other.constant is None:
            return self.but(None)
        return self.but(sympy.simplify(self.constant + other.constant))

    def but(self, constant: sympy.Expr | None) -> Growth:
        """The same class with another leading constant."""
        return Growth(constant, *self.order)

    def times(self, factor: sympy.Expr) -> Growth:
        """Growth of a constant positive multiple."""
        return self if self.constant is None else self.but(self.constant * factor)

    def summed(self) -> Growth:
        """Growth of ``Σ_{t<n}``: ``Σ c t^a L(t) ~ c n^(a+1) L(n)/(a+1)`` for ``a ≥ 0`` and slowly varying ``L``."""
        if self.constant == 0:
            return self
        constant = None if self.constant is None else self.constant / (self.power + 1)
        return Growth(constant, self.power + 1, self.logs, self.loglogs)

    def stretched(self, factor: int) -> Growth:
        """Growth of ``g(n/factor)``: logarithms do not notice the factor."""
        return self if self.constant is None else self.but(self.constant / sympy.Integer(factor) ** self.power)


ZERO = Growth(sympy.Integer(0))
"""The count that is always 0."""

LINEAR = Growth(sympy.Integer(1), sympy.Integer(1))
"""``n``."""


def constant_growth(value: sympy.Expr | int) -> Growth:
    """Growth of a count that is ``value`` from some length on."""
    return Growth(sympy.sympify(value))
