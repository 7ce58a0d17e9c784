"""Matrix identities for every size at once: blocks are non-commuting symbols with known relations.

The symbol 1 stands for the identity and 0 for the zero matrix of whatever size a block has. A claim for
``n + 1`` splits off the last row and column and uses the claim for ``n`` as a relation between blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from proofs_checks.framework import ProofFailure

Blocks = Sequence[Sequence[Any]]


def matrices(names: str) -> tuple[sympy.Symbol, ...]:
    """Symbols that do not commute, one per name."""
    return tuple(sympy.Symbol(name, commutative=False) for name in names.split())


def times(*factors: Blocks) -> list[list[Any]]:
    """The product of block matrices."""
    product = [list(row) for row in factors[0]]
    for factor in factors[1:]:
        product = [
            [sympy.expand(sum(row[j] * factor[j][c] for j in range(len(factor)))) for c in range(len(factor[0]))]
            for row in product
        ]
    return product


def reduced(expression: Any, relations: Mapping[Any, Any]) -> sympy.Expr:
    """``expression`` after replacing every product named in ``relations`` until none is left."""
    current = sympy.expand(expression)
    for _ in range(50):
        following = current
        for product, value in relations.items():
            following = sympy.expand(following.subs(product, value))
        if following == current:
            return current
        current = following
    raise ProofFailure(f"the relations do not come to an end on {expression}")


def same(left: Any, right: Any, relations: Mapping[Any, Any] | None = None, name: str = "the identity") -> str:
    """Prove ``left = right`` for expressions or block matrices: every block of the difference reduces to zero.

    Returns ``name``, as evidence; :class:`ProofFailure` shows what is left over.
    """
    rows = [[left]] if isinstance(left, (sympy.Basic, int)) else left
    others = [[right]] if isinstance(right, (sympy.Basic, int)) else right
    for r, (row, other) in enumerate(zip(rows, others, strict=True)):
        for c, (entry, expected) in enumerate(zip(row, other, strict=True)):
            rest = reduced(sympy.sympify(entry) - expected, relations or {})
            if rest != 0 and not (rest.is_commutative and sympy.simplify(rest) == 0):
                raise ProofFailure(f"{name} fails: block ({r}, {c}) leaves {rest}")
    return name
