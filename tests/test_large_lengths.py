"""Closed forms at lengths where floating-point logarithms, and sympy's own roundings, go wrong."""

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import n
from glmix_theory.verify import parse_claim

BASES = [base for p in (30, 31, 53, 61) for base in (2**p, 3 * 2**p + 1, 3 ** (p // 2))] + [10**18]
LENGTHS = [base + step for base in BASES for step in (-1, 0, 1)]


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_formula_equals_value_beside_powers(name: str) -> None:
    for quantity in glm.analyze(glm.catalogue[name]):
        if quantity.expr is None:
            continue
        for length in LENGTHS:
            value = quantity.at(length)
            if not isinstance(value, glm.Bounds):
                assert sympy.sympify(value) == quantity.expr.subs(n, length), (quantity.name, length)


def test_claims_round_exactly() -> None:
    claim = parse_claim("distance == floor(log(n, 2))")
    assert claim.right_side(2**31 - 1) == 30
    assert parse_claim("step_cost == ceiling(log(n, 2))").right_side(2**31 + 1) == 32
