"""Mixers side by side: what each costs, and the exact lengths at which one becomes cheaper than another."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import sympy

from glmix_theory.analysis.report import QUANTITIES, TITLES, theta_text
from glmix_theory.complexity import Bounds, Quantity
from glmix_theory.errors import PatternError, SymbolicError, UnknownNameError, check_length, nearest
from glmix_theory.mixers import Mixer
from glmix_theory.notation import n
from glmix_theory.progress import track
from glmix_theory.rendering import Table

REGIMES = ("first", "second", "equal", "undecided")
"""Which of two mixers is cheaper at a length; ``undecided`` where only overlapping bounds are known."""

SHOWN_CHANGES = 6
"""Changes of regime written out in a printed table; all are in ``Crossover.changes``."""


@dataclass(frozen=True)
class Change:
    """A length at which another regime begins: at ``n - 1`` another one held.

    Parameters
    ----------
    n : int
        First length of the regime.
    regime : str
        One of ``REGIMES``.
    exact : bool
        True where every length up to ``n`` was enumerated, so no change before it is missed; False where the
        change was bisected between two grid points whose regimes differ: the change is real, others may be missed.
    """

    n: int
    regime: str
    exact: bool = True


@dataclass(frozen=True)
class Crossover:
    """Where one of two mixers becomes cheaper than the other, for one quantity.

    Parameters
    ----------
    quantity : str
        Name of the quantity.
    first, second : str
        Names of the two mixers.
    changes : tuple of Change
        First length of every regime, the one at ``n = 1`` included.
    enumerated : int
        Both quantities were evaluated at every ``n`` up to here: no change is missed.
    looked_up_to : int
        Beyond ``enumerated``, changes were looked for between powers of two up to here, by bisection.
    eventually : str, optional
        The regime for all large ``n``, where the Θ classes or their leading constants decide it.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> pair = {"window": glm.Mixer(glm.Window(8)), "powers": glm.Mixer(recurrent=glm.Offsets(2**glm.k))}
    >>> crossover = glm.compare(pair, ["step_cost"], longest=512).crossovers[0]
    >>> crossover.lengths, crossover.eventually
    ([1, 4, 65, 129], 'first')
    >>> print(crossover)
    n = 1: equal; n = 4: powers; n = 65: equal; n = 129: window
    """

    quantity: str
    first: str
    second: str
    changes: tuple[Change, ...]
    enumerated: int
    looked_up_to: int
    eventually: str | None = None

    @property
    def lengths(self) -> list[int]:
        """First length of every regime."""
        return [change.n for change in self.changes]

    def named(self, regime: str) -> str:
        """The regime as the cheaper mixer's name, or ``equal`` or ``undecided``."""
        return {"first": self.first, "second": self.second}.get(regime, regime)

    @property
    def range_text(self) -> str:
        """What the changes are complete for, in words."""
        exact = f"exact: every n ≤ {self.enumerated} enumerated"
        if self.looked_up_to == self.enumerated:
            return exact
        return f"{exact}; to {self.looked_up_to} on a grid of powers of two (~)"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``cheaper`` is a mixer's name, ``equal`` or ``undecided``."""
        return {
            "quantity": self.quantity,
            "first": self.first,
            "second": self.second,
            "enumerated": self.enumerated,
            "looked_up_to": self.looked_up_to,
            "eventually": None if self.eventually is None else self.named(self.eventually),
            "changes": [
                {
                    "n": change.n,
                    "cheaper": self.named(change.regime),
                    "found": "exact" if change.exact else "between grid points",
                }
                for change in self.changes
            ],
        }

    def __str__(self) -> str:
        texts = [
            f"n {'=' if change.exact else '~='} {change.n}: {self.named(change.regime)}"
            for change in self.changes[:SHOWN_CHANGES]
        ]
        hidden = len(self.changes) - len(texts)
        if hidden:
            last = self.changes[-1]
            texts.append(f"… {hidden} more, the last at n = {last.n}: {self.named(last.regime)}")
        return "; ".join(texts)


