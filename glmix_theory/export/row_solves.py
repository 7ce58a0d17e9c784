"""Solves in which every row changes what it reads: by a gate per channel, or by the delta rule.

Both are ``y_t = u_t + E_t Σ_s values_ts y_s`` with an ``E_t`` of its own in every row, by forward
substitution over the panels of a layout, and backward by the transposed solve. Only rows and edge values
are kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from glmix_theory.export.layout import Layout
from glmix_theory.export.sparse import (
    add_rows,
    combined_rows,
    filled,
    full_precision,
    group_parts,
    sampled_rows,
)

# --- a gate per channel -----------------------------------------------------------------------------


@full_precision
def channel_solved_rows(layout: Layout, values: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``y_t = rows_t + gate_t ⊙ Σ_s values_ts y_s`` by forward substitution over blocks."""
    result = rows.clone(memory_format=torch.contiguous_format)
    for part in group_parts(layout, len(result), layout.panels[0].height * rows.shape[2]):
        weights, scale, out = values[part], gate[part], result[part]
        for panel in layout.panels:
            if not len(panel.entries):
                continue
            earlier, inside = filled(panel, weights).tensor_split([panel.number_earlier], dim=2)
            block, factor = out[:, panel.rows], scale[:, panel.rows]
            if panel.number_earlier:
                block = block + factor * torch.bmm(earlier, out[:, panel.earlier])
            if panel.coupled:
                coupled = factor.mT.unsqueeze(3) * inside.unsqueeze(1)  # (groups, channels, height, height)
                block = (
                    torch.linalg.solve_triangular(-coupled, block.mT.unsqueeze(3), upper=False, unitriangular=True)
                    .squeeze(3)
                    .mT
                )
            out[:, panel.rows] = block
    return result


