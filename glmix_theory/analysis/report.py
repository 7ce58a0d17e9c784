"""The report of one mixer: every quantity with its exact value, closed form, Θ class and status."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sympy

from glmix_theory.analysis.law import Law
from glmix_theory.complexity import Quantity, cache_size, horizon_cache_size, step_cost, total_cost, units
from glmix_theory.errors import PatternError, UnknownNameError, check_length, nearest
from glmix_theory.expressivity import congestion, depth, distance, state_rank
from glmix_theory.mixers import Mixer
from glmix_theory.rendering import Table, formula_text

QUANTITIES = {
    "step_cost": step_cost,
    "total_cost": total_cost,
    "cache_size": cache_size,
    "horizon_cache_size": horizon_cache_size,
    "distance": distance,
    "congestion": congestion,
    "state_rank": state_rank,
    "depth": depth,
}
"""Every quantity a report holds, by attribute name."""

SYMBOLIC = ("step_cost", "total_cost", "cache_size")
"""Quantities of a mixer whose parameters are symbols; the others need positions."""

TITLES = {name: name.replace("_", " ") for name in QUANTITIES} | {"horizon_cache_size": "cache, horizon n"}


@dataclass(frozen=True)
class Report:
    """What a mixer costs and how far it carries; prints as a table, renders in Jupyter.

    Attributes ``step_cost``, ``total_cost``, ``cache_size``, ``horizon_cache_size``, ``distance``,
    ``congestion``, ``state_rank`` and ``depth`` are :class:`~glmix_theory.Quantity` objects. Made by :func:`analyze`.
    """

    mixer: Mixer
    quantities: dict[str, Quantity] = field(repr=False)
    lengths: tuple[int, ...] = (64, 1024)

    def __getattr__(self, name: str) -> Quantity:
        quantities = self.__dict__.get("quantities", {})
        if name in quantities:
            return quantities[name]
        raise AttributeError(f"a report has no {name!r}; {nearest(name, list(QUANTITIES))}")

    def __getitem__(self, name: str) -> Quantity:
        if name not in self.quantities:
            raise UnknownNameError(f"a report has no quantity {name!r}; {nearest(name, list(QUANTITIES))}")
        return self.quantities[name]

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self.quantities.values())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.quantities]

    def table(self) -> Table:
        """The report as a table."""
        columns = [
            "quantity",
            "Θ",
            "exact, every n ≥ 1",
            *(f"n = {length}" for length in self.lengths),
            "status",
        ]
        rows = [
            [
                TITLES[quantity.name],
                theta_text(quantity),
                "–" if quantity.expr is None else formula_text(quantity.expr),
                *(str(quantity.at(length)) for length in self.lengths),
                quantity.status,
            ]
            for quantity in self
        ]
        return Table(
            columns,
            rows,
            title=self.mixer.name or repr(self.mixer),
            caption="" if self.mixer.free_symbols else str(self.law()),
        )

    def law(self) -> Law:
        """How close the mixer comes to ``congestion × cache = n``, at the largest length shown (see ``Law``)."""
        length = max(self.lengths, default=64)
        return Law(length, self["congestion"].at(length), self["cache_size"].at(length))

    def flops(self, phase: str = "decode", **options: Any) -> Any:
        """Necessary flops in ``n``, ``d`` and ``h``; see :func:`glmix_theory.complexity.units.flops`.

        >>> import glmix_theory as glm
        >>> glm.analyze(glm.Mixer(direct=glm.Dense())).flops("decode", d=64)
        256*h*n
        """
        return units.flops(self.mixer, phase, **options)

    def cache_bytes(self, **options: Any) -> Any:
        """Bytes of one sequence's cache; see :func:`glmix_theory.complexity.units.cache_bytes`."""
        return units.cache_bytes(self.mixer, **options)

    def decode_bytes(self, **options: Any) -> Any:
        """Bytes the costliest decode step moves; see :func:`glmix_theory.complexity.units.decode_bytes`."""
        return units.decode_bytes(self.mixer, **options)

    def arithmetic_intensity(self, **options: Any) -> sympy.Expr:
        """Flops per byte of a decode step; see :func:`glmix_theory.complexity.units.arithmetic_intensity`."""
        return units.arithmetic_intensity(self.mixer, **options)

    def roofline(self, machine: units.Machine, **options: Any) -> str:
        """``"memory"`` or ``"compute"``, at a length; see :func:`glmix_theory.complexity.units.roofline`."""
        return units.roofline(self.mixer, machine, **options)

    def explain(self, name: str | None = None) -> str:
        """The evidence of one quantity, or of all: the derivation, step by step."""
        chosen = [self[name]] if name else list(self)
        blocks = [
            "\n".join([f"{quantity}", *(f"  {i}. {step}" for i, step in enumerate(quantity.evidence, 1))])
            for quantity in chosen
        ]
        return "\n\n".join(blocks)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the mixer's text and every quantity with values at ``lengths``."""
        return {
            "mixer": repr(self.mixer),
            "name": self.mixer.name,
            "quantities": {quantity.name: quantity.to_dict(self.lengths) for quantity in self},
        }

    def subs(self, *values: Any) -> Report:
        """The report of the mixer with numbers in place of symbols: ``r.subs(w, 4)`` or ``r.subs({w: 4})``."""
        return analyze(self.mixer.subs(*values), self.lengths)

    def to_json(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The table in Markdown."""
        return self.table().to_markdown()

    def __str__(self) -> str:
        return f"{self.mixer!r}\n{self.table().to_text()}"

    def _repr_html_(self) -> str:
        steps = "".join(quantity._repr_html_() for quantity in self)
        return (
            f"<div><code>{html.escape(repr(self.mixer))}</code>{self.table().to_html()}"
            f"<details><summary>derivations</summary>{steps}</details></div>"
        )


def analyze(mixer: Mixer, lengths: tuple[int, ...] = (64, 1024)) -> Report:
    """Derive what a mixer costs and how far it carries, each claim with its status.

    Parameters
    ----------
    mixer : Mixer
        The mixer; a bare pattern is refused with the mixer it most likely meant.
    lengths : tuple of int
        Lengths whose exact values the printed table shows.

    Returns
    -------
    Report
        ``r.step_cost``, ``r.total_cost``, ``r.cache_size``, ``r.horizon_cache_size``, ``r.distance``,
        ``r.congestion``, ``r.state_rank``, ``r.depth``.

    Raises
    ------
    PatternError
        Not a mixer.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> r = glm.analyze(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)))
    >>> r.cache_size.theta, r.cache_size.at(10**12), r.cache_size.status
    (log(n), 40, 'proved')
    """
    if not isinstance(mixer, Mixer):
        raise PatternError(
            f"analyze needs a Mixer, got {type(mixer).__name__}; for a recurrence write "
            f"glm.analyze(glm.Mixer(recurrent={mixer!r}))"
        )
    checked = tuple(check_length(length) for length in lengths)
    chosen = SYMBOLIC if mixer.free_symbols else tuple(QUANTITIES)
    return Report(mixer, {name: QUANTITIES[name](mixer) for name in chosen}, checked)


def theta_text(quantity: Quantity) -> str:
    """``Θ(…)``, ``∞`` or ``–`` where no class is certified."""
    if quantity.theta is None:
        return "–"
    if quantity.theta == sympy.oo:
        return "∞"
    return "0" if quantity.theta == 0 else f"Θ({formula_text(quantity.theta)})"
