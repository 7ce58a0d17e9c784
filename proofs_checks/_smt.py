"""Lemmas for all integers or reals at once, by an SMT solver that refutes their negation."""

from __future__ import annotations

from collections.abc import Sequence

import z3

from proofs_checks.framework import ProofFailure, UnfinishedProof

SECONDS: float = 30
"""After this the solver gives up, and the lemma counts as not proved."""


def for_all(premises: Sequence[z3.BoolRef], claim: z3.BoolRef, name: str = "the lemma") -> str:
    """Prove that ``premises`` imply ``claim`` for every value of the free variables.

    The premises must be satisfiable (else they imply anything), and ``premises ∧ ¬claim`` unsatisfiable. Returns
    ``name``, as evidence.

    >>> x = z3.Int("x")
    >>> for_all([x > 1], x * x > x, "x² > x")
    'x² > x'

    Raises
    ------
    ProofFailure
        The claim fails; the message shows values for which it does.
    UnfinishedProof
        The solver could not decide.
    """
    if _decide(premises, f"the premises of {name}") is None:
        raise ProofFailure(f"{name}: the premises contradict each other, so they prove anything")
    found = _decide([*premises, z3.Not(claim)], name)
    if found is not None:
        raise ProofFailure(f"{name} fails at {show(found)}")
    return name


def impossible(premises: Sequence[z3.BoolRef], name: str) -> str:
    """Prove that no values satisfy ``premises``; they are what the lemma says cannot be. Returns ``name``."""
    found = _decide(premises, name)
    if found is not None:
        raise ProofFailure(f"{name}: possible after all, at {show(found)}")
    return name


def show(model: z3.ModelRef) -> str:
    """A model as ``a = 1, b = 2``, by name."""
    values = sorted(f"{entry.name()} = {' '.join(str(model[entry]).split())}" for entry in model.decls())
    return ", ".join(values) or "every value"


def _decide(formulas: Sequence[z3.BoolRef], name: str) -> z3.ModelRef | None:
    solver = z3.Solver()
    solver.set("timeout", int(SECONDS * 1000))
    solver.add(*formulas)
    verdict = solver.check()
    if verdict == z3.unknown:
        raise UnfinishedProof(f"{name}: z3 could not decide ({solver.reason_unknown()})")
    return solver.model() if verdict == z3.sat else None
