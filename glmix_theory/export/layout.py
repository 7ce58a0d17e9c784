"""How a pattern is laid out for blocked execution: one compressed panel of columns per block of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable

BLOCK = 64
"""Positions per block; the blocks of a solve run one after another, the rows inside one together."""


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
    """The panels of one part's edges on a device.

    Parameters
    ----------
    table : EdgeTable
        The edges.
    device : torch.device
        Where the index tables live.
    block : int
        Rows per panel; results do not depend on it beyond rounding.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> layout = Layout(EdgeTable.of(glm.Window(2), 5), torch.device("cpu"), block=2)
    >>> layout.number_edges, [(panel.start, panel.columns) for panel in layout.panels]
    (9, [(0, slice(0, 2, None)), (2, slice(1, 4, None)), (4, slice(3, 5, None))])

    Notes
    -----
    The tables hold one int64 per edge and at most one per column of a panel, never ``n²`` numbers.
    """

    def __init__(self, table: EdgeTable, device: torch.device, block: int = BLOCK) -> None:
        indptr, sources, targets = table.indptr, table.sources, table.targets
        self.n = n = table.n
        self.number_edges = table.number
        self.diagonal: slice | torch.Tensor | None = None
        """The positions that have an edge, where every edge joins a position with itself; else ``None``."""
        if np.array_equal(sources, targets):
            self.diagonal = slice(None) if len(sources) == n else torch.from_numpy(sources).to(device)
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
        columns_read = torch.from_numpy(np.concatenate(tables)).to(device)
        self.panels: list[Panel] = []
        low = 0
        for start, stop, edges, earlier, coupled in shapes:
            high = low + len(earlier)
            contiguous = len(earlier) == 0 or earlier[-1] - earlier[0] + 1 == len(earlier)
            first = int(earlier[0]) if len(earlier) else 0
            where = slice(first, first + len(earlier)) if contiguous else columns_read[low:high]
            self.panels.append(Panel(start, stop, edges, placed[edges], where, len(earlier), coupled))
            low = high
        self.largest_width = max((panel.width for panel in self.panels), default=0)


def layout_of(table: EdgeTable, device: torch.device, block: int = BLOCK) -> Layout:
    """The :class:`Layout` of an edge table, made once per table, device and block size."""
    return remembered(table, ("layout", str(device), block), lambda: Layout(table, device, block))
