"""Proposition 9: rank ≤ vertex-disjoint paths ≤ live rows."""

from __future__ import annotations

import itertools

import sympy
import z3

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _minors(sign: int = -1) -> str:
    """Lindström–Gessel–Viennot on the smallest case: a minor of ``M`` is a signed sum over disjoint path pairs."""
    b = sympy.symbols("b10 b20 b21 b30 b31 b32")
    B = sympy.zeros(4)
    for value, (t, s) in zip(b, ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))):
        B[t, s] = value
    M = (sympy.eye(4) - B).inv()
    minor = sympy.expand(M[2, 0] * M[3, 1] - M[2, 1] * M[3, 0])
    b10, b20, b21, b30, b31, b32 = b
    disjoint = b20 * b31 + sign * b21 * b30  # 0→2, 1→3 and the crossing pair 0→3, 1→2
    require(sympy.expand(minor - disjoint) == 0, f"the minor {minor} is not the sum over disjoint pairs {disjoint}")
    require(b10 not in minor.free_symbols | {b32} or b32 not in minor.free_symbols, "a shared node contributes")
    return (
        "Lindström 1973, Gessel & Viennot 1985: in an acyclic graph a minor of the path matrix is the signed sum over "
        f"vertex-disjoint path systems; for rows 2, 3 and columns 0, 1 of (I-B)^-1: {minor}. With independent "
        "coefficients no two systems cancel, so the generic rank is the most disjoint paths"
    )


def _menger() -> str:
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
    found = ex.state_rank_at(mixer, 40)
    require(found.check() == found.value, "paths and separators do not meet")
    return (
        "Menger 1927: the most disjoint paths equal the fewest rows that separate; hypothesis: a finite "
        "graph. For every "
        f"mixer the toolkit shows both, for example {found.value} at n = 40"
    )


def _live(read_again: bool = True) -> str:
    born, read, cut = z3.Ints("born read c")
    premises = [born < cut, read >= cut] if read_again else [born < cut, read > born]
    return for_all(
        premises, z3.And(born < cut, read >= cut), "every edge across the cut leaves a live row: live rows separate"
    )


def _measured() -> str:
    patterns = [
        glm.Lags([1, 3]),
        glm.Offsets(2**k),
        glm.CacheEfficient(k**2 + 1),
        glm.Fenwick(),
        glm.Blocks(3).strict(),
    ]
    for pattern, n in itertools.product(patterns, (2, 7, 16, 25)):
        chain = ex.rank_chain(glm.Mixer(recurrent=pattern), n)
        require(chain.holds, f"{pattern!r}: {chain}")
    return "exact rank modulo 2^31 - 1 = disjoint paths ≤ live rows, SVD ranks below, for five patterns at n ≤ 25"


PROPOSITION = Proposition(
    number=9,
    title="Rank chain",
    statement=(
        "At every cut c, rank M[c:, :c] ≤ most vertex-disjoint paths from inputs before c to outputs "
        "from c on ≤ live rows "
        "at c; for generic coefficients the first is an equality."
    ),
    assumptions=("coefficients are independent of each other in the generic statement", "state expansion 1"),
    steps=(
        step("minors are signed sums over disjoint path systems", "cited", _minors),
        step("disjoint paths and separators", "cited", _menger),
        step("live rows separate", "smt", _live),
        step("measured ranks", "enumeration", _measured, illustration=True),
    ),
    mutations={
        "minors without signs": lambda: _minors(sign=1),
        "rows read before the cut count as live": lambda: _live(read_again=False),
    },
)
