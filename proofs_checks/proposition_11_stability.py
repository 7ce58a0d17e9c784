"""Proposition 11: joint rows that sum to at most 1 keep the mixer bounded."""

from __future__ import annotations

import numpy as np
import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._blocks import matrices, same, times
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _size(x: z3.ArithRef) -> z3.ArithRef:
    return z3.If(x >= 0, x, -x)


def _one_more_source() -> str:
    """``|M_t|₁ ≤ Σ|α| + Σ_s |β_s| |M_s|₁``: induction over columns, for one source at a time."""
    u, v, b, left, right, other = z3.Reals("u v b left right other")
    triangle = for_all([], _size(u + b * v) <= _size(u) + _size(b) * _size(v), "|u + b·v| ≤ |u| + |b|·|v|")
    premises = [left <= right + _size(b) * other]
    grown = left + _size(u + b * v) <= (right + _size(u)) + _size(b) * (other + _size(v))
    column = for_all([*premises, _size(u + b * v) <= _size(u) + _size(b) * _size(v)], grown, "one more column")
    return f"{triangle}; base: no columns, 0 ≤ 0; {column}"


def _rows(limit: int = 1, signed: bool = False) -> str:
    """``Σ|α| + Σ_s |β_s| m_s ≤ Σ|α| + Σ|β| ≤ 1`` when every earlier row has ``m_s ≤ 1``: induction over sources."""
    weighted, plain, b, m, alpha, row = z3.Reals("weighted plain b m alpha row")
    base = for_all([weighted == 0, plain == 0], weighted <= plain, "no sources")
    weight = b if signed else _size(b)
    premises = [weighted <= plain, m >= 0, m <= 1]
    source = for_all(premises, weighted + _size(b) * m <= plain + weight, "one more source")
    budget = [alpha >= 0, weighted <= plain, alpha + plain <= limit, row <= alpha + weighted]
    return f"{base}; {source}; {for_all(budget, row <= 1, 'row t has norm at most 1')}"


def _stochastic(total: int = 1, sign: int = 1) -> str:
    """Rows of ``M`` sum to 1 when joint rows do, and are not negative when the coefficients are not."""
    A, B, R, ones = matrices("A B R e")
    relations = {R * B: R - 1, A * ones: total * ones - B * ones}
    sums = same(R * A * ones, ones, relations, "(A + B)e = e gives (1 - B)⁻¹A e = e")
    entry, b, m = z3.Reals("entry b m")
    positive = for_all([entry >= 0, b * sign >= 0, m >= 0], entry + b * m >= 0, "entries stay ≥ 0")
    return f"{sums}; {positive}, by induction over sources and rows"


def _inverse_norm(bound: int = 1) -> str:
    """``‖(I-B)^{-1}‖_∞ ≤ Σ_{j≥0} γ^j = 1/(1-γ)``, row by row: ``R = I + B R``."""
    gamma = sympy.Symbol("gamma", positive=True)
    j = sympy.Symbol("j", integer=True, nonnegative=True)
    n = sympy.Symbol("n", integer=True, positive=True)
    series = sympy.summation(gamma**j, (j, 0, n - 1))
    partial = sympy.piecewise_fold(series).subs(sympy.Eq(gamma, 1), False)
    rest = sympy.simplify(partial - (1 - gamma**n) / (1 - gamma))
    require(rest == 0, f"the Neumann series leaves {rest}")
    norm, row, g = z3.Reals("norm row gamma")
    premises = [g >= 0, g < 1, norm * (1 - g) <= 1, norm >= 0, row <= 1 + g * norm]
    base = for_all([g >= 0, g < 1, row == bound], row * (1 - g) <= 1, "row 0 has norm 1 ≤ 1/(1 - γ)")
    induct = for_all(premises, row * (1 - g) <= 1, "row t: 1 + γ·(largest earlier row) ≤ 1/(1 - γ)")
    return f"Σ_(j<n) γ^j = (1 - γ^n)/(1 - γ); {base}; {induct}"


def _condition(constant: int = 1) -> str:
    """``‖I - B‖ ≤ 1 + γ`` times the norm of the inverse; attained in the limit by one lag of weight ``γ``."""
    direct, inverse, g = z3.Reals("direct inverse gamma")
    premises = [g >= 0, g < 1, direct >= 0, direct <= 1 + g, inverse >= 0, inverse * (1 - g) <= 1]
    bound = for_all(premises, direct * inverse * (1 - g) <= constant + g, "cond ≤ (1 + γ)/(1 - γ)")
    x = sympy.Symbol("x", positive=True)  # γ = 1/(1 + x) runs over 0 < γ < 1
    n = sympy.Symbol("n", integer=True, positive=True)
    gamma = 1 / (1 + x)
    row_sum = (1 - gamma**n) / (1 - gamma)
    require(sympy.simplify(row_sum.subs(n, 1) - 1) == 0, "base n = 1: the only row of the inverse sums to 1")
    following = sympy.simplify(row_sum.subs(n, n + 1) - (1 + gamma * row_sum))
    require(following == 0, f"step: the last row of the inverse leaves {following}")
    attained = sympy.limit((1 + gamma) * row_sum, n, sympy.oo)
    rest = sympy.simplify(attained - (constant + gamma) / (1 - gamma))
    require(rest == 0, f"the limit differs from the bound by {rest}")
    return (
        f"{bound}; one lag of weight γ: the last row of (I - B)⁻¹ sums to (1 - γ^n)/(1 - γ) (base and step n → n + 1 "
        "by proposition 1), so cond = (1 + γ)(1 - γ^n)/(1 - γ), whose limit is the bound"
    )


