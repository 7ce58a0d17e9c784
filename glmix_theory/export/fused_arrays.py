"""Between torch and the compiled loops: addresses of tensors and tables, groups, scratch memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from glmix_theory.export.backend import EdgeValues, working_dtype
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.kernels.vectors import lanes_of
from glmix_theory.export.kernels.workers import run_all, shared_out
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import Structure

_ALIGNMENT = 64
_LARGE = 1 << 22
_PAGE, _STAGGER = 4096, 1024
_kept = threading.local()
NUMBER: dict[torch.dtype, Any] = {torch.float32: np.float32(0), torch.float64: np.float64(0)}
"""A number of each type that the loops are compiled for."""


@dataclass(frozen=True)
class Tables:
    """The edges of a structure as the compiled loops read them."""

    addresses: np.ndarray
    """int64 (3, 3): of the row ends, sources and classes of direct, recurrent and readout edges; 0 where absent."""
    widest: int
    """Most edges of a row, direct and recurrent together or readout."""
    ring: int
    """One more than the longest lag of recurrent and readout edges."""
    arrays: list[np.ndarray]
    """The memory the addresses point to."""


def tables_of(structure: Structure) -> Tables:
    """The tables of a structure, made once."""

    def make() -> Tables:
        addresses, arrays = np.zeros((3, 3), np.int64), []
        for number, part in enumerate(structure.parts):
            for column, values in enumerate((part.indptr, part.sources, part.classes)):
                arrays.append(np.ascontiguousarray(values, dtype=np.int32))
                addresses[number, column] = arrays[-1].ctypes.data
        rows = [np.diff(structure.direct.indptr) + np.diff(structure.recurrent.indptr)]
        rows += [np.diff(part.indptr) for part in structure.parts[2:]]
        lags = [int((part.targets - part.sources).max()) for part in structure.parts[1:] if part.number]
        return Tables(addresses, max(int(row.max()) for row in rows), max(lags, default=0) + 1, arrays)

    return remembered(structure, "tables", make)


def working(inputs: Inputs) -> Inputs:
    """The tensors in the dtype that sums are taken in, the numbers of each row side by side."""
    dtype = working_dtype(inputs.v.dtype)
    return inputs.map(lambda tensor: side_by_side(tensor.detach().to(dtype)))


def side_by_side(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself where the numbers of a row lie side by side, else a copy."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def located(tensors: Sequence[torch.Tensor | None]) -> np.ndarray:
    """int64 (tensors, 4): address and strides over the first three axes; zeros where absent.

    >>> located([torch.zeros(2, 3, 4, 5).transpose(1, 2), None])[:, 1:].tolist()
    [[60, 5, 20], [0, 0, 0]]
    """
    return np.array(
        [(0, 0, 0, 0) if tensor is None else (tensor.data_ptr(), *tensor.stride()[:3]) for tensor in tensors], np.int64
    )


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised contiguous tensor, its numbers aligned for vectors.

    numpy asks the system for large pages from 4 MiB on. Touching small ones for the first time, in memory
    that is new to every call, takes longer than the sums of a sparse pattern.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return torch.empty(*shape, dtype=dtype)
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return torch.from_numpy(memory[start : start + size]).view(dtype).view(*shape)


def placed_rows(v: torch.Tensor, segments: torch.Tensor | None) -> torch.Tensor:
    """Room for outputs ``(batch, heads, n, width)``, stored position by position; zeros where segments leave gaps."""
    batch, heads, n, width = v.shape
    rows = empty((batch, n, heads, width), v.dtype)
    return (rows if segments is None else rows.zero_()).transpose(1, 2)


def rows_like(tensor: torch.Tensor, segments: torch.Tensor | None) -> torch.Tensor:
    """Room for the gradient of a tensor, stored as outputs are where the tensor itself is, else head by head."""
    if tensor.dim() == 4 and tensor.stride(1) < tensor.stride(2):
        return placed_rows(tensor, segments)
    rows = empty(tensor.shape, tensor.dtype)
    return rows if segments is None else rows.zero_()


def in_working_dtype(values: EdgeValues) -> EdgeValues:
    """Coefficients contiguous, and all in the dtype that sums are taken in."""
    dtype = working_dtype(values.x.dtype)
    gamma = None if values.gamma is None else values.gamma.detach().to(dtype).contiguous()
    alpha, beta = (edges.detach().to(dtype).contiguous() for edges in (values.alpha, values.beta))
    return EdgeValues(alpha, beta, gamma, side_by_side(values.x.detach().to(dtype)))


def by_group(values: torch.Tensor | None) -> torch.Tensor | None:
    """Contiguous edge values as one row for each group, in three axes."""
    return None if values is None else values.view(values.shape[0] * values.shape[1], 1, math.prod(values.shape[2:]))


def scratch(sizes: Sequence[int]) -> np.ndarray:
    """Addresses of uninitialised memory for pieces of given numbers of bytes, until this thread asks again."""
    rounded = [-(-size // _PAGE) * _PAGE + _STAGGER for size in sizes]
    memory = getattr(_kept, "memory", None)
    if memory is None or memory.nbytes < sum(rounded) + _ALIGNMENT:
        # Kept for the next call, as new pages cost more than they take to fill.
        memory = _kept.memory = np.empty(sum(rounded) + _ALIGNMENT, np.uint8)
    start = memory.ctypes.data + -memory.ctypes.data % _ALIGNMENT
    return start + np.cumsum([0, *rounded[:-1]], dtype=np.int64)


class Sizes:
    """How many bytes the pieces of a thread's scratch memory need."""

    def __init__(self, structure: Structure, dtype: torch.dtype) -> None:
        self._n, self._widest, self._bytes = structure.n, tables_of(structure).widest, dtype.itemsize
        self._lanes = lanes_of(NUMBER[dtype].dtype)

    def row(self, width: int) -> int:
        """One padded row."""
        return -(-width // self._lanes) * self._lanes * self._bytes

    def rows(self, width: int, tensor: torch.Tensor | None = None) -> int:
        """All rows of a group; none where the tensor's own rows lie side by side and whole."""
        if tensor is not None and tensor.stride(2) == width and width % self._lanes == 0:
            return 0
        return self._n * self.row(width)

    def matrices(self, width: int, r: int) -> int:
        """All matrices of a group; none where their rows are whole as they lie."""
        return 0 if width % self._lanes == 0 else r * self.rows(width)

    @property
    def edges(self) -> int:
        """The numbers of a row's edges, its own position and padding."""
        return (self._widest + 4 * self._lanes) * self._bytes


def in_groups(
    run: Callable[[np.ndarray, np.ndarray], None],
    sizes: Sequence[int],
    structure: Structure,
    shape: Sequence[int],
    segments: torch.Tensor | None,
) -> None:
    """``run(groups, scratch addresses)`` on as many threads as torch uses, groups shared out by number of edges.

    Each group is a row ``(batch element, head, start, length, number)`` of int64.
    """
    batch, heads, n = shape[:3]
    threads = torch.get_num_threads()
    if segments is None:
        shares = remembered(
            structure,
            ("groups", batch, heads, threads),
            lambda: _shares(structure, [(element, 0, n) for element in range(batch)], heads, threads),
        )
    else:
        sequences = [(element, start, stop - start) for element, start, stop in segments.tolist()]
        shares = _shares(structure, sequences, heads, threads)

    def task(groups: np.ndarray) -> Callable[[], None]:
        def call() -> None:
            run(groups, scratch(sizes))

        return call

    run_all([task(groups) for groups in shares])


def _shares(structure: Structure, sequences: list[tuple[int, int, int]], heads: int, threads: int) -> list[np.ndarray]:
    work = [length + sum(int(part.indptr[length]) for part in structure.parts) for _, _, length in sequences]
    groups = np.array(
        [
            (element, head, start, length, number * heads + head)
            for number, (element, start, length) in enumerate(sequences)
            for head in range(heads)
        ],
        dtype=np.int64,
    )
    return [groups[items] for items in shared_out([size for size in work for _ in range(heads)], threads)]
