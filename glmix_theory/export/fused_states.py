"""The CPU backend under state expansion: outputs are matrices of ``r`` rows."""

from __future__ import annotations

import numpy as np
import torch

from glmix_theory.export.backend import EdgeValues, Mixed
from glmix_theory.export.fused_arrays import (
    NUMBER,
    Sizes,
    by_group,
    empty,
    in_groups,
    in_working_dtype,
    located,
    placed_rows,
    rows_like,
    side_by_side,
    tables_of,
    working,
)
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.kernels.states import mix_states
from glmix_theory.export.kernels.states_adjoint import mix_states_backward
from glmix_theory.export.kernels.states_values import solve_states, solve_states_backward
from glmix_theory.export.kinds import KINDS
from glmix_theory.export.packing import terms_of
from glmix_theory.export.structure import LAG_CLASSES, Structure

_DOUBLE = 8


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """Coefficients and outputs; see :class:`~glmix_theory.export.backend.Backend`."""
    given, known, segments, r = working(inputs), structure.known, inputs.segments, structure.state
    batch, heads, n, width = inputs.v.shape
    gate_width = 0 if given.gate is None else given.gate.shape[3]
    y, z = empty((batch, heads, n, r, width), given.v.dtype), placed_rows(given.v, segments)
    if segments is not None:
        y.zero_()
    kept = torch.zeros(batch, heads, known, gate_width, dtype=torch.float64)
    if known:
        assert inputs.outputs is not None
        y[:, :, :known] = inputs.outputs
        if inputs.kept is not None:
            kept = inputs.kept.double().contiguous()
    bias = None if given.bias is None else given.bias.contiguous()
    tensors = located((given.q, given.k, given.v, given.gate, given.write, bias, y, z, kept))
    tables, like, room = tables_of(structure), NUMBER[y.dtype], Sizes(structure, y.dtype)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        mix_states(
            like, KINDS.index(kind), known, r, width, gate_width, structure.read_once, heads, LAG_CLASSES, groups,
            tables.addresses, tensors, scratch,
        )  # fmt: skip

    sizes = [room.rows(r, given.k), room.rows(width, given.v), room.matrices(width, r)]
    sizes += [4 * room.row(max(width, r)), room.edges, structure.n * gate_width * _DOUBLE]
    in_groups(run, sizes, structure, inputs.v.shape, segments)
    if known:
        z[:, :, :known] = 0
    return Mixed(z.to(inputs.v.dtype), y.to(inputs.v.dtype), terms_of(structure, segments))


def mix_backward(structure: Structure, kind: str, inputs: Inputs, y: torch.Tensor, dz: torch.Tensor) -> Inputs:
    """Gradients of the inputs; see :class:`~glmix_theory.export.backend.Backend`."""
    given, segments, r = working(inputs), inputs.segments, structure.state
    batch, heads, _, width = inputs.v.shape
    gate_width = 0 if given.gate is None else given.gate.shape[3]
    gradients = given.map(lambda tensor: rows_like(tensor, segments))
    bias = None if given.bias is None else given.bias.contiguous()
    sequences = batch if segments is None else len(segments)
    dbias = None if bias is None else bias.new_zeros(sequences, heads, 3, LAG_CLASSES, dtype=torch.float64)
    outputs, ahead = y.to(given.v.dtype).contiguous(), side_by_side(dz.to(given.v.dtype))
    tensors = located(
        (given.q, given.k, given.v, given.gate, given.write, bias, outputs, ahead,
         gradients.q, gradients.k, gradients.v, gradients.gate, gradients.write, dbias)
    )  # fmt: skip
    tables, like, room = tables_of(structure), NUMBER[outputs.dtype], Sizes(structure, outputs.dtype)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        mix_states_backward(
            like, KINDS.index(kind), r, width, gate_width, structure.read_once, tables.ring, heads, LAG_CLASSES, groups,
            tables.addresses, tensors, scratch,
        )  # fmt: skip

    running = structure.n * gate_width * _DOUBLE
    sizes = [room.rows(r, given.k), room.rows(width, given.v), room.matrices(width, r)]
    sizes += [(tables.ring + 1) * r * room.row(width), room.rows(r), room.rows(width)]
    sizes += [8 * room.row(max(width, r)), room.edges, room.edges, running, running, structure.n * _DOUBLE]
    in_groups(run, sizes, structure, inputs.v.shape, segments)
    if gradients.bias is not None and dbias is not None:
        gradients.bias.copy_(dbias.sum(0).transpose(0, 1))
    return gradients


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """Outputs for given coefficients; see :class:`~glmix_theory.export.backend.Backend`."""
    given, r = in_working_dtype(values), structure.state
    x, width = given.x, given.x.shape[3]
    y, z = empty((*x.shape[:3], r, width), x.dtype), placed_rows(x, None)
    tensors = located((*map(by_group, given[:3]), x, y, z))
    tables, like, room, block = tables_of(structure), NUMBER[x.dtype], Sizes(structure, x.dtype), _block(given.beta)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        solve_states(like, r, block, width, groups, tables.addresses, tensors, scratch)

    sizes = [room.rows(width, x), room.matrices(width, r), room.row(width)]
    in_groups(run, sizes, structure, x.shape, None)
    return Mixed(z.to(values.x.dtype), y.to(values.x.dtype), terms_of(structure, None))


def solve_backward(structure: Structure, values: EdgeValues, y: torch.Tensor, dz: torch.Tensor) -> EdgeValues:
    """Gradients of the coefficients and rows; see :class:`~glmix_theory.export.backend.Backend`."""
    given, r = in_working_dtype(values), structure.state
    gradients = EdgeValues(*(None if value is None else torch.empty_like(value) for value in given))  # type: ignore[arg-type]
    outputs, ahead = y.to(given.x.dtype).contiguous(), side_by_side(dz.to(given.x.dtype))
    edges = [by_group(value) for value in (*given[:3], *gradients[:3])]
    tensors = located((*edges[:3], given.x, outputs, ahead, *edges[3:], gradients.x))
    tables, like, room = tables_of(structure), NUMBER[outputs.dtype], Sizes(structure, outputs.dtype)
    width, block = given.x.shape[3], _block(given.beta)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        solve_states_backward(like, r, block, tables.ring, width, groups, tables.addresses, tensors, scratch)

    sizes = [room.rows(width, given.x), room.matrices(width, r), tables.ring * r * room.row(width)]
    in_groups(run, [*sizes, room.rows(width), room.row(width)], structure, given.x.shape, None)
    return gradients


def _block(beta: torch.Tensor) -> int:
    """Numbers of β for each edge."""
    return int(np.prod(beta.shape[3:]))
