"""Proposition 4: hops in translation-invariant recurrences, and the degree bound for all patterns."""

from __future__ import annotations

import numpy as np
import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.expressivity import distance_lower_bound, lag_hops
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _binary(merged: int = 1) -> str:
    """Two equal powers of two merge, so a shortest sum has distinct powers, and 2^m - 1 is the worst lag."""
    difference = sympy.simplify(2**k + 2**k - 2 ** (k + merged))
    require(difference == 0, f"2^k + 2^k - 2^(k+{merged}) = {difference}: equal powers do not merge")
    total, power = z3.Ints("l p")
    # p = 2^m; popcount(l) ≥ j needs l ≥ 2^j - 1: removing the top bit p ≤ l leaves l - p with one bit less
    text = for_all(
        [power >= 1, total >= power, total - power >= power - 1],
        total >= 2 * power - 1,
        "j more bits below 2^j need at least 2^(j+1) - 1 in all",
    )
    return f"2^k + 2^k = 2^(k+1); {text}: the least lag with j bits is 2^j - 1, so the maximum below n is ⌊log2 n⌋"


def _squares(terms: int = 4) -> str:
    a = sympy.symbols(f"a0:{terms}", integer=True, nonnegative=True)
    total = sum((k**2 + 1).subs(k, value) for value in a)
    gap = sympy.expand(total - sum(value**2 for value in a))
    require(gap == 4, f"{terms} terms of a² + 1 exceed the squares by {gap}, and l - 4 is what is split")
    profile = lag_hops(glm.Mixer(recurrent=glm.Offsets(k**2 + 1)), 59)
    require(int(np.argmax(profile == terms)) == 58, "lag 58 is not the first with four hops")
    return "Lagrange 1770: l - 4 = Σ a_i² over 4 squares, so l = Σ (a_i² + 1); lags 1 … 3 are ones; lag 58 needs 4"


def _triangles(terms: int = 3) -> str:
    f = k * (k + 1) / 2 + 1
    a = sympy.symbols(f"a0:{terms}", integer=True, nonnegative=True)
    gap = sympy.expand(sum(f.subs(k, value) - value * (value + 1) / 2 for value in a))
    require(gap == 3, f"{terms} terms exceed the triangular numbers by {gap}, and l - 3 is what is split")
    return (
        "Gauss 1796: l - 3 = Σ a_i(a_i + 1)/2 over 3 triangular numbers, so l is a sum of 3 values of "
        "f; lags 1, 2 of ones"
    )


def _degree(shift: int = 0) -> str:
    m, h = sympy.symbols("m h", positive=True)
    within = m * (m**h - 1) / (m - 1)
    gap = sympy.simplify(within + m ** (h + 1 + shift) - within.subs(h, h + 1))
    require(gap == 0, f"the sum over hops is off by {gap}")
    first = sympy.simplify(within.subs(h, 1) - m)
    require(first == 0, f"one hop reaches {first} more than m")
    return (
        "m + m² + … + m^h = m(m^h - 1)/(m - 1): base h = 1 and step h → h + 1; all n - 1 others must lie within D hops"
    )


def _enumerated() -> str:
    size = 10**5
    for f, most in ((2**k, 16), (k**2 + 1, 4), (k * (k + 1) / 2 + 1, 3)):
        largest = int(lag_hops(glm.Mixer(recurrent=glm.Offsets(f)), size).max())
        require(largest == most, f"{f}: {largest} hops below {size}, not {most}")
    for f in (2**k, k**2 + 1):
        for pattern in (glm.Offsets(f), glm.CacheEfficient(f)):
            report = glm.analyze(glm.Mixer(recurrent=pattern))
            for n in (2, 10, 100, 1000):
                bound = distance_lower_bound(report.step_cost.at(n) - 1, n)
                require(bound <= report.distance.at(n), f"{pattern!r}: degree bound {bound} at n = {n}")
    return f"largest hops of all lags below {size}: 16, 4, 3; degree bounds hold at n ≤ 1000"


PROPOSITION = Proposition(
    number=4,
    title="Distance",
    statement=(
        "From s to t a translation-invariant recurrence takes min{ m : Σ_{i≤m} f(a_i) = t - s } hops: "
        "popcount for 2^k, "
        "at most 4 for k² + 1 and 3 for k(k+1)/2 + 1. With at most m ≥ 2 sources a step, D hops reach at most "
        "m(m^D - 1)/(m - 1) others, so D is at least logarithmic in n to base m."
    ),
    assumptions=("the direct part is the diagonal", "Lagrange's and Gauss's theorems for the two quadratic patterns"),
    steps=(
        step("2^k: popcount, at most ⌊log2 n⌋ below n", "symbolic", _binary),
        step("k² + 1: four squares", "cited", _squares),
        step("k(k+1)/2 + 1: three triangular numbers", "cited", _triangles),
        step("degree bound", "symbolic", _degree),
        step("the toolkit's profiles", "enumeration", _enumerated, illustration=True),
    ),
    mutations={
        "three squares": lambda: _squares(terms=3),
        "two triangular numbers": lambda: _triangles(terms=2),
        "m^h new tokens at hop h + 1": lambda: _degree(shift=-1),
        "equal powers merge two places up": lambda: _binary(merged=2),
    },
)
