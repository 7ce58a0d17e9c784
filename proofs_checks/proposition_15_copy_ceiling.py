"""Proposition 15: what rank s lets through of n rows."""

from __future__ import annotations

import numpy as np
import sympy

from glmix_theory.expressivity import copy_ceiling
from proofs_checks.framework import Proposition, require, step


def _exact_copy(rank_of: str = "identity") -> str:
    size = sympy.Symbol("n", integer=True, positive=True)
    for n in range(1, 7):
        block = sympy.eye(n) if rank_of == "identity" else sympy.ones(n, n)
        require(block.rank() == n, f"the block for copying {n} rows has rank {block.rank()}")
    determinant = sympy.Identity(size)
    require(sympy.det(determinant) == 1, "the identity is singular")
    return "copying means M[n:, :n] = I_n, whose determinant is 1: rank n at the middle cut"


def _eckart_young(kept: int = 0) -> str:
    s, n, i = sympy.symbols("s n i", integer=True, positive=True)
    energy = sympy.simplify(sympy.Sum(1, (i, 1, s + kept)).doit() / sympy.Sum(1, (i, 1, n)).doit())
    require(sympy.simplify(energy - s / n) == 0, f"the fraction of the energy is {energy}, not s/n")
    return (
        "Eckart & Young 1936: the best approximation of rank s keeps the s largest singular values; I_n "
        "has n equal ones, "
        "so ‖I - R‖² ≥ n - s, and a fraction s/n of the energy is kept"
    )


def _measured() -> str:
    generator = np.random.default_rng(0)
    for n, s in ((4, 1), (9, 4), (16, 15)):
        for _ in range(20):
            rank = generator.normal(size=(n, s)) @ generator.normal(size=(s, n))
            scale = np.trace(rank) / np.sum(rank**2)
            captured = 1 - np.linalg.norm(np.eye(n) - scale * rank) ** 2 / n
            require(captured <= copy_ceiling(s, n) + 1e-12, f"rank {s} captures {captured} of {n} rows")
    return "60 random maps of rank s at n ≤ 16 stay below s/n"


PROPOSITION = Proposition(
    number=15,
    title="Copy ceiling",
    statement=(
        "Exact copy of n rows needs rank n at the middle cut; rank s captures at most a fraction s/n of the energy."
    ),
    assumptions=("rows are independent and of equal energy",),
    steps=(
        step("exact copy is the identity block", "symbolic", _exact_copy),
        step("the best map of rank s", "cited", _eckart_young),
        step("random maps", "enumeration", _measured, illustration=True),
    ),
    mutations={
        "the block of ones": lambda: _exact_copy(rank_of="ones"),
        "s + 1 values kept": lambda: _eckart_young(kept=1),
    },
)
