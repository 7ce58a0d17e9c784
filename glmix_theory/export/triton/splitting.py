"""More programs for few sequences: chunks of a sequence solved side by side, then joined.

Where few outputs are read across the cuts between chunks, what passes a cut is small: ``Z_c``, the outputs from
before chunk ``c`` that it or a later one reads, each in a slot. With ``U`` and ``B`` of chunk ``c``, ``B'`` the
coefficients with which it reads the slots, ``S`` picking the rows that a later chunk reads and ``K`` keeping the
slots of older ones, the recurrence ``Y = U + B Y`` is

``Y⁰ = (I - B)^{-1} U``,  ``T = (I - B)^{-1} B'``  (all chunks at once, one launch);
``Z_{c+1} = S Y⁰ + (S T + K) Z_c``  (one after the other, slots × slots);
``Y = Y⁰ + T Z_c``  (all chunks at once);

and its adjoint ``Λ = G + Bᵀ Λ``, from the last chunk to the first, is

``W_c = Tᵀ G + (S T + K)ᵀ W_{c+1}``,  ``Λ = (I - B)^{-T} (G + Sᵀ W_{c+1})``.

``T`` is made from the coefficients again in the backward. It takes ``slots`` numbers a row, and its size says how
much rounding may grow: for kinds whose rows have ``Σ|α| + Σ|β| ≤ 1`` no row of ``T`` sums to more than 1. The
products with ``T`` are torch's, in fp32 or as ``torch.backends.cuda.matmul`` says.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad

from glmix_theory.complexity.lifetimes import live_counts
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable
from glmix_theory.export.triton import launch
from glmix_theory.export.triton.launch import Part, Work

MOST_CROSSING = 64
"""Outputs read across a cut, at most, for a sequence to be split there."""
FEWEST_BLOCKS = 4
"""Blocks of a chunk at least."""
MOST_CHUNKS = 32


def chunks_of(work: Work, width: int, live: np.ndarray) -> int:
    """Number of chunks that a sequence is cut into; 1 leaves it whole.

    Reasoned from a count of dependent steps, not measured: no GPU was available. A step is a block of rows, and a
    program takes the blocks of its chunk one after the other. Whole, a sequence takes ``blocks`` steps; in ``c``
    chunks it takes ``blocks / c``, times the rounds in which the multiprocessors get through all programs, at one
    program each, and ``c`` more for the products that join chunks, counted as a step each. There are ``c``
    times as many programs, and ``(width + slots) / width`` times as many channels. The powers of two up to
    :data:`MOST_CHUNKS` are tried, and the best is taken if it halves the steps: what is not counted (a
    launch for each product, a pass over ``T`` and the rows) has to be paid from the rest.

    Parameters
    ----------
    work : Work
        The call.
    width : int
        Channels of a row.
    live : int64 array (blocks,)
        For each block, how many outputs from before it are read in it or later.
    """
    blocks = len(live)

    def steps(chunks: int) -> int:
        size = -(-blocks // chunks)
        channels = width + (_slots(live, size) if chunks > 1 else 0)
        programs = work.groups * chunks
        programs *= -(-channels // launch.width_of(work, channels, programs))
        rounds = -(-programs // launch.multiprocessors(work.device))
        return rounds * size + (chunks if chunks > 1 else 0)

    possible = []
    chunks = 2
    while chunks <= MOST_CHUNKS and blocks >= FEWEST_BLOCKS * chunks:
        if _slots(live, -(-blocks // chunks)) <= MOST_CROSSING:
            possible.append(chunks)
        chunks *= 2
    best = min(possible, key=steps, default=1)
    return best if 2 * steps(best) <= steps(1) else 1


def _slots(live: np.ndarray, size: int) -> int:
    """Slots for the outputs that cross the cuts before every ``size``-th block, a multiple of 16."""
    return 16 * max(1, -(-int(live[size::size].max(initial=0)) // 16))


def live_rows(table: EdgeTable, start: int, block: int) -> np.ndarray:
    """For each block of rows from ``start`` on, how many rows from before it are read in it or later.

    >>> import glmix_theory as glm
    >>> live_rows(EdgeTable.of(glm.Lags([1, 20]), 60), 0, 16).tolist()
    [0, 16, 20, 13]
    """
    starts = np.arange(start, table.n, block)
    counts = np.concatenate([[0], live_counts(_last_reads(table))])  # after row t, rows before t + 1
    return counts[starts]


def _last_reads(table: EdgeTable) -> np.ndarray:
    last = np.full(table.n, -1, dtype=np.int64)
    last[table.sources] = table.targets  # targets ascend, and the last assignment holds
    return last


@dataclass(frozen=True, eq=False)
class Split:
    """A sequence cut into chunks, and a slot for every row that is read across a cut.

    Parameters
    ----------
    size : int
        Blocks of a chunk.
    rows : int
        Rows of a chunk; the last one may have fewer.
    chunks : int
        Number of chunks.
    slots : int
        Number of slots, a multiple of 16.
    slot : int32 tensor (n,)
        Slot of each row that is read across a cut, the same at every cut; 0 for other rows.
    entering, cuts, places : int64 tensors (entering,)
        The rows that are read across a cut, the first such cut (0 is that after the first chunk), and their slots.
    held : fp32 tensor (chunks - 1, slots)
        1 where the slot holds the same row as at the cut before.
    """

    size: int
    rows: int
    chunks: int
    slots: int
    slot: torch.Tensor
    entering: torch.Tensor
    cuts: torch.Tensor
    places: torch.Tensor
    held: torch.Tensor


def split_of(table: EdgeTable, start: int, block: int, size: int, device: torch.device) -> Split:
    """The :class:`Split` of rows from ``start`` on into chunks of ``size`` blocks.

    >>> import glmix_theory as glm
    >>> split = split_of(EdgeTable.of(glm.Lags([1, 20]), 60), 0, 16, 1, torch.device("cpu"))
    >>> split.chunks, split.entering[[0, 12, 16]].tolist(), split.cuts[[0, 12, 16]].tolist()
    (4, [0, 12, 16], [0, 0, 1])
    >>> split.held.sum(1).tolist()  # rows 12 … 15 and 28 … 31 are read across two cuts
    [0.0, 4.0, 4.0]
    """
    rows = size * block
    live = live_rows(table, start, block)
    chunks, slots = -(-len(live) // size), _slots(live, size)
    # The first and the last cut that a row is read across.
    first = np.maximum((np.arange(table.n) - start) // rows, 0)
    last = (_last_reads(table) - start) // rows - 1
    entering = np.flatnonzero(first <= last)
    slot = np.zeros(table.n, dtype=np.int32)
    held = np.zeros((chunks - 1, slots), dtype=np.float32)
    free = list(range(slots))
    leaving: list[list[int]] = [[] for _ in range(chunks)]
    now = 0
    for row in entering.tolist():
        # Rows ascend, and so do the cuts at which they enter.
        while now < first[row]:
            for place in leaving[now]:
                heapq.heappush(free, place)
            now += 1
        slot[row] = heapq.heappop(free)
        leaving[last[row]].append(slot[row])
        held[first[row] + 1 : last[row] + 1, slot[row]] = 1

    def placed(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Split(
        size,
        rows,
        chunks,
        slots,
        placed(slot),
        placed(entering),
        placed(first[entering]),
        placed(slot[entering].astype(np.int64)),
        placed(held),
    )


def _chosen(
    part: Part, work: Work, inverse: torch.Tensor, gate: torch.Tensor | None, rows: torch.Tensor
) -> Split | None:
    """How to split a call; not where sequences share a tensor, nor with a gate per channel."""
    if not work.whole or gate is not None:
        return None
    table, block = part.table, inverse.shape[-1]
    live = remembered(table, ("live", work.known, block), lambda: live_rows(table, work.known, block))
    size = -(-len(live) // chunks_of(work, rows.shape[-1], live))
    if size == len(live):
        return None
    key = ("split", work.known, block, size, str(work.device))
    return remembered(table, key, lambda: split_of(table, work.known, block, size, work.device))


def _room(split: Split, work: Work, width: int) -> torch.Tensor:
    """Rows ``(batch, heads, known + chunks · rows, width)`` for whole chunks, 0 where no row will be written."""
    number = work.known + split.chunks * split.rows
    room = torch.empty(work.batch, work.heads, number, width, dtype=torch.float32, device=work.device)
    room[:, :, : work.known] = 0
    room[:, :, work.n :] = 0
    return room


def _passing(split: Split, solved: torch.Tensor, transfers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``S Y⁰`` and ``S T + K`` at every cut, from ``Y⁰`` and behind it ``T``, ``(groups, rows, …)``."""
    shape = (solved.shape[0], split.chunks - 1, split.slots, solved.shape[2])
    passing = torch.zeros(shape, dtype=solved.dtype, device=solved.device)
    passing[:, split.cuts, split.places] = solved[:, split.entering]
    passing[..., transfers:].diagonal(dim1=-2, dim2=-1).add_(split.held)
    return passing[..., :transfers], passing[..., transfers:]


