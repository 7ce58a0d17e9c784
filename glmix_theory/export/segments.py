"""Sequences of different lengths in one batch: padded on the right or left, or packed end to end."""

from __future__ import annotations

import torch

from glmix_theory.errors import LengthError, ShapeError


def segments_of(
    batch: int, n: int, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
) -> torch.Tensor | None:
    """The segments that a padding mask or packed lengths describe; ``None`` when neither is given.

    Parameters
    ----------
    batch, n : int
        Shape of the batch.
    mask : bool tensor (batch, n), optional
        True at real positions, which must be contiguous in every row; padding may be on either side.
    cu_seqlens : integer tensor (sequences + 1,), optional
        Where packed sequences begin, from 0 to ``n``; the batch must be 1.

    Returns
    -------
    int64 tensor (sequences, 3), on the CPU, or None
        Rows ``(batch element, start, stop)``.

    Raises
    ------
    ShapeError
        A wrong shape or dtype, or both given.
    LengthError
        A mask with a hole or nothing in it; lengths that do not ascend from 0 to ``n``.

    Examples
    --------
    >>> segments_of(2, 4, mask=torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]]).bool()).tolist()
    [[0, 0, 3], [1, 2, 4]]
    >>> segments_of(1, 5, cu_seqlens=torch.tensor([0, 2, 5])).tolist()
    [[0, 0, 2], [0, 2, 5]]
    """
    if mask is not None and cu_seqlens is not None:
        raise ShapeError("mask and cu_seqlens are both given; a padded batch needs the first, a packed one the second")
    if mask is not None:
        return _padded(batch, n, mask)
    return None if cu_seqlens is None else _packed(batch, n, cu_seqlens)


@torch.library.custom_op("glmix_theory::segments", mutates_args=())
def segments_operator(
    batch: int, n: int, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
) -> torch.Tensor:
    """:func:`segments_of` as an operator, for one of the two given: what a compiled layer calls, checks and all."""
    segments = segments_of(batch, n, mask, cu_seqlens)
    assert segments is not None
    return segments


@segments_operator.register_fake
def _(batch: int, n: int, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None) -> torch.Tensor:
    number = batch if mask is not None or cu_seqlens is None else cu_seqlens.shape[0] - 1
    return torch.empty(number, 3, dtype=torch.int64)


def _padded(batch: int, n: int, mask: torch.Tensor) -> torch.Tensor:
    if tuple(mask.shape) != (batch, n) or mask.dtype != torch.bool:
        raise ShapeError(f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; ({batch}, {n}) bool is needed")
    real = mask.cpu().int()
    length = real.sum(dim=1)
    start = real.argmax(dim=1)
    place = torch.arange(n)
    contiguous = (place >= start[:, None]) & (place < (start + length)[:, None])
    for row in range(batch):
        if not length[row]:
            raise LengthError(f"mask[{row}] has no real position; every sequence needs at least one")
        if not torch.equal(contiguous[row], real[row].bool()):
            hole = int((contiguous[row] & ~real[row].bool()).int().argmax())
            raise LengthError(f"mask[{row}] has a hole at {hole}; real positions must be contiguous")
    return torch.stack([torch.arange(batch), start, start + length], dim=1)


def _packed(batch: int, n: int, cu_seqlens: torch.Tensor) -> torch.Tensor:
    if batch != 1:
        raise ShapeError(f"cu_seqlens packs sequences into one row; the batch is {batch}, and 1 is needed")
    if cu_seqlens.dim() != 1 or len(cu_seqlens) < 2 or cu_seqlens.is_floating_point():
        raise ShapeError(f"cu_seqlens has shape {tuple(cu_seqlens.shape)}; (sequences + 1,) integers are needed")
    ends = cu_seqlens.cpu().long()
    if int(ends[0]) != 0 or int(ends[-1]) != n or bool((ends[1:] <= ends[:-1]).any()):
        raise LengthError(f"cu_seqlens = {ends.tolist()}; ascending numbers from 0 to n = {n} are needed")
    return torch.stack([torch.zeros(len(ends) - 1, dtype=torch.long), ends[:-1], ends[1:]], dim=1)
