"""Claims a user makes about a mixer, such as ``step_cost <= log(n, 2) + 2``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sympy

from glmix_theory.analysis import QUANTITIES
from glmix_theory.complexity import Bounds
from glmix_theory.complexity.quantity import Value
from glmix_theory.errors import ClaimError, nearest
from glmix_theory.notation import n
from glmix_theory.patterns import parse_formula
from glmix_theory.patterns.rounding import exactly_rounded

_FORM = re.compile(r"^\s*(\w+)\s*(<=|>=|==|<|>)\s*(.+?)\s*$")


@dataclass(frozen=True)
class Claim:
    """``quantity relation formula`` at every length checked.

    >>> claim = parse_claim("cache_size <= log(n, 2) + 1")
    >>> claim.quantity, claim.relation, claim.holds(4, 8), claim.holds(5, 8)
    ('cache_size', '<=', True, False)
    """

    quantity: str
    relation: str
    formula: sympy.Expr

    def right_side(self, length: int) -> sympy.Expr:
        """The formula's exact value at a length."""
        return sympy.simplify(
            exactly_rounded(self.formula).subs(n, length)
        )  # log(4)/log(2) is 2 only after simplifying

    def holds(self, value: Value, length: int) -> bool:
        """Whether the claim is certain for this value; with :class:`Bounds`, for all it may be."""
        low, high = (value.lower, value.upper) if isinstance(value, Bounds) else (value, value)
        right = self.right_side(length)
        outcome = {
            "<=": sympy.Le(high, right),
            "<": sympy.Lt(high, right),
            ">=": sympy.Ge(low, right),
            ">": sympy.Gt(low, right),
            "==": sympy.And(sympy.Eq(low, right), sympy.Eq(high, right)),
        }[self.relation]
        return outcome == sympy.true

    def __str__(self) -> str:
        return f"{self.quantity} {self.relation} {self.formula}"


def parse_claim(text: str) -> Claim:
    """Read a claim: a quantity's name, one of ``<= < == > >=``, and a formula in ``n``.

    Raises
    ------
    ClaimError
        Another form, or an unknown quantity (names the nearest).
    FormulaError
        The formula does not parse.
    """
    match = _FORM.match(text)
    if match is None:
        raise ClaimError(
            f"{text!r} is not a claim; write QUANTITY RELATION FORMULA, such as 'cache_size <= log(n, 2) + 1'"
        )
    quantity, relation, formula = match.groups()
    if quantity not in QUANTITIES:
        raise ClaimError(f"{quantity!r} in claim {text!r} is not a quantity; {nearest(quantity, list(QUANTITIES))}")
    expression = parse_formula(formula)
    others = expression.free_symbols - {n}
    if others:
        raise ClaimError(f"claim {text!r} contains {', '.join(map(str, others))}; only the length n may appear")
    return Claim(quantity, relation, expression)
