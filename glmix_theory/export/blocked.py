"""The portable backend: blocked panels on any device, nothing ``n × n`` on a sparse pattern."""

from __future__ import annotations

import torch

from glmix_theory.export.backend import EdgeValues, Mixed, working_dtype
from glmix_theory.export.coefficients import Scores, edge_values
from glmix_theory.export.expansion import mix_expanded, solve_expanded
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.layout import BLOCK, layout_of
from glmix_theory.export.packing import mix_segments, terms_of
from glmix_theory.export.row_solves import channel_solve
from glmix_theory.export.sparse import sparse_rows, sparse_solve
from glmix_theory.export.structure import Structure


def mix(structure: Structure, kind: str, inputs: Inputs, block: int = BLOCK) -> Mixed:
    """Coefficients of a kind and the mixer; see :func:`glmix_theory.export.functional.mix`.

    Results do not depend on ``block``, the rows per panel, beyond rounding.
    """
    with torch.autocast(inputs.v.device.type, enabled=False):
        if inputs.segments is not None:
            z, y = mix_segments(structure, inputs, lambda part, rows: mix(part, kind, rows, block))
            return Mixed(z, y, terms_of(structure, inputs.segments))
        if structure.state > 1:
            z, y = mix_expanded(structure, kind, inputs, block)
        else:
            z, y = _mix_rows(structure, kind, inputs, block)
        return _mixed(structure, inputs.v, z, y)


def solve(structure: Structure, values: EdgeValues, block: int = BLOCK) -> Mixed:
    """The mixer for given edge values; see :func:`glmix_theory.export.functional.solve`."""
    x = values.x
    with torch.autocast(x.device.type, enabled=False):
        if structure.state > 1:
            return _mixed(structure, x, *solve_expanded(structure, values, block))
        work = working_dtype(x.dtype)
        alpha, beta, *gamma = (value.flatten(0, 1).to(work) for value in values[:3] if value is not None)
        rows = sparse_rows(layout_of(structure.direct, x.device, block), alpha, x.flatten(0, 1).to(work))
        y = rows
        if structure.recurrent.number:
            y = sparse_solve(layout_of(structure.recurrent, x.device, block), beta, rows)
        z = y if structure.readout is None else sparse_rows(layout_of(structure.readout, x.device, block), gamma[0], y)
        return _mixed(structure, x, z, y)


def _mix_rows(structure: Structure, kind: str, inputs: Inputs, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y``, ``(groups, n, width)``, with one row per position."""
    scores = Scores(structure, inputs, block)
    alpha, beta, *gamma = edge_values(kind, scores)
    rows = sparse_rows(layout_of(structure.direct, scores.device, block), alpha, scores.rows("v"))
    gate = None
    if kind == "gated" and inputs.gate is not None and inputs.gate.shape[3] > 1:
        gate, new = (log.exp() for log in scores.log_gate())
        rows = new * rows
    if inputs.outputs is not None:
        known = inputs.outputs[:, :, :, 0].flatten(0, 1).to(rows.dtype)
        rows = torch.cat([known, rows[:, structure.known :]], dim=1)
    y, layout = rows, layout_of(structure.recurrent, scores.device, block)
    if structure.recurrent.number:
        y = sparse_solve(layout, beta, rows) if gate is None else channel_solve(layout, beta, gate, rows)
    if structure.readout is None:
        return y, y
    return sparse_rows(layout_of(structure.readout, scores.device, block), gamma[0], y), y


def _mixed(structure: Structure, x: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Mixed:
    """The result in the dtype and shape of the rows; known rows are outputs but not results."""
    outputs = y.unflatten(0, x.shape[:2]).to(x.dtype)
    if z is not y:
        result = z.unflatten(0, x.shape[:2]).to(x.dtype)
    elif structure.known:
        result = outputs.clone()
        result[:, :, : structure.known] = 0
    else:
        result = outputs
    return Mixed(result, outputs, terms_of(structure, None))
