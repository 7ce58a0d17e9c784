"""Table 1 of the source paper, its theory columns derived again."""

from __future__ import annotations

import sympy

from glmix_theory.analysis import Report, analyze, theta_text
from glmix_theory.complexity import Quantity
from glmix_theory.mixers import catalogue
from glmix_theory.progress import track
from glmix_theory.rendering import Table, formula_text

COLUMNS = ("step_cost", "cache_size", "distance", "congestion")
"""Quantities shown, by report attribute."""


def table1_reports(names: list[str] | None = None) -> dict[str, Report]:
    """Reports of the nine rows of Table 1, or of the catalogue entries named, by name.

    Raises :class:`~glmix_theory.errors.UnknownNameError` for a name that is not in the catalogue.
    """
    chosen = [entry.name for entry in catalogue.table1()] if names is None else names
    entries = [catalogue.entry(name) for name in chosen]
    return {entry.name: analyze(entry.build()) for entry in track(entries, "deriving")}


def table1(reports: dict[str, Report] | None = None) -> Table:
    """The reports as one table; each cell ends with its status, then the paper's own value where it is in Table 1.

    ``blank in the paper`` marks the cells it leaves empty. Congestion is that of copying ``n`` tokens.

    Parameters
    ----------
    reports : dict from catalogue name to Report, optional
        What to show; by default the nine rows of the source paper's Table 1.
    """
    shown = table1_reports() if reports is None else reports
    rows = [
        [
            catalogue.entry(name).title,
            *(cell(report[column], report.lengths) + paper(name, column) for column in COLUMNS),
        ]
        for name, report in shown.items()
    ]
    return Table(["mixer", *(column.replace("_", " ") for column in COLUMNS)], rows)


def cell(quantity: Quantity, lengths: tuple[int, ...]) -> str:
    """Θ and closed form where known, else exact values at ``lengths``; then the status.

    >>> import glmix_theory as glm
    >>> cell(glm.analyze(glm.catalogue["attention"]).step_cost, (64,))
    'Θ(n): n, proved'
    """
    if quantity.theta == sympy.oo:
        return f"{formula_text(quantity.expr)}, {quantity.status}" if quantity.expr is not None else "∞, checked"
    if quantity.expr is not None:
        return f"{theta_text(quantity)}: {formula_text(quantity.expr)}, {quantity.status}"
    values = ", ".join(f"{quantity.at(length)} at n={length}" for length in lengths)
    known = f"{theta_text(quantity)}: " if quantity.theta is not None else ""
    return f"{known}{values}, {quantity.status}"


def paper(name: str, column: str) -> str:
    """What the source paper prints in this cell of Table 1, in brackets; empty for other mixers.

    >>> paper("attention", "distance"), paper("exponential_cache_efficient", "distance")
    (' [paper: 1]', ' [blank in the paper]')
    """
    values = catalogue.entry(name).paper_values
    if values is None:
        return ""
    printed = getattr(values, column)
    return " [blank in the paper]" if printed is None else f" [paper: {printed}]"
