"""Launching the kernels: shapes, tiles and how the work is split over programs."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import triton

from glmix_theory.export.structure import EdgeTable
from glmix_theory.export.triton import gradients, kernels, scans, tiles
from glmix_theory.export.triton.panels import Panels, panels_of

INTERPRETED = bool(triton.knobs.runtime.interpret)
"""Whether kernels run in Python on the CPU (``TRITON_INTERPRET=1`` when Triton was loaded)."""

EXPONENTIAL, SINH, SCALED, PLAIN = (
    weight.value for weight in (tiles.EXPONENTIAL, tiles.SINH, tiles.SCALED, tiles.PLAIN)
)
NOTHING: float = tiles.NOTHING.value

LARGEST_BLOCK = 16 if INTERPRETED else 64
"""Rows of a tile at most."""


@dataclass(frozen=True)
class Work:
    """The shape of a call, and the choices that follow from it."""

    batch: int
    heads: int
    n: int
    """Rows of the tensors."""
    longest: int
    """Rows of the longest sequence."""
    known: int
    segments: torch.Tensor
    """int64 ``(sequences, 3)`` on the device."""
    device: torch.device
    dtype: torch.dtype
    whole: bool = True
    """Whether each batch element is one sequence."""

    @property
    def groups(self) -> int:
        """Pairs of sequence and head: the first axis of programs."""
        return len(self.segments) * self.heads

    @property
    def half(self) -> bool:
        """Whether products of inputs stay in half precision; the interpreter cannot."""
        return self.dtype in (torch.float16, torch.bfloat16) and not INTERPRETED

    @property
    def precision(self) -> str:
        """Tensor cores multiply fp32 as three products of tf32, which keeps 21 bits; half inputs need one."""
        return "tf32" if self.dtype in (torch.float16, torch.bfloat16) else "tf32x3"

    def empty(self, *shape: int) -> torch.Tensor:
        """An fp32 tensor ``(batch, heads, n, …)``; zero where no sequence will write."""
        make = torch.empty if self.whole and not self.known else torch.zeros
        return make(self.batch, self.heads, self.n, *shape, dtype=torch.float32, device=self.device)

    def zeros(self, *shape: int) -> torch.Tensor:
        """An fp32 tensor ``(batch, heads, n, …)`` to add to."""
        return torch.zeros(self.batch, self.heads, self.n, *shape, dtype=torch.float32, device=self.device)

    def ones(self) -> torch.Tensor:
        """A factor of 1 for every row."""
        return torch.ones(self.batch, self.heads, self.n, dtype=torch.float32, device=self.device)


@dataclass(frozen=True)
class Part:
    """One part's edges, and what its coefficients are made from.

    ``normaliser`` is what weights subtract in the exponent, ``statistic`` the part's own logarithm of a
    sum, ``slope`` the gradient of the statistic; all fp32 ``(batch, heads, n)``.
    """

    table: EdgeTable
    weight: int
    left: torch.Tensor | None = None
    right: torch.Tensor | None = None
    scale: float = 1.0
    bias: torch.Tensor | None = None
    """fp32 ``(heads, lags)``."""
    values: torch.Tensor | None = None
    """``(batch, heads, edges)``."""
    normaliser: torch.Tensor | None = None
    statistic: torch.Tensor | None = None
    slope: torch.Tensor | None = None

    def with_(self, **changes: torch.Tensor | None) -> Part:
        """A copy with other tensors."""
        return replace(self, **changes)  # type: ignore[arg-type]


def block_of(work: Work, deepest: int) -> int:
    """Rows of a tile: 64 in half precision, 32 where fp32 or wide rows would not fit in registers; 16 when short."""
    most = min(LARGEST_BLOCK, 64 if work.half and deepest <= 128 else 32)
    return min(most, max(16, triton.next_power_of_2(work.longest)))


def width_of(work: Work, width: int, programs: int) -> int:
    """Channels of a program: 64, halved down to 16 while there are fewer programs than multiprocessors.

    Scores are made again in every program that shares them, so a split costs work; it pays while
    multiprocessors would idle.
    """
    size = min(64, max(16, triton.next_power_of_2(width)))
    while size > 16 and programs * -(-width // size) < multiprocessors(work.device):
        size //= 2
    return size


def multiprocessors(device: torch.device) -> int:
    """Multiprocessors of a device; 1 where kernels are interpreted."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _deep(*tensors: torch.Tensor | None) -> int:
    return max([16] + [triton.next_power_of_2(t.shape[-1]) for t in tensors if t is not None])


def _rows(tensor: torch.Tensor | None, work: Work) -> tuple[Any, int, int, int]:
    """A tensor ``(batch, heads, n, d)`` as pointer and strides; channels must be neighbours."""
    if tensor is None:
        return (_nothing(work), 0, 0, 0)
    if tensor.stride(3) != 1:
        tensor = tensor.contiguous()
    batch, head, row, _ = tensor.stride()
    return tensor, batch, head, row


