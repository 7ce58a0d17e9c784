"""The catalogue: published causal linear token mixers, and hybrids of them, by name."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from glmix_theory.errors import GlmixError, UnknownNameError, nearest
from glmix_theory.mixers.entries import (
    attention,
    delta_rules,
    higher_order,
    linear_attention,
    resolvents,
    stacks,
    state_space,
)
from glmix_theory.mixers.entries.record import (
    Citation,
    Entry,
    PaperValues,
    Published,
    StackEntry,
    citation_html,
)
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.mixers.stack import Stack

__all__ = ["Catalogue", "Citation", "Entry", "PaperValues", "StackCatalogue", "StackEntry", "catalogue"]

Built = TypeVar("Built")
Kept = TypeVar("Kept", bound=Published)


class _Registry(Mapping[str, Built], Generic[Built, Kept]):
    """Named entries in display order; values are built with default parameters, once."""

    kind = "entry"
    columns: tuple[str, ...] = ("name", "citation")

    def __init__(self, entries: tuple[Kept, ...]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._built: dict[str, Built] = {}
        if len(self._entries) != len(entries):
            names = [entry.name for entry in entries]
            twice = next(name for name in names if names.count(name) > 1)
            raise GlmixError(f"two entries are named {twice!r}; names are unique")

    def names(self) -> list[str]:
        """All names, in display order."""
        return list(self._entries)

    def entry(self, name: str) -> Kept:
        """What is kept of ``name``: builder, title, citation and, for mixers, published costs.

        Raises :class:`~glmix_theory.errors.UnknownNameError`, naming the nearest name.
        """
        if not isinstance(name, str) or name not in self._entries:
            raise UnknownNameError(f"no {self.kind} is named {name!r} here; {nearest(str(name), self.names())}")
        return self._entries[name]

    def entries(self) -> tuple[Kept, ...]:
        """All entries, in display order."""
        return tuple(self._entries.values())

    def __getitem__(self, name: str) -> Built:
        entry = self.entry(name)
        if name not in self._built:
            self._built[name] = entry.build()
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        width = max(map(len, self._entries), default=0)
        lines = (f"  {name:{width}}  {entry.summary}" for name, entry in self._entries.items())
        return "\n".join([f"{type(self).__name__} of {len(self)}:", *lines])

    def _cells(self, entry: Kept) -> list[str]:
        """The table cells of one entry, as HTML."""
        name, summary = html.escape(entry.name), html.escape(entry.summary)
        return [f"<code>{name}</code><br>{summary}", citation_html(entry.citation)]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in self.columns)
        rows = "".join(
            f"<tr style='text-align:left'><td>{'</td><td>'.join(self._cells(entry))}</td></tr>"
            for entry in self._entries.values()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


class StackCatalogue(_Registry[Stack, StackEntry]):
    """Published hybrids by name: stacks of mixers, which are not mixers themselves.

    >>> from glmix_theory.mixers import catalogue
    >>> catalogue.stacks.names()
    ['griffin', 'jamba', 'kimi_linear']
    """

    kind = "stack"


class Catalogue(_Registry[Mixer, Entry]):
    """Published mixers by name; a read-only mapping whose values are built with default parameters.

    The nine rows of the source paper's Table 1 come first, in its order.

    Attributes
    ----------
    stacks : StackCatalogue
        Published hybrids.

    Examples
    --------
    >>> from glmix_theory.mixers import catalogue
    >>> catalogue["exponential_recurrence"]
    Mixer(direct=Diagonal(), recurrent=Offsets(2**k))
    >>> catalogue.names()[:3]
    ['attention', 'local_attention', 'diagonal_ssm']
    >>> catalogue.entry("attention").citation.arxiv
    '1706.03762'
    >>> catalogue["atention"]
    Traceback (most recent call last):
    glmix_theory.errors.UnknownNameError: no mixer is named 'atention' here; did you mean 'attention'?
    """

    kind = "mixer"
    columns = ("name", "mixer", "coefficients", "citation")

    def __init__(self, entries: tuple[Entry, ...], stacks: tuple[StackEntry, ...] = ()) -> None:
        first = sorted((e for e in entries if e.table1 is not None), key=lambda e: e.table1 or 0)
        super().__init__((*first, *(e for e in entries if e.table1 is None)))
        self.stacks = StackCatalogue(stacks)

    def entry(self, name: str) -> Entry:
        """What is kept of ``name``: builder, title, citation and published costs.

        Raises :class:`~glmix_theory.errors.UnknownNameError`, naming the nearest name.
        """
        if isinstance(name, str) and name in self.stacks:
            raise UnknownNameError(f"{name!r} is a stack of mixers, not a mixer; it is glm.catalogue.stacks[{name!r}]")
        return super().entry(name)

    def table1(self) -> tuple[Entry, ...]:
        """The source paper's Table 1, row by row."""
        return tuple(entry for entry in self._entries.values() if entry.table1 is not None)

    def _cells(self, entry: Entry) -> list[str]:
        summary, citation = super()._cells(entry)
        mixer = f"<code>{html.escape(repr(self[entry.name]))}</code>"
        return [summary, mixer, html.escape(entry.coefficient_kind), citation]


catalogue = Catalogue(
    (
        *attention.ENTRIES,
        *state_space.ENTRIES,
        *linear_attention.ENTRIES,
        *delta_rules.ENTRIES,
        *resolvents.ENTRIES,
        *higher_order.ENTRIES,
    ),
    stacks.STACKS,
)
"""Every published mixer the toolkit knows; hybrids are in ``catalogue.stacks``."""
