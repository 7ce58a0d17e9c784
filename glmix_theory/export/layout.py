"""How a pattern is laid out for blocked execution: one compressed panel of columns per block of rows."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from glmix_theory.patterns import Pattern

BLOCK = 64
"""Positions per block; the blocks of a solve run one after another, the rows inside one together."""

_KEPT_LENGTHS = 32


@dataclass(frozen=True)
class Panel:
    """The edges into rows ``start … stop-1`` as a ``(stop-start) × width`` matrix over the columns they need.

    The columns are the earlier positions that some row of the block reads, ascending, then the block's
    own positions. So a block costs the rows it touches, and no matrix is ever ``n`` columns wide unless
    a block really reads ``n`` positions.
    """

    start: int
    stop: int
    edges: slice
    """The block's edges, in CSR order."""
    entries: torch.Tensor
    """For each of those edges, its flat place ``row · width + column`` in the panel, int64."""
    earlier: slice | torch.Tensor
    """The earlier positions read: a range where they are contiguous, else an int64 index."""
    number_earlier: int
    coupled: bool
    """Whether an edge joins two positions of the block."""

    @property
    def rows(self) -> slice:
        """The block's positions."""
        return slice(self.start, self.stop)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    @property
    def width(self) -> int:
        """Number of columns: earlier positions read, and the block's own."""
        return self.number_earlier + self.height

    @cached_property
    def columns(self) -> slice | torch.Tensor:
        """All columns of the panel: a range where they are contiguous, else an int64 index."""
        if isinstance(self.earlier, slice):
            if self.number_earlier == 0 or self.earlier.stop == self.start:
                return slice(self.start - self.number_earlier, self.stop)
            earlier = torch.arange(self.earlier.start, self.earlier.stop, device=self.entries.device)
        else:
            earlier = self.earlier
        return torch.cat([earlier, torch.arange(self.start, self.stop, device=self.entries.device)])


class Layout:
    """The panels of a pattern at length ``n`` on a device.

    Parameters
    ----------
    pattern : Pattern
        Who reads whom.
    n : int
        Sequence length.
    device : torch.device
        Where the index tables live.
    block : int
        Rows per panel; results do not depend on it beyond rounding.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> layout = Layout(glm.Window(2), 5, torch.device("cpu"), block=2)
    >>> layout.number_edges, [(panel.start, panel.columns) for panel in layout.panels]
    (9, [(0, slice(0, 2, None)), (2, slice(1, 4, None)), (4, slice(3, 5, None))])

    Notes
    -----
    The tables hold one int64 per edge and at most one per column of a panel, never ``n²`` numbers.
    """

    def __init__(self, pattern: Pattern, n: int, device: torch.device, block: int = BLOCK) -> None:
        csr = pattern.to_csr(n)
        indptr, sources = csr.indptr.astype(np.int64), csr.indices.astype(np.int64)
        self.n = n
        self.number_edges = len(sources)
        self.indptr = indptr
        targets = np.repeat(np.arange(n), np.diff(indptr))
        self.targets = torch.from_numpy(targets).to(device)
        self.sources = torch.from_numpy(sources).to(device)
        entries = np.empty(self.number_edges, dtype=np.int64)
        tables, shapes = [np.zeros(0, dtype=np.int64)], []
        for start in range(0, n, block):
            stop = min(start + block, n)
            edges = slice(int(indptr[start]), int(indptr[stop]))
            read = sources[edges]
            inside = read >= start
            earlier = np.unique(read[~inside])
            columns = np.where(inside, read - start + len(earlier), np.searchsorted(earlier, read))
            entries[edges] = (targets[edges] - start) * (len(earlier) + stop - start) + columns
            shapes.append((start, stop, edges, earlier, bool(inside.any())))
            tables.append(earlier)
        # One transfer for all panels; each holds views of it.
        placed = torch.from_numpy(entries).to(device)
        table = torch.from_numpy(np.concatenate(tables)).to(device)
        self.panels: list[Panel] = []
        low = 0
        for start, stop, edges, earlier, coupled in shapes:
            high = low + len(earlier)
            contiguous = len(earlier) == 0 or earlier[-1] - earlier[0] + 1 == len(earlier)
            first = int(earlier[0]) if len(earlier) else 0
            where = slice(first, first + len(earlier)) if contiguous else table[low:high]
            self.panels.append(Panel(start, stop, edges, placed[edges], where, len(earlier), coupled))
            low = high
        self.largest_width = max((panel.width for panel in self.panels), default=0)


class _Store:
    """Values kept for an object as long as it lives, found by identity.

    Patterns compare by the expression that prints them, which for a long explicit graph costs more to
    hash than a forward pass; identity costs nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Any], dict[Any, Any]]] = {}

    def of(self, owner: object) -> dict[Any, Any]:
        key = id(owner)
        if key not in self._kept:
            # The callback runs before the identity can be used again.
            self._kept[key] = (weakref.ref(owner, lambda _: self._kept.pop(key, None)), {})
        return self._kept[key][1]


_store = _Store()


def remembered(owner: object, key: Any, make: Any) -> Any:
    """``make()``, computed once per live ``owner`` and ``key``; the least recently used keys are dropped."""
    values = _store.of(owner)
    value = values.pop(key) if key in values else make()
    values[key] = value
    while len(values) > _KEPT_LENGTHS:
        del values[next(iter(values))]
    return value


def layout_of(pattern: Pattern, n: int, device: torch.device, block: int = BLOCK) -> Layout:
    """The :class:`Layout` of a pattern, made once per pattern object, length, device and block size."""
    key = ("layout", n, str(device), block)
    layout: Layout = remembered(pattern, key, lambda: Layout(pattern, n, device, block))
    return layout