def _nothing(work: Work) -> torch.Tensor:
    """What stands for a tensor that a kernel does not touch."""
    return torch.empty(1, dtype=torch.float32, device=work.device)


def _scores(part: Part, work: Work, *, values: bool = True) -> tuple[Any, ...]:
    nothing = _nothing(work)
    bias, lags = (nothing, 0) if part.bias is None else (part.bias, part.bias.shape[1])
    given = (*_rows(part.left, work), *_rows(part.right, work), part.scale, bias, lags)
    if not values:
        return given
    return (*given, *((nothing, 0) if part.values is None else (part.values, part.values.shape[2])))


def _options(part: Part, work: Work, block: int, *, values: bool = True) -> dict[str, Any]:
    options = {
        "WEIGHT": part.weight,
        "HAS_DOT": part.left is not None,
        "HAS_BIAS": part.bias is not None,
        "BLOCK": block,
        "BLOCK_D": _deep(part.left, part.right),
        "HALF": work.half,
        "PRECISION": work.precision,
        "num_warps": 4 if block < 32 else 8,
        "num_stages": 2,
    }
    return options | ({"HAS_VALUES": part.values is not None} if values else {})


def _sizes(part: Part, work: Work) -> tuple[int, int, int]:
    return work.heads, work.n, 0 if part.left is None else part.left.shape[-1]


def _panels(part: Part, work: Work, width: int, transposed: bool = False) -> Panels:
    deepest = max(width, 0 if part.left is None else part.left.shape[-1])
    start = 0 if transposed else work.known
    return panels_of(part.table, block_of(work, deepest), work.device, start, transposed)


def _panels_of(inverse: torch.Tensor, part: Part, work: Work) -> Panels:
    """The panels whose blocks were inverted."""
    return panels_of(part.table, inverse.shape[-1], work.device, work.known)