@full_precision
def channel_back_solved_rows(
    layout: Layout, values: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """The transpose of :func:`channel_solved_rows` in ``rows``."""
    result = rows.clone(memory_format=torch.contiguous_format)
    for part in group_parts(layout, len(result), layout.panels[0].height * rows.shape[2]):
        weights, scale, out = values[part], gate[part], result[part]
        for panel in reversed(layout.panels):
            if not len(panel.entries):
                continue
            earlier, inside = filled(panel, weights).tensor_split([panel.number_earlier], dim=2)
            block, factor = out[:, panel.rows], scale[:, panel.rows]
            if panel.coupled:
                coupled = (factor.mT.unsqueeze(3) * inside.unsqueeze(1)).mT
                block = (
                    torch.linalg.solve_triangular(-coupled, block.mT.unsqueeze(3), upper=True, unitriangular=True)
                    .squeeze(3)
                    .mT
                )
                out[:, panel.rows] = block
            if panel.number_earlier:
                add_rows(out, panel.earlier, torch.bmm(earlier.mT, factor * block))
    return result


class _ChannelSolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor, layout: Layout) -> torch.Tensor:
        result = channel_solved_rows(layout, values, gate, rows)
        ctx.layout = layout
        ctx.save_for_backward(values, gate, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, gate, result = ctx.saved_tensors
        adjoint = channel_back_solved_rows(ctx.layout, values, gate, gradient)
        return (
            sampled_rows(ctx.layout, adjoint * gate, result) if ctx.needs_input_grad[0] else None,
            adjoint * combined_rows(ctx.layout, values, result) if ctx.needs_input_grad[1] else None,
            adjoint if ctx.needs_input_grad[2] else None,
            None,
        )


def channel_solve(layout: Layout, values: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``Y`` with ``y_t = rows_t + gate_t ⊙ Σ_s values_ts y_s``; differentiable.

    Parameters
    ----------
    layout : Layout
        The edges of a strictly causal pattern.
    values : tensor (groups, edges)
        One number per edge.
    gate, rows : tensor (groups, n, width)
        A factor for each row and channel, and the right-hand side.

    Returns
    -------
    tensor (groups, n, width)

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import EdgeTable
    >>> layout = Layout(EdgeTable.of(glm.Lags([1]), 3), torch.device("cpu"))
    >>> gate = torch.tensor([0.5, 0.0]).expand(1, 3, 2)
    >>> channel_solve(layout, torch.ones(1, 2), gate, torch.ones(1, 3, 2)).tolist()
    [[[1.0, 1.0], [1.5, 1.0], [1.75, 1.0]]]
    """
    result: torch.Tensor = _ChannelSolved.apply(values, gate, rows, layout)
    return result


# --- the delta rule ---------------------------------------------------------------------------------


def grouped(matrices: torch.Tensor, decays: int) -> torch.Tensor:
    """``(groups, n, r, width)`` as rows that share edge values.

    With one decay all ``r`` rows of a position do, ``(groups, n, r · width)``; with one per state row
    each is a group of its own, ``(groups · r, n, width)``.
    """
    return matrices.flatten(2) if decays == 1 else matrices.transpose(1, 2).flatten(0, 1)


def ungrouped(rows: torch.Tensor, state: int, decays: int) -> torch.Tensor:
    """The inverse of :func:`grouped`."""
    return rows.unflatten(2, (state, -1)) if decays == 1 else rows.unflatten(0, (-1, state)).transpose(1, 2)


class _Delta:
    """The panels of a delta rule, one after another, on a part of the groups.

    ``S = U + W - K P`` with ``W = R S`` (``R`` the edge values) and ``p_t = b_t k_tᵀ W_t``. Inside a block,
    with ``N = (I - R)^{-1}`` and ``F`` what earlier blocks and ``U`` give, ``S = N (F - K P)``, so ``P``
    solves ``p_t + b_t Σ_s (Σ_j k_tj (N - I)_{j,ts} k_sj) p_s = b_t k_tᵀ (N F - U)_t``: one triangular system of
    the block's height, whatever ``r`` (the UT transform where ``R`` is lag 1).
    """

    def __init__(self, layout: Layout, values: torch.Tensor, keys: torch.Tensor, strength: torch.Tensor) -> None:
        self.layout, self.keys, self.strength = layout, keys, strength
        self.state = keys.shape[2]
        self.decays = len(values) // len(keys)
        self.values = values

    def parts(self, width: int) -> Iterator[tuple[_Delta, slice]]:
        """Itself on groups small enough for the temporaries of a block, and which rows they are."""
        height = self.layout.panels[0].height
        for part in group_parts(self.layout, len(self.keys), self.state * max(height, width)):
            rows = slice(part.start * self.decays, part.stop * self.decays)
            yield _Delta(self.layout, self.values[rows], self.keys[part], self.strength[part]), rows

    def against_keys(self, rows: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """``k_tᵀ S_t`` of grouped rows: ``(groups, height, width)``."""
        return torch.einsum("gtr,gtrw->gtw", keys, ungrouped(rows, self.state, self.decays))

    def along_keys(self, keys: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """``k_t p_t`` as grouped rows."""
        return grouped(keys.unsqueeze(3) * rows.unsqueeze(2), self.decays)

    def between_keys(self, strict: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """``Σ_j k_tj strict_{j,ts} k_sj`` for all pairs of a block."""
        if self.decays == 1:
            return strict * (keys @ keys.mT)
        rows = keys.mT  # (groups, r, height)
        return (strict.unflatten(0, (-1, self.state)) * rows.unsqueeze(3) * rows.unsqueeze(2)).sum(dim=1)

    def resolvent(self, inside: torch.Tensor) -> torch.Tensor:
        """``N = (I - inside)^{-1}``."""
        identity = torch.eye(inside.shape[1], dtype=inside.dtype, device=inside.device).expand_as(inside)
        return torch.linalg.solve_triangular(-inside, identity, upper=False, unitriangular=True)

    def forward(self, out: torch.Tensor) -> None:
        """Replace grouped right-hand sides by the solution."""
        for panel in self.layout.panels:
            if not len(panel.entries):
                continue
            earlier, inside = filled(panel, self.values).tensor_split([panel.number_earlier], dim=2)
            keys, strength = self.keys[:, panel.rows], self.strength[:, panel.rows]
            given = solved = out[:, panel.rows]
            if panel.number_earlier:
                solved = torch.baddbmm(given, earlier, out[:, panel.earlier])
            if panel.coupled:
                resolvent = self.resolvent(inside)
                solved = torch.bmm(resolvent, solved)
            corrections = strength * self.against_keys(solved - given, keys)
            if panel.coupled:
                system = strength * self.between_keys(resolvent, keys)  # its diagonal is not read
                corrections = torch.linalg.solve_triangular(system, corrections, upper=False, unitriangular=True)
                change = torch.bmm(resolvent, self.along_keys(keys, corrections))
            else:
                change = self.along_keys(keys, corrections)
            out[:, panel.rows] = solved - change

    def backward(self, out: torch.Tensor, changed: torch.Tensor) -> None:
        """Replace grouped gradients of ``S`` by those of ``U``, ``L``; ``changed`` becomes ``E_t L_t``."""
        for panel in reversed(self.layout.panels):
            adjoint = out[:, panel.rows]
            if not len(panel.entries):
                changed[:, panel.rows] = adjoint
                continue
            earlier, inside = filled(panel, self.values).tensor_split([panel.number_earlier], dim=2)
            keys, strength = self.keys[:, panel.rows], self.strength[:, panel.rows]
            if panel.coupled:
                resolvent = self.resolvent(inside)
                adjoint = torch.bmm(resolvent.mT, adjoint)
            corrections = strength * self.against_keys(adjoint, keys)
            if panel.coupled:
                strict = resolvent.tril(-1)
                system = strength * self.between_keys(strict.mT, keys)
                corrections = torch.linalg.solve_triangular(system, corrections, upper=True, unitriangular=True)
                along = self.along_keys(keys, corrections)
                adjoint = torch.baddbmm(adjoint, strict.mT, along, alpha=-1)
            else:
                along = self.along_keys(keys, corrections)
            out[:, panel.rows] = adjoint
            changed[:, panel.rows] = adjoint - along
            if panel.number_earlier:
                add_rows(out, panel.earlier, torch.bmm(earlier.mT, adjoint - along))


@full_precision
def _delta_forward(
    layout: Layout, values: torch.Tensor, keys: torch.Tensor, strength: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    result = rows.clone(memory_format=torch.contiguous_format)
    for delta, part in _Delta(layout, values, keys, strength).parts(rows.shape[2]):
        delta.forward(result[part])
    return result


@full_precision
def _delta_backward(
    layout: Layout, values: torch.Tensor, keys: torch.Tensor, strength: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    adjoint = rows.clone(memory_format=torch.contiguous_format)
    changed = torch.empty_like(adjoint)
    for delta, part in _Delta(layout, values, keys, strength).parts(rows.shape[2]):
        delta.backward(adjoint[part], changed[part])
    return adjoint, changed


class _DeltaSolved(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, keys: torch.Tensor, strength: torch.Tensor, rows: torch.Tensor, layout: Layout
    ) -> torch.Tensor:
        result = _delta_forward(layout, values, keys, strength, rows)
        ctx.layout = layout
        ctx.save_for_backward(values, keys, strength, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, keys, strength, result = ctx.saved_tensors
        adjoint, changed = _delta_backward(ctx.layout, values, keys, strength, gradient)
        decays, state = len(values) // len(keys), keys.shape[2]
        read, back = (ungrouped(rows, state, decays) for rows in (combined_rows(ctx.layout, values, result), adjoint))
        held, wanted = (torch.einsum("gtr,gtrw->gtw", keys, rows) for rows in (read, back))
        key_gradient = torch.einsum("gtrw,gtw->gtr", back, held) + torch.einsum("gtrw,gtw->gtr", read, wanted)
        return (
            sampled_rows(ctx.layout, changed, result) if ctx.needs_input_grad[0] else None,
            -strength * key_gradient,
            -(wanted * held).sum(dim=2, keepdim=True),
            adjoint,
            None,
        )


def delta_solve(
    layout: Layout, values: torch.Tensor, keys: torch.Tensor, strength: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """``S`` with ``S_t = U_t + (I - b_t k_t k_tᵀ) Σ_s values_ts ⊙ S_s``; differentiable.

    Parameters
    ----------
    layout : Layout
        The edges of a strictly causal pattern.
    values : tensor (groups · decays, edges)
        One number per edge, or one per edge and state row.
    keys : tensor (groups, n, r)
        ``k``.
    strength : tensor (groups, n, 1)
        ``b``.
    rows : tensor
        ``U``, laid out by :func:`grouped` with as many decays as ``values`` has.

    Returns
    -------
    tensor
        ``S``, laid out as ``rows``.

    Examples
    --------
    The second write replaces what the first stored under the same key:

    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import EdgeTable
    >>> layout = Layout(EdgeTable.of(glm.Lags([1]), 2), torch.device("cpu"))
    >>> keys = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    >>> writes = grouped(keys.unsqueeze(3) * torch.tensor([[[[5.0]], [[7.0]]]]), decays=1)
    >>> delta_solve(layout, torch.ones(1, 1), keys, torch.ones(1, 2, 1), writes).tolist()
    [[[5.0, 0.0], [7.0, 0.0]]]
    """
    result: torch.Tensor = _DeltaSolved.apply(values, keys, strength, rows, layout)
    return result