def _columns(bound: int | None = None) -> str:
    """Every step reads ``y_0`` with weight 1: rows sum to 1 and column 0 of ``M`` sums to ``n``.

    Blocks: position 0, and the others; ``e`` is their column of ones.
    """
    (ones,) = matrices("e")
    product = times([[1, 0], [-ones, 1]], [[1, 0], [ones, 0]])
    text = same(
        product, [[1, 0], [0, 0]], {}, "(1 - B)·[[1, 0], [e, 0]] = A for B = [[0, 0], [e, 0]], A = [[1, 0], [0, 0]]"
    )
    n, total = z3.Ints("n total")
    limit = n if bound is None else z3.IntVal(bound)
    length = for_all([n >= 1, total == 1 + (n - 1)], total <= limit, "column 0 sums to n")
    require(bound is None, length)
    return f"{text}; every joint row is one coefficient 1; {length}, which no constant bounds"


def _random_mixers() -> str:
    """The bounds on random coefficients of several patterns, through the toolkit's oracle."""
    rng = np.random.default_rng(11)
    worst, ratio = 0.0, 0.0
    patterns = (glm.Offsets(2**k), glm.CacheEfficient(k**2 + 1), glm.Dense().strict(), glm.Lags([1]))
    for recurrent in patterns:
        mixer = glm.Mixer(direct=glm.Dense(), recurrent=recurrent)
        for n in (1, 2, 17, 64):
            joint = rng.standard_normal((n, 2 * n))
            joint *= np.hstack([np.tril(np.ones((n, n))), recurrent.to_dense(n)])
            joint /= np.abs(joint).sum(axis=1, keepdims=True)
            A, B = joint[:, :n], joint[:, n:]
            worst = max(worst, float(np.abs(mixer.matrix(A, B)).sum(axis=1).max()))
            gamma = float(np.abs(B).sum(axis=1).max())
            if gamma < 1:
                limit = (1 + gamma) / (1 - gamma)
                ratio = max(ratio, float(np.linalg.cond(np.eye(n) - B, np.inf)) / limit)
    require(worst <= 1 + 1e-12, f"a row of M has norm {worst}")
    require(ratio <= 1 + 1e-12, f"a condition number is {ratio} times its bound")
    return f"{len(patterns)} patterns, n ≤ 64: largest row norm {worst:.3f}, condition at most {ratio:.2f} of its bound"


PROPOSITION = Proposition(
    number=11,
    title="Stability",
    statement=(
        "If every joint row has Σ|α| + Σ|β| ≤ 1, then ‖M‖_∞ ≤ 1; non-negative rows with sum 1 make M row-stochastic. "
        "‖B‖_∞ ≤ γ < 1 gives cond_∞(I - B) ≤ (1 + γ)/(1 - γ), and the constant is sharp. Column sums of M are not "
        "bounded by this."
    ),
    assumptions=("real coefficients, B strictly lower triangular", "‖·‖_∞ is the largest row sum of absolute values"),
    steps=(
        step("a row of M is bounded by its coefficients", "smt", _one_more_source),
        step("rows of M have norm at most 1", "smt", _rows),
        step("row-stochastic", "symbolic", _stochastic),
        step("the inverse has norm at most 1/(1 - γ)", "symbolic", _inverse_norm),
        step("the condition number", "symbolic", _condition),
        step("column sums are not bounded", "symbolic", _columns),
        step("random mixers", "enumeration", _random_mixers, illustration=True),
    ),
    mutations={
        "joint rows up to 2": lambda: _rows(limit=2),
        "signed sums instead of absolute ones": lambda: _rows(signed=True),
        "joint rows sum to 2": lambda: _stochastic(total=2),
        "negative β": lambda: _stochastic(sign=-1),
        "the inverse starts at 2": lambda: _inverse_norm(bound=2),
        "cond ≤ γ/(1 - γ)": lambda: _condition(constant=0),
        "column sums at most 4": lambda: _columns(bound=4),
    },
    argument=(
        "row t is M_t = A_t + Σ_s β_ts M_s; strong induction on t with the inner inductions over sources and columns; "
        "‖I - B‖ ≤ 1 + γ by the triangle inequality"
    ),
)
