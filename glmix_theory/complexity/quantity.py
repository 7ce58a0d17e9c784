"""A quantity: exact at every n, with its closed form, its Θ class, and how far each is established."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sympy

from glmix_theory.errors import check_length

STATUSES = ("proved", "cited", "checked", "fitted")
"""From strongest to weakest: for all n by derivation; by a named theorem; every n ≤ N enumerated; a fit."""


class Bounds(NamedTuple):
    """A value known to lie in ``[lower, upper]`` only."""

    lower: Any
    upper: Any

    def __str__(self) -> str:
        return f"[{self.lower}, {self.upper}]"


Value = Any
"""An ``int``, ``sympy.oo`` (unreachable) or :class:`Bounds`."""


def weakest(*statuses: str) -> str:
    """The weakest of some statuses: a conclusion is no stronger than its premises.

    >>> weakest("proved", "checked", "cited")
    'checked'
    """
    return max(statuses, key=STATUSES.index)


@dataclass(frozen=True)
class Quantity:
    """One measured property of a mixer, as a function of the length ``n``.

    Parameters
    ----------
    name : str
        Attribute name in reports, such as ``step_cost``.
    evaluate : callable int -> int, oo or Bounds
        The exact value at a length; :class:`Bounds` where only bounds are known.
    expr : sympy expression in ``glm.n``, optional
        Closed form, exact for every ``n ≥ 1``.
    theta : sympy expression, optional
        The Θ class, without constant factors.
    status : str
        ``proved``, ``cited``, ``checked`` or ``fitted``: of ``expr`` and ``theta`` for all ``n`` where
        they are given, else of the counted values in the stated range.
    evidence : tuple of str
        The derivation: steps, sources, ranges.
    unit : str
        What one unit counts.
    again : callable, optional
        Where parameters are symbols: makes the quantity again with numbers in their place.
    leading : sympy expression, optional
        The limit of the quantity divided by ``theta``, where it exists and is proved.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> cost = glm.analyze(glm.Mixer(recurrent=glm.Offsets(2**glm.k))).step_cost
    >>> cost.at(2**60 + 1), cost.theta, cost.status
    (62, log(n), 'proved')
    """

    name: str
    evaluate: Callable[[int], Value] = field(repr=False, compare=False)
    expr: sympy.Expr | None = None
    theta: sympy.Expr | None = None
    status: str = "checked"
    evidence: tuple[str, ...] = ()
    unit: str = ""
    leading: sympy.Expr | None = None
    again: Callable[..., Quantity] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {STATUSES}")

    def at(self, n: int) -> Value:
        """The value at length ``n ≥ 1``: an exact int, ``sympy.oo``, or :class:`Bounds`.

        Raises :class:`~glmix_theory.errors.LengthError` for anything but an int ≥ 1.
        """
        return self.evaluate(check_length(n))

    def subs(self, *values: Any) -> Quantity:
        """The quantity with numbers in place of symbolic parameters; itself where it has none.

        >>> import sympy, glmix_theory as glm
        >>> w = sympy.Symbol("w", integer=True, positive=True)
        >>> cost = glm.complexity.step_cost(glm.Mixer(glm.Window(w)))
        >>> cost.expr, cost.subs(w, 4).expr, cost.subs(w, 4).at(3)
        (Min(n, w), Min(4, n), 3)
        """
        return self if self.again is None else self.again(*values)

    @property
    def latex(self) -> str:
        """The closed form in LaTeX, or the Θ class, or an empty text."""
        if self.expr is not None:
            return sympy.latex(self.expr)
        return "" if self.theta is None else rf"\Theta\left({sympy.latex(self.theta)}\right)"

    def __str__(self) -> str:
        parts = [f"Θ({self.theta})" if self.theta not in (None, sympy.oo) else ""]
        parts.append(f"= {self.expr}" if self.expr is not None else "")
        return f"{self.name}: {' '.join(filter(None, parts)) or 'counted'} ({self.status})"

    def to_dict(self, lengths: tuple[int, ...] = ()) -> dict[str, Any]:
        """Plain data for JSON; ``values`` holds the exact values at ``lengths``."""
        return {
            "name": self.name,
            "unit": self.unit,
            "expr": None if self.expr is None else str(self.expr),
            "theta": None if self.theta is None else str(self.theta),
            "leading": None if self.leading is None else str(self.leading),
            "status": self.status,
            "evidence": list(self.evidence),
            "values": {str(length): plain(self.at(length)) for length in lengths},
        }

    def _repr_html_(self) -> str:
        steps = "".join(f"<li>{html.escape(step)}</li>" for step in self.evidence)
        formula = f"${sympy.latex(self.expr)}$" if self.expr is not None else "no closed form"
        theta = f", Θ(${sympy.latex(self.theta)}$)" if self.theta is not None else ""
        return f"<p><strong>{self.name}</strong>: {formula}{theta} – {self.status}</p><ol>{steps}</ol>"


def counted_range(values: Sequence[Value]) -> str:
    """Evidence line for values enumerated at every ``n = 1 … len(values)``.

    >>> counted_range([0, 1, 2])
    'counted at every n ≤ 3: 0 at n = 1, 1 at n = 2, 2 at n = 3'
    """
    last = len(values)
    shown = [length for length in (1, 2, 3, 16, 64, last) if length <= last]
    examples = ", ".join(f"{values[length - 1]} at n = {length}" for length in dict.fromkeys(shown))
    return f"counted at every n ≤ {last}: {examples}"


def plain(value: Value) -> Any:
    """A value as JSON data: an int, the text ``oo``, or ``{lower, upper}``.

    >>> plain(sympy.oo), plain(Bounds(1, 2))
    ('oo', {'lower': 1, 'upper': 2})
    """
    if isinstance(value, Bounds):
        return {"lower": plain(value.lower), "upper": plain(value.upper)}
    if isinstance(value, sympy.Expr) and value.free_symbols:
        return str(value)
    if value in (sympy.oo, math.inf):
        return "oo"
    return int(value)
