"""Proposition 2: published architectures are mixers; ChaCAL for every length, the catalogue against references."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy
import z3

import glmix_theory as glm
from proofs_checks._blocks import matrices, same, times
from proofs_checks._smt import for_all
from proofs_checks.framework import ProofFailure, Proposition, require, step

LENGTHS = (1, 2, 3, 8, 17)
TOLERANCE = 1e-11

_gamma = sympy.Symbol("gamma")


def _chacal(weight: Any = None, kept_diagonal: bool = True) -> str:
    """``(I-B)^{-1} A' = (1-γ) A (I-γA)^{-1}`` for every n; ``D = 1 - γ·diag(A)`` and ``E = D^{-1}``.

    Multiply the claim by what is to be inverted: with ``B = E(γA - 1) + 1`` (that is ``γ D^{-1} A_strict``, as
    ``γ A_strict = γA - 1 + D``), ``I - B = E(1 - γA)``, and ``A`` commutes with the resolvent ``R`` of ``γA``.
    """
    A, D, E, R = matrices("A D E R")
    strict = A + (D - 1) / _gamma if kept_diagonal else A  # γ·diag(A) = 1 - D
    B = _gamma * E * strict
    direct = ((1 - _gamma) if weight is None else weight) * E * A
    resolvent = {E * D: 1, D * E: 1, R * A: (R - 1) / _gamma, A * R: (R - 1) / _gamma}
    inverse = same((1 - B) * R * D, 1, resolvent, "(1 - B)·R·D = 1")
    other = same(R * D * (1 - B), 1, resolvent, "R·D·(1 - B) = 1")
    matrix = same(R * D * direct, (1 - _gamma) * A * R, resolvent, "R·D·A' = (1 - γ)·A·R")
    return f"{inverse}; {other}; {matrix}"


def _chacal_rows(strict_rows: bool = True) -> str:
    """Joint rows of ChaCAL sum to 1, from ``A e = e``."""
    A, D, E, ones = matrices("A D E e")
    strict = A + (D - 1) / _gamma if strict_rows else A
    joint = (1 - _gamma) * E * A * ones + _gamma * E * strict * ones
    return same(joint, ones, {A * ones: ones, E * D: 1}, "(A' + B)e = e")


def _chacal_defined(largest: int = 1) -> str:
    """``D`` is invertible: ``γ < 1`` and softmax entries lie in ``[0, 1]``."""
    gamma, entry = z3.Reals("gamma entry")
    premises = [gamma >= 0, gamma < 1, entry >= 0, entry <= largest]
    return for_all(premises, 1 - gamma * entry > 0, "1 - γ A_ss > 0")


def _chacal_variant(same_mixer: bool = False) -> str:
    """Without the diagonal inside the inverse it is another mixer, from the first token on."""
    weight = sympy.Integer(1)  # softmax over a single position
    kept = sympy.simplify((1 - _gamma) * weight / (1 - _gamma * weight))
    dropped = (1 - _gamma) * weight
    difference = sympy.simplify(kept - dropped)
    require((difference == 0) == same_mixer, f"at n = 1 they differ by {difference}")
    return f"at n = 1: y_0 = {kept}·v_0 with the diagonal, ({dropped})·v_0 without: they differ by {difference}"


def _state_recurrence(order: str = "after") -> str:
    """``S_t = G S_{t-1} + input``: row ``t`` of ``(I-B)^{-1}`` is ``G`` times row ``t - 1``, and 1 at ``t``.

    So block ``(t, s)`` is the product ``G_t ⋯ G_{s+1}`` of every state space model and linear attention.
    """
    B, R, row, G, last = matrices("B R row G last")
    # The system for t - 1 has last row `row`, inverse row `last`; G reads the newest state only.
    before = [[1 - B, 0], [-row, 1]]
    inverse = [[R, 0], [last, 1]]
    relations = {R * B: R - 1, B * R: R - 1, row * R: last}
    same(times(before, inverse), [[1, 0], [0, 1]], relations, "size n")
    grown = [[1 - B, 0, 0], [-row, 1, 0], [0, -G, 1]]
    newest = [G * last, G, 1] if order == "after" else [last * G, G, 1]
    text = same(
        times(grown, [[R, 0, 0], [last, 1, 0], newest]),
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        relations,
        "the new row of (I - B)⁻¹ is G·(previous row), then 1",
    )
    return f"base: the 1×1 inverse is 1; step: {text}"


def _delta_rule(sign: int = -1) -> str:
    """``S_t = S_{t-1}(1 - β k kᵀ) + β v kᵀ`` is ``S_t = Σ_{s≤t} u_s k_sᵀ`` with ``(I - B)u = diag(β)v``.

    That is the UT transform: ``B[t, s] = -β_t (k_s·k_t)``: a mixer with dense recurrent part and diagonal direct part.
    """
    S, before, u_old, k_old, k, k_new, v = matrices("S S_before u_s k_sT k_t k_tT v_t")
    beta = sympy.Symbol("beta")
    u = beta * (v + sign * S * k)
    update = same(S - beta * S * k * k_new + beta * v * k_new, S + u * k_new, {}, "S_t = S_(t-1) + u_t k_tᵀ")
    source = same(
        (before + u_old * k_old) * k, before * k + u_old * (k_old * k), {}, "one source more adds u_s (k_sᵀ k_t)"
    )
    return f"base S_(-1) = 0; step: {update} with u_t = β_t (v_t - S_(t-1) k_t); {source}"


def _fenwick(prefix_start: int = 0) -> str:
    """Node ``i`` of a Fenwick tree sums ``(i - lowbit(i), i]``, and the prefix path of ``i`` tiles ``(0, i]``.

    With ``lowbit(i) = P·w``, ``w = 2e`` even, the child ``i - P`` has lowbit ``P`` and covers ``(i - 2P, i - P]``; the
    children for ``P = 1, 2, 4, … < lowbit(i)`` tile ``(i - lowbit(i), i - 1]``.
    """
    i, P, e, odd, child = z3.Ints("i P e odd child")
    premises = [P >= 1, e >= 1, odd >= 1, odd % 2 == 1, i == P * (2 * e * odd), child == i - P]
    lowest = for_all([*premises], child == P * (2 * e * odd - 1), "child i - P is P times an integer")
    parity = for_all([e >= 1, odd >= 1], (2 * (e * odd) - 1) % 2 == 1, "and that integer is odd, so lowbit(i - P) = P")
    power, x, low, node, s = z3.Ints("power x low node s")
    covered = z3.And(x - power < s, s <= x - 1)
    child_range = z3.And(x - 2 * power < s, s <= x - power)
    tiles = for_all(
        [power >= 1, x >= 2 * power],
        z3.Or(child_range, covered) == z3.And(x - 2 * power < s, s <= x - 1),
        "children 1 … P tile (i - 2P, i - 1]",
    )
    apart = for_all([power >= 1], z3.Not(z3.And(child_range, covered)), "without overlap")
    path = for_all(
        [low >= 1, low <= node],
        z3.Or(z3.And(prefix_start < s, s <= node - low), z3.And(node - low < s, s <= node)) == z3.And(s > 0, s <= node),
        "the prefix path of i tiles (0, i]",
    )
    return f"{lowest}; {parity}; {tiles}; {apart}; base i - lowbit(i) = 0; {path}"


def _catalogue(changed: Mapping[str, dict[str, Any]] | None = None) -> str:
    """Every catalogue entry against the independent reference in ``tests/mixers/references``."""
    try:
        from tests.mixers.references import REFERENCES
    except ImportError as error:
        raise ProofFailure(f"the references live in tests/mixers/references, beside proofs_checks: {error}") from None
    require(set(REFERENCES) == set(glm.catalogue), "catalogue and references do not have the same entries")
    names = list(changed) if changed else glm.catalogue.names()
    worst = 0.0
    for name in names:
        entry = glm.catalogue.entry(name)
        mixer = entry.build(**{**entry.parameters, **(changed or {}).get(name, {})})
        for n in LENGTHS:
            rng = np.random.default_rng(zlib.crc32(f"{name}/{n}".encode()))
            case = REFERENCES[name](mixer, n, rng, **entry.parameters)
            matrix = mixer.matrix(case.alpha, case.beta, case.gamma)
            error_here = float(np.abs(matrix - case.expected).max() / max(1.0, np.abs(case.expected).max()))
            require(error_here < TOLERANCE, f"{name} misses its reference by {error_here:.1e} at n = {n}")
            worst = max(worst, error_here)
    return f"{len(names)} entries at n in {LENGTHS}, fp64: largest error {worst:.0e}"


PROPOSITION = Proposition(
    number=2,
    title="Embeddings",
    statement=(
        "Every catalogue architecture is a mixer: its matrix equals an independent reference to fp64 accuracy. ChaCAL "
        "(1-γ)A(I-γA)^{-1} is D = diag(1-γA_ss), B = γD^{-1}A_strict, A' = (1-γ)D^{-1}A with joint rows summing to 1; "
        "without the diagonal inside the inverse it is another mixer. State recurrences, the delta rule (UT transform) "
        "and Fenwick sums are mixers for every n."
    ),
    assumptions=("ChaCAL: 0 ≤ γ < 1 and A a causal softmax (entries in [0, 1], rows sum to 1); γ = 0 is plain A",),
    steps=(
        step("ChaCAL, every n", "symbolic", _chacal),
        step("ChaCAL's joint rows sum to 1", "symbolic", _chacal_rows),
        step("ChaCAL's D is invertible", "smt", _chacal_defined),
        step("ChaCAL without the diagonal differs", "symbolic", _chacal_variant),
        step("state recurrences, every n", "symbolic", _state_recurrence),
        step("delta rule and UT transform, every n", "symbolic", _delta_rule),
        step("Fenwick sums and prefix paths, every n", "smt", _fenwick),
        step("the whole catalogue", "enumeration", _catalogue),
    ),
    mutations={
        "A' = D⁻¹A, factor dropped": lambda: _chacal(weight=1),
        "B = γD⁻¹A with its diagonal": lambda: _chacal(kept_diagonal=False),
        "rows of ChaCAL with the diagonal twice": lambda: _chacal_rows(strict_rows=False),
        "A not a softmax": lambda: _chacal_defined(largest=2),
        "both ChaCAL variants are one": lambda: _chacal_variant(same_mixer=True),
        "gates multiplied in the wrong order": lambda: _state_recurrence(order="before"),
        "delta rule with u = β(v + Sk)": lambda: _delta_rule(sign=1),
        "prefix path starts at 1": lambda: _fenwick(prefix_start=1),
        "a window one too narrow": lambda: _catalogue({"local_attention": {"window": 2}}),
    },
    argument="the identities hold for every n; that each entry is the architecture it is named after is checked",
)
