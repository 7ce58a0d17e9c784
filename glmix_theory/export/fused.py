"""The CPU backend: compiled loops that make coefficients and outputs of a row in one pass.

Scores and weights of a row live in registers and cache only; nothing of the size of the edges is stored, and
the backward pass makes them again. Groups (one head of one sequence) run side by side on torch's number of
threads, each in a fixed order, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch

from glmix_theory.export import fused_states
from glmix_theory.export.backend import Backend, EdgeValues, Mixed
from glmix_theory.export.fused_arrays import (
    NUMBER,
    Sizes,
    by_group,
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
from glmix_theory.export.kernels.adjoint import mix_groups_backward
from glmix_theory.export.kernels.mixing import mix_groups
from glmix_theory.export.kernels.values import solve_groups, solve_groups_backward
from glmix_theory.export.kinds import KINDS
from glmix_theory.export.packing import terms_of
from glmix_theory.export.structure import LAG_CLASSES, Structure


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """Coefficients and outputs; see :class:`~glmix_theory.export.backend.Backend`."""
    if structure.state > 1:
        return fused_states.mix(structure, kind, inputs)
    given, known = working(inputs), structure.known
    heads, width, depth, gate_width = _widths(given)
    y = z = placed_rows(given.v, inputs.segments)
    if structure.readout is not None:
        make = torch.empty_like if inputs.segments is None else torch.zeros_like
        y = make(given.v, memory_format=torch.contiguous_format)
    if known:
        assert inputs.outputs is not None
        y[:, :, :known] = inputs.outputs[:, :, :, 0]
    bias = None if given.bias is None else given.bias.contiguous()
    tensors = located((given.q, given.k, given.v, given.gate, given.write, bias, y, z))
    tables, like, room = tables_of(structure), NUMBER[y.dtype], Sizes(structure, y.dtype)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        mix_groups(
            like, KINDS.index(kind), known, depth, width, gate_width, heads, LAG_CLASSES, groups, tables.addresses,
            tensors, scratch,
        )  # fmt: skip

    sizes = [room.rows(depth, given.k), room.rows(width, given.v), room.rows(width, y)]
    sizes += [5 * room.row(max(width, depth)), room.edges, room.edges]
    in_groups(run, sizes, structure, y.shape, inputs.segments)
    if known:
        z = z.clone() if z is y else z
        z[:, :, :known] = 0
    result = z.to(inputs.v.dtype)
    return Mixed(result, result if z is y else y.to(inputs.v.dtype), terms_of(structure, inputs.segments))


def mix_backward(structure: Structure, kind: str, inputs: Inputs, y: torch.Tensor, dz: torch.Tensor) -> Inputs:
    """Gradients of the inputs; see :class:`~glmix_theory.export.backend.Backend`."""
    if structure.state > 1:
        return fused_states.mix_backward(structure, kind, inputs, y, dz)
    given, segments = working(inputs), inputs.segments
    heads, width, depth, gate_width = _widths(given)
    gradients = given.map(lambda tensor: rows_like(tensor, segments))
    if kind == "delta" and structure.readout is None and gradients.q is not None:
        gradients.q.zero_()  # without a readout no query is read, and nothing writes its gradient
    bias = None if given.bias is None else given.bias.contiguous()
    sequences = len(given.v) if segments is None else len(segments)
    dbias = None if bias is None else bias.new_zeros(sequences, heads, 3, LAG_CLASSES, dtype=torch.float64)
    outputs, ahead = (side_by_side(rows.to(given.v.dtype)) for rows in (y, dz))
    tensors = located(
        (given.q, given.k, given.v, given.gate, given.write, bias, outputs, ahead,
         gradients.q, gradients.k, gradients.v, gradients.gate, gradients.write, dbias)
    )  # fmt: skip
    tables, like, room = tables_of(structure), NUMBER[outputs.dtype], Sizes(structure, outputs.dtype)

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        mix_groups_backward(
            like, KINDS.index(kind), depth, width, gate_width, heads, LAG_CLASSES, groups, tables.addresses,
            tensors, scratch,
        )  # fmt: skip

    sizes = [room.rows(depth, given.k), room.rows(width, given.v), room.rows(width, outputs)]
    sizes += [room.rows(width), room.rows(depth, gradients.k), room.rows(width, gradients.v)]
    sizes += [10 * room.row(max(width, depth)), room.edges, room.edges, room.edges]
    in_groups(run, sizes, structure, outputs.shape, segments)
    if gradients.bias is not None and dbias is not None:
        gradients.bias.copy_(dbias.sum(0).transpose(0, 1))
    return gradients


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """Outputs for given coefficients; see :class:`~glmix_theory.export.backend.Backend`."""
    if structure.state > 1:
        return fused_states.solve(structure, values)
    alpha, beta, gamma, x = in_working_dtype(values)
    y = z = placed_rows(x, None)
    if structure.readout is not None:
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
    tensors = located((by_group(alpha), by_group(beta), by_group(gamma), x, y, z))
    tables, like, room, width = tables_of(structure), NUMBER[x.dtype], Sizes(structure, x.dtype), x.shape[3]

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        solve_groups(like, width, groups, tables.addresses, tensors, scratch)

    in_groups(run, [room.rows(width, x), room.rows(width, y), room.row(width)], structure, x.shape, None)
    result = z.to(values.x.dtype)
    return Mixed(result, result if z is y else y.to(values.x.dtype), terms_of(structure, None))


def solve_backward(structure: Structure, values: EdgeValues, y: torch.Tensor, dz: torch.Tensor) -> EdgeValues:
    """Gradients of the coefficients and rows; see :class:`~glmix_theory.export.backend.Backend`."""
    if structure.state > 1:
        return fused_states.solve_backward(structure, values, y, dz)
    given = in_working_dtype(values)
    gradients = EdgeValues(*(None if value is None else torch.empty_like(value) for value in given))  # type: ignore[arg-type]
    outputs, ahead = (side_by_side(rows.to(given.x.dtype)) for rows in (y, dz))
    edges = [by_group(value) for value in (*given[:3], *gradients[:3])]
    tensors = located((*edges[:3], given.x, outputs, ahead, *edges[3:], gradients.x))
    tables, like, room, width = tables_of(structure), NUMBER[outputs.dtype], Sizes(structure, outputs.dtype), y.shape[3]

    def run(groups: np.ndarray, scratch: np.ndarray) -> None:
        solve_groups_backward(like, width, groups, tables.addresses, tensors, scratch)

    sizes = [room.rows(width, given.x), room.rows(width, outputs), room.rows(width), room.rows(width)]
    in_groups(run, [*sizes, room.row(width), room.edges], structure, outputs.shape, None)
    return gradients


def _widths(inputs: Inputs) -> tuple[int, int, int, int]:
    """Heads, width of a row, of a key and of a gate."""
    depth = 0 if inputs.k is None else inputs.k.shape[3]
    return inputs.v.shape[1], inputs.v.shape[3], depth, 0 if inputs.gate is None else inputs.gate.shape[3]


BACKEND = Backend(mix, solve, mix_backward, solve_backward, frozenset({"cpu"}))
"""Named ``"numba"`` in :data:`~glmix_theory.export.operators.BACKENDS`."""
