"""State expansion on the portable backend: outputs are ``r × width`` matrices, stored as ``r`` rows a position."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from glmix_theory.export.backend import EdgeValues, working_dtype
from glmix_theory.export.coefficients import DIRECT, READOUT, RECURRENT, Scores, row_softmax
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.layout import layout_of
from glmix_theory.export.remembering import remembered
from glmix_theory.export.row_solves import delta_solve, grouped, ungrouped
from glmix_theory.export.sparse import sparse_rows, sparse_solve
from glmix_theory.export.structure import EdgeTable, Structure


def mix_expanded(structure: Structure, kind: str, inputs: Inputs, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``z (groups, n, width)`` and ``S (groups, n, r, width)`` of the kinds with state expansion."""
    scores = Scores(structure, inputs, block)
    q, k, v = (scores.rows(name) for name in ("q", "k", "v"))
    strength = scores.rows("write").sigmoid() if kind == "delta" else None
    writes = (k if strength is None else strength * k).unsqueeze(3) * v.unsqueeze(2)
    shares = _shares(scores, DIRECT, structure.direct, sole=False)
    rows = sparse_rows(layout_of(structure.direct, scores.device, block), shares, writes.flatten(2))
    rows = rows.unflatten(2, writes.shape[2:])
    if inputs.outputs is not None:
        rows = torch.cat([inputs.outputs.flatten(0, 1).to(rows.dtype), rows[:, structure.known :]], dim=1)
    sums = None if inputs.gate is None else _decay_sums(structure, inputs)
    decays = 1 if sums is None else len(sums) // len(rows)

    values = _decayed(_shares(scores, RECURRENT, structure.recurrent, structure.read_once), sums, structure.recurrent)
    states, layout = grouped(rows, decays), layout_of(structure.recurrent, scores.device, block)
    if structure.recurrent.number:
        if strength is None:
            states = sparse_solve(layout, values, states)
        else:
            states = delta_solve(layout, values, k, strength, states)
    assert structure.readout is not None  # check_kind: matrices need a readout
    bias = scores.bias(READOUT, structure.readout)
    factors = q.new_ones(len(q), structure.readout.number) if bias is None else bias.exp().repeat(scores.batch, 1)
    values = _decayed(factors, sums, structure.readout)
    read = sparse_rows(layout_of(structure.readout, scores.device, block), values, states)
    state = structure.state
    z = torch.einsum("gtr,gtrw->gtw", q, ungrouped(read, state, decays))
    return z, ungrouped(states, state, decays)


def _shares(scores: Scores, part: int, table: EdgeTable, sole: bool) -> torch.Tensor:
    """Softmax of the bias over the edges of each row, ``(groups, edges)``; 1 where an output has a sole reader."""
    groups = scores.batch * scores.heads
    if sole:
        return torch.ones(groups, table.number, dtype=scores.work, device=scores.device)
    bias = scores.bias(part, table)
    if bias is None:
        bias = torch.zeros(scores.heads, table.number, dtype=scores.work, device=scores.device)
    return row_softmax([bias], [table.index("targets", scores.device)], scores.n)[0].repeat(scores.batch, 1)


def _decay_sums(structure: Structure, inputs: Inputs) -> torch.Tensor:
    """Sums of ``log a`` up to each position, ``(groups · decays, n)`` in fp64, 0 just before the computed rows."""
    assert inputs.gate is not None
    logs = logsigmoid(inputs.gate[:, :, structure.known :].double())
    sums = logs.cumsum(dim=2)
    if structure.known:
        # Of a known row, what is lost between it and the computed ones; nothing is known of it otherwise.
        kept = sums.new_zeros(*logs.shape[:2], structure.known, logs.shape[3]) if inputs.kept is None else inputs.kept
        sums = torch.cat([-kept.double(), sums], dim=2)
    return sums.transpose(2, 3).flatten(0, 2)


def _decayed(shares: torch.Tensor, sums: torch.Tensor | None, table: EdgeTable) -> torch.Tensor:
    """Shares times the decay from source to target, ``(groups · decays, edges)``."""
    if sums is None:
        return shares
    targets, sources = (table.index(name, sums.device) for name in ("targets", "sources"))
    decay = torch.exp(sums.index_select(1, targets) - sums.index_select(1, sources)).to(shares.dtype)
    return decay * shares.repeat_interleave(len(sums) // len(shares), dim=0)


def solve_expanded(structure: Structure, values: EdgeValues, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``z (groups, n, width)`` and ``S (groups, n, r, width)`` for given edge values."""
    alpha, beta, gamma, x = values
    work, state, device = working_dtype(x.dtype), structure.state, x.device

    def by_state_row(numbers: torch.Tensor) -> torch.Tensor:
        return numbers.to(work).mT.flatten(0, 2)  # (groups · r, edges)

    inputs = x.flatten(0, 1).to(work).repeat_interleave(state, dim=0)
    rows = sparse_rows(layout_of(structure.direct, device, block), by_state_row(alpha), inputs)
    matrices = ungrouped(rows, state, state)
    if beta.shape[2]:
        if beta.dim() == 5:
            lifted, order = _lifted(structure.recurrent, state, device)
            numbers = beta.flatten(0, 1).flatten(1).to(work).index_select(1, order)
            solved = sparse_solve(layout_of(lifted, device, block), numbers, matrices.flatten(1, 2))
            matrices = solved.unflatten(1, (-1, state))
        else:
            decays = beta.shape[3]
            layout = layout_of(structure.recurrent, device, block)
            matrices = ungrouped(sparse_solve(layout, by_state_row(beta), grouped(matrices, decays)), state, decays)
    assert structure.readout is not None  # solve checks it
    assert gamma is not None
    read = sparse_rows(layout_of(structure.readout, device, block), by_state_row(gamma), grouped(matrices, state))
    return ungrouped(read, state, state).sum(dim=2), matrices


def _lifted(table: EdgeTable, state: int, device: torch.device) -> tuple[EdgeTable, torch.Tensor]:
    """The table of ``r × r`` blocks as one of numbers, and which number of ``(edges, r, r)`` each of its edges is."""

    def make() -> tuple[EdgeTable, torch.Tensor]:
        inner = np.arange(state)
        degrees = np.diff(table.indptr)
        indptr = np.concatenate([[0], np.cumsum(np.repeat(degrees * state, state))])
        row = np.repeat(table.targets, state * state)
        blocks = np.arange(table.number)[:, None, None]
        order = (blocks * state + inner[:, None]) * state + inner
        i, j = np.broadcast_arrays(inner[:, None], inner)
        i, j = np.tile(i.ravel(), table.number), np.tile(j.ravel(), table.number)
        by_row = np.lexsort((np.repeat(table.sources, state * state) * state + j, row * state + i))
        sources = (np.repeat(table.sources, state * state) * state + j)[by_row]
        lifted = EdgeTable(indptr, sources, np.zeros(len(sources), dtype=np.int64))
        return lifted, torch.from_numpy(order.ravel()[by_row]).to(device)

    found: tuple[EdgeTable, torch.Tensor] = remembered(table, ("lifted", state, str(device)), make)
    return found
