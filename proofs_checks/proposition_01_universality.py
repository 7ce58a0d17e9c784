"""Proposition 1: every causal linear map is a mixer, for any recurrent part."""

from __future__ import annotations

import numpy as np
import sympy

import glmix_theory as glm
from proofs_checks._blocks import matrices, same, times
from proofs_checks.framework import Proposition, require, step

_B, _R, _M, _b, _m = matrices("B R M b m")
_mu = sympy.Symbol("mu")
_INVERSE = {_R * _B: _R - 1, _B * _R: _R - 1}
"""What the induction assumes of size n: R is the two-sided inverse of 1 - B."""


def _inverse_exists(sign: int = 1, diagonal: int = 0) -> str:
    """Base ``n = 1`` and step ``n → n + 1`` of "1 - B has the inverse R", by the last row ``b`` of ``B``."""
    require(1 - diagonal != 0, f"base n = 1: 1 - B = {1 - diagonal} has no inverse")
    matrix = [[1 - _B, 0], [-_b, 1 - diagonal]]
    inverse = [[_R, 0], [sign * _b * _R, 1]]
    identity = [[1, 0], [0, 1]]
    right = same(times(matrix, inverse), identity, _INVERSE, "(1 - B)·[[R, 0], [bR, 1]] = 1")
    left = same(times(inverse, matrix), identity, _INVERSE, "[[R, 0], [bR, 1]]·(1 - B) = 1")
    return f"base: for n = 1, 1 - B = 1; step: {right}; {left}"


def _nilpotent(shift: int = 1) -> str:
    """``B^n = 0``, by induction on ``n``: the powers of ``[[B, 0], [b, 0]]`` are ``[[B^j, 0], [b B^{j-1}, 0]]``."""
    power, previous = matrices("P Q")  # P = B^j and Q = B^{j-1}, so QB = P
    block = [[_B, 0], [_b, 0]]
    following = times([[power, 0], [_b * previous, 0]], block)
    text = same(following, [[power * _B, 0], [_b * power, 0]], {previous * _B: power}, "power j → j + 1")
    last = {1: _b * power, 0: _b * previous}[shift]  # row block of power n + 1, where P = B^n
    same(last, 0, {power: 0}, "B^{n+1} of size n + 1 vanishes when B^n of size n does")
    return (
        f"base: the 1×1 strictly lower matrix is 0; step: {text}; if B^n = 0, power n + 1 is [[0, 0], [b·B^n, 0]] = 0"
    )


def _reproduces(order: str = "left", sign: int = -1) -> str:
    """``A = (1 - B) M`` gives ``(1 - B)^{-1} A = M``, and no other ``A`` does."""
    difference = 1 + sign * _B
    A = difference * _M if order == "left" else _M * difference
    text = same(_R * A, _M, _INVERSE, "R·(1 - B)·M = M")
    (other,) = matrices("A")
    return f"{text}; {same((1 - _B) * _R * other, other, _INVERSE, 'A = (1 - B)·R·A, so A is unique')}"


def _stays_causal() -> str:
    """The product of lower triangular matrices is lower triangular: the upper right block stays zero."""
    product = times([[1 - _B, 0], [-_b, 1]], [[_M, 0], [_m, _mu]])
    return same(product, [[_M - _B * _M, 0], [_m - _b * _M, _mu]], {}, "[[1 - B, 0], [-b, 1]]·[[M, 0], [m, μ]]")


def _small_sizes() -> str:
    """The toolkit's oracle on random causal ``M`` and random strict ``B``."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for n in range(1, 33):
        matrix, B = np.tril(rng.standard_normal((n, n))), np.tril(rng.uniform(-0.3, 0.3, (n, n)), -1)
        mixer = glm.Mixer(direct=glm.Dense(), recurrent=glm.Dense().strict())
        A = np.tril((np.eye(n) - B) @ matrix)
        worst = max(worst, float(np.abs(mixer.matrix(A, B) - matrix).max()))
    require(worst < 1e-10, f"Mixer.matrix misses M by {worst}")
    return f"Mixer.matrix((1 - B)M, B) = M at n = 1 … 32, largest error {worst:.0e}"


PROPOSITION = Proposition(
    number=1,
    title="Universality",
    statement=(
        "For every n, every lower triangular M and every strictly lower triangular B there is exactly one A with "
        "(I - B)^{-1} A = M, namely A = (I - B) M, and it is lower triangular. I - B is always invertible."
    ),
    assumptions=("entries from any ring with 1 (real numbers, or blocks of them)",),
    steps=(
        step("I - B is invertible for every n", "symbolic", _inverse_exists),
        step("B^n = 0 (I - B is unipotent)", "symbolic", _nilpotent),
        step("A = (I - B) M reproduces M, uniquely", "symbolic", _reproduces),
        step("A is lower triangular", "symbolic", _stays_causal),
        step("the dense oracle", "enumeration", _small_sizes, illustration=True),
    ),
    mutations={
        "B may have a 1 on its diagonal": lambda: _inverse_exists(diagonal=1),
        "wrong sign in the inverse": lambda: _inverse_exists(sign=-1),
        "B^(n-1) = 0": lambda: _nilpotent(shift=0),
        "A = (I + B) M": lambda: _reproduces(sign=1),
        "A = M (I - B), wrong order": lambda: _reproduces(order="right"),
    },
    argument="induction on n with the last row and column split off; the blocks do not commute and are arbitrary",
)
