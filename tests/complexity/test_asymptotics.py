"""Growth composed from parts against limits of the closed forms taken by sympy: two methods, one answer."""

from __future__ import annotations

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import k, n
from tests.complexity.limits import leading

MIXERS = {
    "attention": glm.catalogue["attention"],
    "local attention": glm.catalogue["local_attention"],
    "strided": glm.catalogue["strided"],
    "2^k": glm.catalogue["exponential_recurrence"],
    "2^k, cache-efficient": glm.catalogue["exponential_cache_efficient"],
    "k²+1": glm.catalogue["quadratic_recurrence"],
    "sinks": glm.catalogue["attention_sinks"],
    "k(k+1)/2+1": glm.Mixer(recurrent=glm.Offsets(k * (k + 1) / 2 + 1)),
    "k³+1": glm.Mixer(recurrent=glm.Offsets(k**3 + 1)),
}


@pytest.mark.parametrize("name", MIXERS)
def test_limits_agree_with_composed_growth(name: str) -> None:
    compared = 0
    for measure in (glm.complexity.step_cost, glm.complexity.total_cost, glm.complexity.cache_size):
        quantity = measure(MIXERS[name])
        found = None if quantity.expr is None else leading(quantity.expr)
        if found is None:
            continue
        compared += 1
        constant, scale = found
        assert sympy.simplify(scale / quantity.theta) == 1
        if constant is not None and quantity.leading is not None:
            assert sympy.simplify(constant - quantity.leading) == 0
    assert compared >= 2


def test_limits_refuse_what_has_none() -> None:
    assert leading(2 + (-1) ** n) is None
    assert leading(sympy.Integer(0)) is None