def solve(
    part: Part,
    work: Work,
    inverse: torch.Tensor,
    inputs: torch.Tensor,
    factor: torch.Tensor,
    gate: torch.Tensor | None,
    y: torch.Tensor,
) -> None:
    """As :func:`glmix_theory.export.triton.launch.solve`, in chunks where :func:`chunks_of` says so."""
    split = _chosen(part, work, inverse, gate, y)
    if split is None:
        launch.solve(part, work, inverse, inputs, factor, gate, y)
        return
    known, width = work.known, y.shape[-1]
    room = _room(split, work, width + split.slots)
    room[:, :, :known, :width] = y[:, :, :known]
    launch.solve(part, work, inverse, inputs, factor, None, room, split.size, split.slot)
    solved, y = room.flatten(0, 1), y.flatten(0, 1)
    entering, passing = _passing(split, solved, width)
    arriving = [torch.zeros_like(entering[:, 0])]
    for cut in range(split.chunks - 1):
        arriving.append(torch.baddbmm(entering[:, cut], passing[:, cut], arriving[-1]))
    transfers = solved[:, known:, width:].unflatten(1, (split.chunks, split.rows))
    arrived = (transfers @ torch.stack(arriving, 1)).flatten(1, 2)
    torch.add(solved[:, known : work.n, :width], arrived[:, : work.n - known], out=y[:, known:])


