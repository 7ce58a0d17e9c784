"""Every catalogue entry: its derived costs beside the published ones, and hybrids with costs added over layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sympy

from glmix_theory.analysis import QUANTITIES, growth_ratio, theta_text
from glmix_theory.complexity import Bounds, Quantity
from glmix_theory.complexity.quantity import weakest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.mixers.stack import Stack
from glmix_theory.progress import track
from glmix_theory.rendering import Table, formula_text

COLUMNS = ("step_cost", "total_cost", "cache_size")
"""Quantities shown: derived symbolically, and in the unit the publications state costs in."""

REASONS: dict[tuple[str, str], str] = {}
"""Why a derived Θ class differs from the published one, by entry and quantity: one for each that does, no others.

No entry differs today. Publications that state a cost for a parameter growing with ``n`` (a stride ``√n``, a
block ``n^(1/3)``) are kept at a fixed parameter, as ``Entry.published`` says.
"""


@dataclass(frozen=True)
class Row:
    """One catalogue entry or stack: derived quantities beside the published Θ classes.

    Claim: a Θ class ``agrees`` when the limit of derived over published is a positive number.

    Parameters
    ----------
    name, title : str
        Catalogue name and name in prose.
    quantities : dict from quantity name to Quantity
        What was derived.
    published : mapping from quantity name to sympy expression
        What the publication states; empty for stacks.
    layers : int
        1 for a mixer; the number of layers of a stack, whose costs are added.
    """

    name: str
    title: str
    quantities: dict[str, Quantity]
    published: Mapping[str, sympy.Expr]
    layers: int = 1

    def verdict(self, quantity: str) -> str:
        """``agrees``, ``differs``, ``not published`` or ``undecided``.

        >>> [catalogue_row("log_sparse").verdict(name) for name in COLUMNS]
        ['agrees', 'agrees', 'not published']
        """
        if quantity not in self.published:
            return "not published"
        return verdict(self.quantities[quantity].theta, self.published[quantity])

    def flag(self, quantity: str) -> str:
        """The verdict, with the reason where the classes differ."""
        text = self.verdict(quantity)
        if text != "differs":
            return text
        return f"differs: {REASONS.get((self.name, quantity), 'reason not known')}"

    def cell(self, quantity: str) -> str:
        """Derived Θ with its status, then the published one and whether they agree."""
        derived = self.quantities[quantity]
        text = f"{theta_text(derived)}, {derived.status}"
        if quantity not in self.published:
            return text
        return f"{text} [published: {published_text(self.published[quantity])}; {self.flag(quantity)}]"

    def to_dict(self, lengths: tuple[int, ...] = (64, 1024)) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "title": self.title,
            "kind": "mixer" if self.layers == 1 else "stack",
            "layers": self.layers,
            "quantities": {
                name: quantity.to_dict(lengths)
                | {
                    "published": str(self.published[name]) if name in self.published else None,
                    "verdict": self.flag(name),
                }
                for name, quantity in self.quantities.items()
            },
        }


def verdict(derived: sympy.Expr | None, published: sympy.Expr) -> str:
    """Whether two Θ classes are one: the limit of their ratio is a positive number.

    >>> from glmix_theory import n
    >>> verdict(sympy.log(n), 3 * sympy.log(n, 2) + 1), verdict(n, n * sympy.log(n)), verdict(None, n)
    ('agrees', 'differs', 'undecided')
    """
    if derived is None:
        return "undecided"
    ratio = growth_ratio(derived, published)
    if ratio is None:
        return "undecided"
    return "agrees" if ratio.is_positive and ratio.is_finite else "differs"


def catalogue_row(name: str) -> Row:
    """The row of one catalogue entry.

    Raises :class:`~glmix_theory.errors.UnknownNameError` for a name that is not in the catalogue.
    """
    entry, mixer = catalogue.entry(name), catalogue[name]
    return Row(name, entry.title, {q: QUANTITIES[q](mixer) for q in COLUMNS}, entry.published)


def stack_row(name: str) -> Row:
    """The row of one stack of the catalogue: costs added over its layers.

    >>> row = stack_row("jamba")
    >>> row.layers, row.quantities["cache_size"].theta, row.verdict("cache_size")
    (8, n, 'not published')
    """
    entry, stack = catalogue.stacks.entry(name), catalogue.stacks[name]
    return Row(name, entry.title, {q: stack_quantity(stack, q) for q in COLUMNS}, {}, len(stack))


def catalogue_rows() -> list[Row]:
    """Every catalogue entry, then every stack."""
    names = [(catalogue_row, name) for name in catalogue] + [(stack_row, name) for name in catalogue.stacks]
    return [row(name) for row, name in track(names, "deriving")]


def catalogue_table(rows: list[Row] | None = None) -> Table:
    """The rows as a table; the caption counts the published classes and names every disagreement.

    Parameters
    ----------
    rows : list of Row, optional
        What to show; by default every catalogue entry and every stack.
    """
    shown = catalogue_rows() if rows is None else rows
    body = [
        [row.title if row.layers == 1 else f"{row.title} ({row.layers} layers)", *(row.cell(q) for q in COLUMNS)]
        for row in shown
    ]
    return Table(["mixer", *(column.replace("_", " ") for column in COLUMNS)], body, caption=_summary(shown))


def stack_quantity(stack: Stack, name: str) -> Quantity:
    """A quantity that adds up over the layers of a stack: step cost, total cost or cache size.

    Claim: layers run one after the other and each keeps its own cache, so values are sums; the Θ class of a sum of
    non-negative terms is the largest of theirs.

    >>> from glmix_theory.mixers import catalogue
    >>> quantity = stack_quantity(catalogue.stacks["griffin"], "step_cost")
    >>> quantity.theta, quantity.status, quantity.at(10**6)
    (1, 'proved', 20)
    """
    counts: Counter[Mixer] = Counter(stack)
    parts = [(count, QUANTITIES[name](mixer), mixer) for mixer, count in counts.items()]
    exprs = [count * quantity.expr for count, quantity, _ in parts if quantity.expr is not None]
    return Quantity(
        name,
        lambda length: _sum([(count, quantity.at(length)) for count, quantity, _ in parts]),
        expr=sympy.Add(*exprs) if len(exprs) == len(parts) else None,
        theta=_largest([quantity.theta for _, quantity, _ in parts]),
        status=weakest(*(quantity.status for _, quantity, _ in parts)),
        evidence=(
            *(f"{count} × {mixer.name or mixer!r}: {quantity}" for count, quantity, mixer in parts),
            "costs and caches of layers add; the Θ class of a sum of non-negative terms is the largest",
        ),
        unit=parts[0][1].unit,
    )


def published_text(theta: sympy.Expr) -> str:
    """A published class as text.

    >>> published_text(sympy.Integer(1)), published_text(sympy.oo)
    ('Θ(1)', '∞')
    """
    return "∞" if theta == sympy.oo else f"Θ({formula_text(theta)})"


def _summary(rows: list[Row]) -> str:
    flags = [(row, q, row.verdict(q)) for row in rows for q in COLUMNS if q in row.published]
    agree = sum(text == "agrees" for _, _, text in flags)
    others = [f"{row.title}, {q.replace('_', ' ')}: {row.flag(q)}" for row, q, text in flags if text != "agrees"]
    counted = f"{agree} of {len(flags)} published Θ classes agree with the derived ones"
    return f"{counted}; {'; '.join(others)}" if others else counted


def _largest(thetas: list[sympy.Expr | None]) -> sympy.Expr | None:
    def larger(first: sympy.Expr | None, second: sympy.Expr | None) -> sympy.Expr | None:
        ratio = None if first is None or second is None else growth_ratio(first, second)
        if ratio is None:
            return None
        return second if ratio == 0 else first

    return reduce(larger, thetas)


def _sum(values: list[tuple[int, Any]]) -> Any:
    if not any(isinstance(value, Bounds) for _, value in values):
        return sum(count * value for count, value in values)
    lower = sum(count * (v.lower if isinstance(v, Bounds) else v) for count, v in values)
    return Bounds(lower, sum(count * (v.upper if isinstance(v, Bounds) else v) for count, v in values))
