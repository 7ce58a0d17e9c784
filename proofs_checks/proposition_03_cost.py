"""Proposition 3: what a translation-invariant pattern costs."""

from __future__ import annotations

import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _terms_are_distinct(strict: bool = True) -> str:
    """``f(j) ≥ f(i) + (j - i)`` by induction on ``j``, so different ``k`` give different sources."""
    f_i, f_j, following, i, j = z3.Ints("f_i f_j f_next i j")
    increase = following > f_j if strict else following >= f_j
    base = for_all([j == i, f_j == f_i], f_j >= f_i + (j - i), "base j = i")
    induct = for_all([j >= i, f_j >= f_i + (j - i), increase], following >= f_i + (j + 1 - i), "step j → j + 1")
    use = for_all([j > i, f_j >= f_i + (j - i)], f_j != f_i, "j > i gives another lag")
    return f"{base}; {induct}; {use}"


def _inverse_counts(offset: int = 1, from_first: bool = True) -> str:
    """``f(k) ≤ t ⟺ k ≤ ⌊f^{-1}(t)⌋``, for any strictly increasing real extension ``F`` of ``f``."""
    F = z3.Function("F", z3.RealSort(), z3.RealSort())
    x, t = z3.Reals("x t")
    index = z3.Int("k")
    real = z3.ToReal(index)
    increasing = [  # F is strictly increasing, used at the two places that matter
        z3.Implies(real < x, F(real) < F(x)),
        z3.Implies(real > x, F(real) > F(x)),
        z3.Implies(real == x, F(real) == F(x)),
    ]
    start = [x >= 0] if from_first else [x > -5]
    premises = [F(x) == t, index >= 0, *start, *increasing]
    inverse = for_all(premises, (F(real) <= t) == (index <= z3.ToInt(x)), "f(k) ≤ t ⟺ k ≤ ⌊f⁻¹(t)⌋")
    low, count = z3.Ints("k count")
    number = for_all(  # the indices 0 … ⌊x⌋ are as many as claimed, and a count is never negative
        [*start, count == z3.ToInt(x) + offset, low >= 0],
        z3.And(count >= 0, (low <= z3.ToInt(x)) == (low < count)),
        "the indices are 0 … count - 1",
    )
    return f"{inverse}; {number}"


def _total(constant: int = 0) -> str:
    """``Σ_{t<n} #{k: f(k) ≤ t} = Σ_{f(k)<n} (n - f(k))``, by induction on ``n``.

    With ``m = #{k: f(k) < n}`` and ``P = Σ_{k<m} f(k)`` the right side is ``m n - P``. Between ``n`` and
    ``n + 1`` the count grows by one exactly when ``f(m) = n``.
    """
    n, m, P = sympy.symbols("n m P", integer=True)

    def right(length: sympy.Expr, count: sympy.Expr, prefix: sympy.Expr) -> sympy.Expr:
        return count * (length - constant) - prefix

    base = right(sympy.Integer(0), sympy.Integer(0), sympy.Integer(0))
    require(base == 0, f"base n = 0: {base} terms instead of none")
    stays = sympy.expand(right(n + 1, m, P) - right(n, m, P) - m)
    require(stays == 0, f"step, f(m) > n: the formulas differ by {stays}")
    grows = sympy.expand(right(n + 1, m + 1, P + n) - right(n, m, P) - (m + 1))
    require(grows == 0, f"step, f(m) = n: the formulas differ by {grows}")
    return "base n = 0: both sides 0; step: m n - P grows by #{k: f(k) ≤ n} whether f(m) = n or f(m) > n"


def _theta(rate: int = 1) -> str:
    """The step cost at ``n`` is the count at ``n - 1``: within 1 of the count at ``n``, itself within 1 of f⁻¹."""
    before, after, inverse = z3.Int("count_n_minus_1"), z3.Int("count_n"), z3.Real("inverse")
    premises = [inverse >= 1, before >= 0, before <= after, after <= before + rate, after == z3.ToInt(inverse) + 1]
    claim = z3.And(z3.ToReal(before) > inverse - 1, z3.ToReal(before) <= inverse + 1)
    return for_all(premises, claim, "f⁻¹(n) - 1 < step cost(n) ≤ f⁻¹(n) + 1")


def _one_more_a_step(strict: bool = True) -> str:
    """Between ``t`` and ``t + 1`` at most one more ``k`` has ``f(k) ≤ t``: two would need two equal values."""
    f_m, following, t = z3.Ints("f_m f_next t")
    increase = following > f_m if strict else following >= f_m
    return for_all([f_m > t, increase], following > t + 1, "f(m) > t gives f(m + 1) > t + 1")


def _counts() -> str:
    """The toolkit's counts, and its closed forms at a length no loop reaches."""
    functions = (2**k, k**2 + 1, k * (k + 1) / 2 + 1, 3**k + 4, sympy.fibonacci(k + 2))
    for f in functions:
        pattern = glm.Offsets(f)
        values = [int(f.subs(k, index)) for index in range(30)]
        total = 0
        for t in range(300):
            expected = sum(value <= t for value in values)
            total += expected
            require(pattern.in_degree(t) == expected, f"{pattern!r} reads {pattern.in_degree(t)} at t = {t}")
            formula = sum(t + 1 - value for value in values if value < t + 1)
            require(formula == total, f"{pattern!r}: total {total}, formula {formula} at n = {t + 1}")
    huge = 10**12
    report = glm.analyze(glm.Mixer(direct=glm.Empty(), recurrent=glm.Offsets(2**k)))
    expected = sum(huge - 2**index for index in range(40))
    require(report.total_cost.at(huge) == expected, f"total at 10^12 is {report.total_cost.at(huge)}, not {expected}")
    return f"{len(functions)} index functions, t < 300; total cost of 2^k at n = 10^12 is {expected}"


PROPOSITION = Proposition(
    number=3,
    title="Cost of a translation-invariant pattern",
    statement=(
        "Step t has #{k : f(k) ≤ t} recurrent terms, which is ⌊f⁻¹(t)⌋ + 1 once t ≥ f(0); the total is "
        "Σ_{k: f(k)<n} (n - f(k)); the step cost is Θ(f⁻¹(n))."
    ),
    assumptions=(
        "f: N → N_{>0} strictly increasing",
        "f⁻¹ inverts any strictly increasing real function that agrees with f on the integers",
    ),
    steps=(
        step("different k read different positions", "smt", _terms_are_distinct),
        step("the count by the inverse", "smt", _inverse_counts),
        step("the total cost", "symbolic", _total),
        step("the count grows by at most one a step", "smt", _one_more_a_step),
        step("the step cost is within 1 of f⁻¹(n)", "smt", _theta),
        step("the toolkit's counts", "enumeration", _counts, illustration=True),
    ),
    mutations={
        "f only non-decreasing": lambda: _terms_are_distinct(strict=False),
        "⌊f⁻¹(t)⌋, off by one": lambda: _inverse_counts(offset=0),
        "t < f(0) allowed": lambda: _inverse_counts(from_first=False),
        "total Σ (n - f(k) - 1)": lambda: _total(constant=1),
        "two new terms a step": lambda: _theta(rate=2),
        "two equal values of f": lambda: _one_more_a_step(strict=False),
    },
    argument=(
        "sources(t) = {t - f(k) ≥ 0} by definition, so its size is the count; the largest of n non-decreasing counts "
        "is the last one, at t = n - 1"
    ),
)
