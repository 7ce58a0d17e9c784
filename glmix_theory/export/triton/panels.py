"""How the edges of one part are laid out for kernels: square tiles of the rows and columns a block needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable


@dataclass(frozen=True, eq=False)
class Panels:
    """The edges of each block of rows as ``block × block`` tiles over the columns that the block reads.

    The columns of a block are the positions outside it that one of its rows reads, ascending and in tiles
    of ``block``; then, where rows of the block read each other, one *inside* tile with the block's own
    positions as columns. A row may be a target and its columns the sources it reads, or the reverse. So
    scores, products and solves are dense tile products with a mask, whatever the pattern.

    Parameters
    ----------
    block : int
        Rows and columns of a tile; 16, 32 or 64.
    start : int
        First row that has a block; rows before it are known (see ``Structure.known``).
    blocks : int
        Number of blocks.
    first : int32 tensor (blocks + 1,)
        Block ``b`` owns the tiles ``first[b] … first[b+1]-1``.
    inside : int32 tensor (blocks,)
        Its inside tile, which is its last one; ``first[b+1]`` where it has none.
    columns : int32 tensor (tiles, block)
        Position of each column; -1 where a tile has fewer columns.
    bits : int64 tensor (tiles, block)
        Bit ``c`` of row ``i``'s word tells whether there is an edge between row ``i`` and column ``c``.
    edges : int32 tensor (tiles, block)
        Number of row ``i``'s first edge in the tile; the others follow by column.
    order : int32 tensor (edges,)
        Number of each edge in the order of edge values, where the panels are transposed.

    Notes
    -----
    A tile takes ``16 · block`` bytes, shared by every batch element and head.
    """

    block: int
    start: int
    blocks: int
    first: torch.Tensor
    inside: torch.Tensor
    columns: torch.Tensor
    bits: torch.Tensor
    edges: torch.Tensor
    order: torch.Tensor


def panels_of(table: EdgeTable, block: int, device: torch.device, start: int = 0, transposed: bool = False) -> Panels:
    """The :class:`Panels` of a part, made once per table, block size and device.

    Parameters
    ----------
    table : EdgeTable
        The edges.
    block : int
        16, 32 or 64.
    device : torch.device
        Where the tables live.
    start : int
        First row that has a block.
    transposed : bool
        Rows are sources and columns the targets that read them.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> table = EdgeTable.of(glm.Lags([1, 20]), 40)
    >>> panels = panels_of(table, 16, torch.device("cpu"))
    >>> panels.first.tolist(), panels.inside.tolist(), panels.columns[1].tolist()[:13]
    ([0, 1, 3, 5], [0, 2, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15])
    """
    key = ("panels", block, str(device), start, transposed)
    return remembered(table, key, lambda: _panels(table, block, device, start, transposed))


def _panels(table: EdgeTable, block: int, device: torch.device, start: int, transposed: bool) -> Panels:
    n = table.n
    order = np.zeros(0, dtype=np.int64)
    if transposed:
        order = np.lexsort((table.targets, table.sources))
        rows, columns = table.sources[order], table.targets[order]
    else:
        rows, columns = table.targets, table.sources
    blocks = -(-(n - start) // block)
    owner, row = np.divmod(rows - start, block)
    own_start = start + owner * block
    own = (columns >= own_start) & (columns < own_start + block)
    # The columns outside the block, each once, ascending: their rank says which tile and which column.
    outside, place = np.unique(owner[~own] * n + columns[~own], return_inverse=True)
    outside_owner = outside // n
    before = np.searchsorted(outside_owner, np.arange(blocks + 1))
    coupled = np.zeros(blocks, dtype=bool)
    coupled[owner[own]] = True
    far_tiles = -(-np.diff(before) // block)
    first = np.concatenate([[0], np.cumsum(far_tiles + coupled)])
    inside = first[:-1] + far_tiles
    rank = np.arange(len(outside)) - before[outside_owner]
    outside_tile, outside_column = first[outside_owner] + rank // block, rank % block
    tile, column = np.empty_like(rows), np.empty_like(rows)
    tile[~own], column[~own] = outside_tile[place], outside_column[place]
    tile[own], column[own] = inside[owner[own]], (columns - own_start)[own]

    tiles = int(first[-1])
    positions = np.full((max(tiles, 1), block), -1, dtype=np.int32)
    positions[outside_tile, outside_column] = outside % n
    positions[inside[coupled]] = (start + np.flatnonzero(coupled) * block)[:, None] + np.arange(block)
    bits = np.zeros((max(tiles, 1), block), dtype=np.uint64)
    edges = np.zeros((max(tiles, 1), block), dtype=np.int32)
    # Edges run by row, then column, and for sources outside before inside: one run per row and tile. Of a
    # transposed table the inside columns come first, and the runs are no less one each.
    cell = tile * block + row
    runs = np.flatnonzero(np.diff(cell, prepend=-1)) if len(cell) else np.zeros(0, dtype=np.int64)
    if len(runs):
        words = np.bitwise_or.reduceat(np.uint64(1) << column.astype(np.uint64), runs)
        bits.reshape(-1)[cell[runs]] = words
        edges.reshape(-1)[cell[runs]] = runs

    def placed(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Panels(
        block,
        start,
        blocks,
        placed(first.astype(np.int32)),
        placed(inside.astype(np.int32)),
        placed(positions),
        placed(bits.view(np.int64)),
        placed(edges),
        placed(order.astype(np.int32)),
    )
