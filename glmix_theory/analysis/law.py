"""The law that ties memory to expressivity: congestion × cache ≥ n, and how close a mixer comes to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from glmix_theory.complexity import cache_size
from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.errors import check_length
from glmix_theory.expressivity import congestion, congestion_bounds
from glmix_theory.mixers import Mixer


@dataclass(frozen=True)
class Law:
    """``congestion × cache ≥ n`` for copying ``n`` tokens (proposition 6), at one length.

    Proof: the rows live after step ``n - 1`` separate the tokens before from those after, so each of the ``n``
    paths passes one of them, and none carries more than the congestion.
    """

    length: int
    congestion: Value
    cache: Value

    @property
    def factor(self) -> Bounds:
        """``congestion × cache / n``: 1 is as good as any pattern can be; ``oo`` if a pair is unreachable."""
        low, high = ends(self.congestion)
        cache_low, cache_high = ends(self.cache)
        return Bounds(
            max(sympy.Integer(1), sympy.Rational(low * cache_low, self.length)) if low != sympy.oo else sympy.oo,
            sympy.Rational(high * cache_high, self.length) if high != sympy.oo else sympy.oo,
        )

    def __str__(self) -> str:
        if self.factor.upper == sympy.oo:
            return f"law: some pair cannot be connected at n = {self.length}, whatever the cache"
        low, high = (f"{float(end):.2f}" for end in self.factor)
        shown = low if low == high else f"{low} … {high}"
        return (
            f"law: congestion {self.congestion} × cache {self.cache} = {shown} × n at n = {self.length}; "
            "no pattern gets below 1 × n"
        )


def law(mixer: Mixer, n: int, certified: bool = False) -> Law:
    """How close a mixer comes to ``congestion × cache = n``.

    Parameters
    ----------
    mixer : Mixer
        The mixer.
    n : int
        Tokens copied.
    certified : bool
        Search for bounds with certificates instead of evaluating the proved formulas: tighter, slower.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> print(law(glm.catalogue["quadratic_cache_efficient"], 64, certified=True))
    law: congestion 11 × cache 7 = 1.20 × n at n = 64; no pattern gets below 1 × n
    """
    n = check_length(n)
    value = congestion_bounds(mixer, n).value if certified else congestion(mixer).at(n)
    return Law(n, value, cache_size(mixer).at(n))


def ends(value: Value) -> tuple[Any, Any]:
    """Lower and upper end of a value or of bounds."""
    return (value.lower, value.upper) if isinstance(value, Bounds) else (value, value)