def _sequential(work: Work, width: int, panels: Panels, size: int | None) -> tuple[int, int, tuple[int, int, int]]:
    """Blocks and channels of a program that takes blocks one by one, and the grid; by default one chunk."""
    size = size or panels.blocks
    chunks = -(-panels.blocks // size)
    wide = width_of(work, width, work.groups * chunks)
    return size, wide, (work.groups, -(-width // wide), chunks)


def run(kernel: Any, work: Work, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch a kernel: the one place where that happens."""
    with torch.cuda.device(work.device) if work.device.type == "cuda" else nullcontext():
        kernel[grid](*arguments, **options)


def attend(part: Part, work: Work, x: torch.Tensor | None = None) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The part's statistic ``(batch, heads, n)``, and where rows are given their weighted mean, fp32."""
    width = 0 if x is None else x.shape[-1]
    panels = _panels(part, work, width)
    statistic = torch.full((work.batch, work.heads, work.n), NOTHING, dtype=torch.float32, device=work.device)
    out = None if x is None else work.empty(width)
    wide = 16 if x is None else width_of(work, width, work.groups * panels.blocks)
    run(
        kernels.attend, work, (work.groups, panels.blocks, max(1, -(-width // wide))),
        work.segments, panels.first, panels.columns, panels.bits, panels.edges, panels.start,
        *_scores(part, work), *_rows(x, work), width, _nothing(work) if out is None else out, statistic,
        *_sizes(part, work), HAS_ROWS=x is not None, BLOCK_W=wide, **_options(part, work, panels.block),
    )  # fmt: skip
    return out, statistic


def invert(part: Part, work: Work, width: int, inverse: bool = True) -> torch.Tensor:
    """``(I - B_block)^{-1}`` of every block, or ``B_block``: fp32 ``(groups, blocks, block, block)``.

    Always in full precision: an inverse may amplify what rounding leaves, and blocks do not wait for each other.
    """
    panels = _panels(part, work, width)
    shape = (work.groups, panels.blocks, panels.block, panels.block)
    result = torch.empty(shape, dtype=torch.float32, device=work.device)
    run(
        kernels.invert, work, (work.groups, panels.blocks),
        work.segments, panels.first, panels.inside, panels.columns, panels.bits, panels.edges, panels.start,
        *_scores(part, work), _given(part.normaliser, work), result, *_sizes(part, work),
        INVERT=inverse, **_options(part, work, panels.block) | {"PRECISION": "tf32x3"},
    )  # fmt: skip
    return result


def solve(
    part: Part,
    work: Work,
    inverse: torch.Tensor,
    inputs: torch.Tensor | None,
    factor: torch.Tensor | None,
    gate: torch.Tensor | None,
    y: torch.Tensor,
    size: int | None = None,
    slots: torch.Tensor | None = None,
) -> None:
    """Fill the rows of ``y`` (fp32, known rows already there) with ``factor · inputs + gate · B y``.

    With ``size``, chunks of so many blocks are solved at once, each as if outputs from before it were 0. In the
    channels of ``y`` beyond those of the inputs such an output counts as the unit vector of its slot (``slots``:
    int32 ``(n,)``). ``y`` may have more rows than the inputs.
    """
    width, given = y.shape[-1], 0 if inputs is None else inputs.shape[-1]
    panels = _panels_of(inverse, part, work)
    size, wide, grid = _sequential(work, width, panels, size)
    run(
        kernels.solve, work, grid,
        work.segments, panels.first, panels.inside, panels.columns, panels.bits, panels.edges, panels.start,
        panels.blocks, size, _given(slots, work), *_scores(part, work), _given(part.normaliser, work), inverse,
        _given(factor, work), _given(gate, work), _given(inputs, work), given, y, y.shape[2], width,
        *_sizes(part, work), CHANNEL=gate is not None, SPLIT=slots is not None, BLOCK_W=wide,
        **_options(part, work, panels.block),
    )  # fmt: skip


def solve_adjoint(
    part: Part,
    work: Work,
    inverse: torch.Tensor,
    gate: torch.Tensor | None,
    adjoint: torch.Tensor,
    size: int | None = None,
) -> None:
    """Turn ``G`` (fp32, contiguous) into ``Λ = G + (gate · B)ᵀ Λ`` in place; with ``size``, inside each chunk alone."""
    width = adjoint.shape[-1]
    panels = _panels_of(inverse, part, work)
    size, wide, grid = _sequential(work, width, panels, size)
    run(
        kernels.solve_adjoint, work, grid,
        work.segments, panels.first, panels.inside, panels.columns, panels.bits, panels.edges,
        panels.blocks, size, *_scores(part, work), _given(part.normaliser, work), inverse,
        _given(gate, work), adjoint, width, *_sizes(part, work),
        CHANNEL=gate is not None, BLOCK_W=wide, **_options(part, work, panels.block),
    )  # fmt: skip


def scan(work: Work, gate: torch.Tensor, rows: torch.Tensor, y: torch.Tensor) -> None:
    """Fill the rows of ``y`` (known rows already there) with ``y_t = gate_t · y_{t-1} + rows_t``, all fp32."""
    width = y.shape[-1]
    wide = width_of(work, width, work.groups)
    run(
        scans.scan, work, (work.groups, -(-width // wide)), work.segments, work.known, gate, rows, y, width,
        work.heads, work.n, BLOCK=LARGEST_BLOCK, BLOCK_W=wide,
    )  # fmt: skip


def scan_adjoint(work: Work, gate: torch.Tensor, adjoint: torch.Tensor) -> None:
    """Turn ``G`` (fp32, contiguous) into ``λ_t = g_t + gate_{t+1} · λ_{t+1}`` in place."""
    width = adjoint.shape[-1]
    wide = width_of(work, width, work.groups)
    run(
        scans.scan_adjoint, work, (work.groups, -(-width // wide)), work.segments, gate, adjoint, width,
        work.heads, work.n, BLOCK=LARGEST_BLOCK, BLOCK_W=wide,
    )  # fmt: skip


def spread(part: Part, work: Work, x: torch.Tensor) -> torch.Tensor:
    """``Σ_t weight_ts x_t`` for every row ``s``, fp32."""
    width = x.shape[-1]
    panels = _panels(part, work, width, transposed=True)
    out = work.empty(width)
    wide = width_of(work, width, work.groups * panels.blocks)
    run(
        gradients.spread, work, (work.groups, panels.blocks, -(-width // wide)),
        work.segments, panels.first, panels.columns, panels.bits, panels.edges, panels.order,
        *_scores(part, work), _given(part.normaliser, work), *_rows(x, work), width, out,
        *_sizes(part, work), BLOCK_W=wide, **_options(part, work, panels.block),
    )  # fmt: skip
    return out


@dataclass
class Slopes:
    """Gradients of what a part's scores are made from; fp32, added to where tensors are shared."""

    left: torch.Tensor | None
    right: torch.Tensor | None
    bias: torch.Tensor | None
    values: torch.Tensor | None


def differentiate(part: Part, work: Work, gradient: torch.Tensor, x: torch.Tensor, slopes: Slopes) -> None:
    """Add the gradients of a part's scores, where the weight of ``(t, s)`` has the gradient ``gradient_t · x_s``."""
    width = x.shape[-1]
    directions = [(False, slopes.left)]
    if part.left is not None:
        directions.append((True, slopes.right))
    for transposed, out in directions:
        panels = _panels(part, work, width, transposed)
        options = _options(part, work, panels.block)
        run(
            gradients.differentiate, work, (work.groups, panels.blocks),
            work.segments, panels.first, panels.columns, panels.bits, panels.edges,
            *_scores(part, work), _given(part.normaliser, work), _given(part.statistic, work),
            _given(part.slope, work), *_rows(gradient, work), *_rows(x, work), width,
            _given(out, work), _given(slopes.bias, work), _given(slopes.values, work), *_sizes(part, work),
            TRANSPOSED=transposed, BLOCK_W=min(64, _deep(x)), **options,
        )  # fmt: skip


def _given(tensor: torch.Tensor | None, work: Work) -> torch.Tensor:
    return _nothing(work) if tensor is None else tensor