@dataclass(frozen=True)
class Comparison:
    """Mixers side by side, made by :func:`compare`; prints as two tables, renders in Jupyter.

    ``c["attention"]["step_cost"]`` is a :class:`~glmix_theory.Quantity`; ``c.crossovers`` holds a
    :class:`Crossover` for each pair and quantity.
    """

    mixers: dict[str, Mixer]
    quantities: dict[str, dict[str, Quantity]] = field(repr=False)
    crossovers: tuple[Crossover, ...] = field(repr=False)
    lengths: tuple[int, ...] = (64, 1024)

    def __getitem__(self, name: str) -> dict[str, Quantity]:
        if name not in self.quantities:
            raise UnknownNameError(f"no mixer is named {name!r} here; {nearest(name, list(self.quantities))}")
        return self.quantities[name]

    def crossover(self, quantity: str, first: str, second: str) -> Crossover:
        """The crossover of one pair, as it was compared (in the order the mixers were given).

        Raises :class:`~glmix_theory.errors.UnknownNameError` for a pair or a quantity that was not compared.
        """
        for crossover in self.crossovers:
            if (crossover.quantity, crossover.first, crossover.second) == (quantity, first, second):
                return crossover
        known = ", ".join(f"{c.quantity} of {c.first!r} and {c.second!r}" for c in self.crossovers)
        raise UnknownNameError(f"{quantity} of {first!r} and {second!r} was not compared; there are: {known}")

    def table(self) -> Table:
        """Θ and values, one column for each mixer."""
        rows = []
        for name in next(iter(self.quantities.values())):
            of_mixers = [quantities[name] for quantities in self.quantities.values()]
            title = TITLES[name]
            rows.append([title, "Θ", *map(theta_text, of_mixers)])
            rows += [[title, f"n = {at}", *(str(q.at(at)) for q in of_mixers)] for at in self.lengths]
            rows.append([title, "status", *(quantity.status for quantity in of_mixers)])
        return Table(["quantity", "", *self.quantities], rows)

    def crossover_table(self) -> Table:
        """Who is cheaper from which length on, a row for each pair and quantity."""
        rows = [
            [
                TITLES[c.quantity],
                f"{c.first} / {c.second}",
                str(c),
                "–" if c.eventually is None else c.named(c.eventually),
                c.range_text,
            ]
            for c in self.crossovers
        ]
        return Table(["quantity", "pair", "cheaper from", "for all large n", "changes found"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "mixers": {name: repr(mixer) for name, mixer in self.mixers.items()},
            "quantities": {
                name: {quantity.name: quantity.to_dict(self.lengths) for quantity in quantities.values()}
                for name, quantities in self.quantities.items()
            },
            "crossovers": [crossover.to_dict() for crossover in self.crossovers],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """Both tables in Markdown."""
        return f"{self.table().to_markdown()}\n\n{self.crossover_table().to_markdown()}"

    def __str__(self) -> str:
        return f"{self.table().to_text()}\n{self.crossover_table().to_text()}"

    def _repr_html_(self) -> str:
        mixers = "".join(
            f"<li>{html.escape(name)}: <code>{html.escape(repr(mixer))}</code></li>"
            for name, mixer in self.mixers.items()
        )
        return f"<div><ul>{mixers}</ul>{self.table().to_html()}{self.crossover_table().to_html()}</div>"


def compare(
    mixers: Mapping[str, Mixer] | Sequence[Mixer],
    quantities: Sequence[str] = ("step_cost", "total_cost", "cache_size"),
    longest: int = 2**20,
    enumerated: int = 4096,
    lengths: tuple[int, ...] = (64, 1024),
) -> Comparison:
    """Put mixers side by side and find the lengths at which one becomes cheaper than another.

    Parameters
    ----------
    mixers : mapping from name to Mixer, or sequence of Mixer
        At least two; in a sequence a mixer goes by its own name, else by its text.
    quantities : sequence of str
        What to compare, of the quantities a report holds.
    longest : int
        How far to look for changes. Beyond ``enumerated`` only between powers of two whose regimes differ,
        and only for quantities known for all ``n`` (status ``proved`` or ``cited``).
    enumerated : int
        Every ``n`` up to here is evaluated, so that no change is missed; nothing is assumed monotone.
    lengths : tuple of int
        Lengths whose values the printed table shows.

    Returns
    -------
    Comparison
        ``c.crossovers``, ``c["name"]["step_cost"]``, ``c.table()``, ``c.to_dict()``.

    Raises
    ------
    PatternError
        Fewer than two mixers, or something that is not a mixer.
    SymbolicError
        A mixer has symbols as parameters.
    UnknownNameError
        No such quantity.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> c = glm.compare({"attention": glm.catalogue["attention"], "S4D": glm.catalogue["s4d"]})
    >>> print(c.crossover("cache_size", "attention", "S4D"))
    n = 1: attention; n = 16: equal; n = 17: S4D
    """
    named = _named(mixers)
    for name in quantities:
        if name not in QUANTITIES:
            raise UnknownNameError(f"no quantity is named {name!r}; {nearest(str(name), list(QUANTITIES))}")
    longest = check_length(longest, "longest")
    enumerated = min(check_length(enumerated, "enumerated"), longest)
    shown = tuple(check_length(length) for length in lengths)
    derived = {name: {q: QUANTITIES[q](mixer) for q in quantities} for name, mixer in named.items()}
    found = [(quantity, first, second) for quantity in quantities for first, second in combinations(named, 2)]
    values = {
        (name, q): [derived[name][q].at(length) for length in range(1, enumerated + 1)]
        for name, q in track([(name, q) for name in named for q in quantities], "counting")
    }
    crossovers = tuple(
        _crossover(
            q, first, second, derived[first][q], derived[second][q], values[first, q], values[second, q], longest
        )
        for q, first, second in found
    )
    return Comparison(named, derived, crossovers, shown)


def regime_of(first: Any, second: Any) -> str:
    """Which of two values is smaller: one of ``REGIMES``.

    >>> regime_of(3, 4), regime_of(sympy.oo, 4), regime_of(4, 4), regime_of(Bounds(1, 5), 4)
    ('first', 'second', 'equal', 'undecided')
    """
    low, high = (first.lower, first.upper) if isinstance(first, Bounds) else (first, first)
    other_low, other_high = (second.lower, second.upper) if isinstance(second, Bounds) else (second, second)
    if high < other_low:
        return "first"
    if other_high < low:
        return "second"
    return "equal" if low == high == other_low == other_high else "undecided"


def changes_enumerated(regimes: Iterable[str]) -> list[Change]:
    """Every change of regime, of the regimes at ``n = 1, 2, …``.

    >>> [change.n for change in changes_enumerated(["first", "first", "equal", "first"])]
    [1, 3, 4]
    """
    changes: list[Change] = []
    for length, regime in enumerate(regimes, 1):
        if not changes or changes[-1].regime != regime:
            changes.append(Change(length, regime))
    return changes


def changes_on_grid(regime: Callable[[int], str], start: int, longest: int) -> list[Change]:
    """Changes of regime after ``start``, bisected between neighbouring powers of two whose regimes differ.

    Each one is a change: the regime at ``n - 1`` is another. Changes that come in pairs between two grid points
    can be missed.

    >>> changes_on_grid(lambda n: "first" if n < 100 else "second", 16, 1024)
    [Change(n=100, regime='second', exact=False)]
    """
    grid = [2**e for e in range(start.bit_length(), longest.bit_length() + 1) if start < 2**e < longest]
    changes: list[Change] = []
    low, now = start, regime(start)
    for end in [*grid, longest] if longest > start else []:
        goal = regime(end)
        while now != goal:
            high = end
            while high - low > 1:
                middle = (low + high) // 2
                if regime(middle) == now:
                    low = middle
                else:
                    high = middle
            low, now = high, regime(high)
            changes.append(Change(low, now, exact=False))
        low = end
    return changes


def growth_ratio(first: sympy.Expr, second: sympy.Expr) -> sympy.Expr | None:
    """The limit of ``first / second`` as ``n → ∞``, or ``None`` where it is not found.

    >>> growth_ratio(sympy.log(n), n), growth_ratio(3 * n, n), growth_ratio(sympy.oo, n)
    (0, 3, oo)
    """
    if sympy.oo in (first, second):
        return sympy.Integer(1) if first == second else (sympy.oo if first == sympy.oo else sympy.Integer(0))
    if second == 0:
        return sympy.Integer(1) if first == 0 else sympy.oo
    large = sympy.Symbol("n", positive=True)
    try:
        ratio = sympy.limit((first / second).subs(n, large), large, sympy.oo)
    except (NotImplementedError, ValueError):
        return None
    return ratio if ratio.is_number and ratio.is_extended_nonnegative else None


def _eventually(first: Quantity, second: Quantity) -> str | None:
    """The regime for all large n, where Θ classes, or equal ones with leading constants, decide it."""
    if first.theta is None or second.theta is None or {first.status, second.status} - {"proved", "cited"}:
        return None
    ratio = growth_ratio(first.theta, second.theta)
    if ratio in (0, sympy.oo):
        return "first" if ratio == 0 else "second"
    if ratio is None or first.leading is None or second.leading is None or sympy.oo in (first.theta, second.theta):
        return None
    difference = sympy.simplify(ratio * first.leading - second.leading)
    if difference.is_positive or difference.is_negative:
        return "second" if difference.is_positive else "first"
    return None


def _crossover(
    name: str,
    first_name: str,
    second_name: str,
    first: Quantity,
    second: Quantity,
    first_values: list[Any],
    second_values: list[Any],
    longest: int,
) -> Crossover:
    enumerated = len(first_values)
    changes = changes_enumerated(map(regime_of, first_values, second_values))
    looked = longest if {first.status, second.status} <= {"proved", "cited"} else enumerated
    changes += changes_on_grid(lambda at: regime_of(first.at(at), second.at(at)), enumerated, looked)
    return Crossover(name, first_name, second_name, tuple(changes), enumerated, looked, _eventually(first, second))


def _named(mixers: Mapping[str, Mixer] | Sequence[Mixer]) -> dict[str, Mixer]:
    """Mixers by name; two of one name in a sequence become ``name`` and ``name (2)``."""
    if isinstance(mixers, Mapping):
        named = dict(mixers)
    elif isinstance(mixers, Sequence) and not isinstance(mixers, str):
        named = {}
        for mixer in mixers:
            base = getattr(mixer, "name", "") or repr(mixer)
            free = (base if i == 1 else f"{base} ({i})" for i in range(1, len(mixers) + 1))
            named[next(name for name in free if name not in named)] = mixer
    else:
        raise PatternError(f"compare needs a mapping or a sequence of mixers, got {type(mixers).__name__}")
    if len(named) < 2:
        raise PatternError(f"compare needs at least two mixers, got {len(named)}")
    for name, mixer in named.items():
        if not isinstance(mixer, Mixer):
            raise PatternError(f"{name!r} is a {type(mixer).__name__}; compare needs glm.Mixer objects")
        if mixer.free_symbols:
            raise SymbolicError(f"{name!r} has symbols as parameters; substitute numbers first: mixer.subs(…)")
    return named