def solve_adjoint(
    part: Part, work: Work, inverse: torch.Tensor, gate: torch.Tensor | None, adjoint: torch.Tensor
) -> None:
    """As :func:`glmix_theory.export.triton.launch.solve_adjoint`, in chunks where :func:`chunks_of` says so."""
    split = _chosen(part, work, inverse, gate, adjoint)
    if split is None:
        launch.solve_adjoint(part, work, inverse, gate, adjoint)
        return
    room = _room(split, work, split.slots)
    launch.solve(part, work, inverse, None, None, None, room, split.size, split.slot)
    solved, gradient = room.flatten(0, 1), adjoint.flatten(0, 1)
    _, passing = _passing(split, solved, 0)
    shape = (split.chunks, split.rows)
    gradients = pad(gradient, (0, 0, 0, solved.shape[1] - work.n)).unflatten(1, shape)
    gathered = solved.unflatten(1, shape).mT @ gradients
    leaving = [gathered[:, -1]]
    for cut in range(split.chunks - 2, 0, -1):
        leaving.append(torch.baddbmm(gathered[:, cut], passing[:, cut].mT, leaving[-1]))
    gradient[:, split.entering] += torch.stack(leaving[::-1], 1)[:, split.cuts, split.places]
    launch.solve_adjoint(part, work, inverse, None, adjoint, split.size)
