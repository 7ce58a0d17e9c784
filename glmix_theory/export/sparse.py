"""Differentiable products and solves on a pattern's edges: work on blocks of rows, storage per edge.

Rows are ``(group, n, d)`` with one group per pair of batch element and head; edge values are
``(group, edges)`` in CSR order. Only edge values and rows are ever kept: the panels of
:mod:`glmix_theory.export.layout` are filled, multiplied and dropped block by block, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

import torch
from torch.autograd.function import once_differentiable

from glmix_theory.export.layout import Layout, Panel

_PANEL_NUMBERS = 1 << 24
"""Largest temporary, in numbers: groups are worked through in parts that keep a panel below it."""


Result = TypeVar("Result")


def full_precision(kernel: Callable[..., Result]) -> Callable[..., Result]:
    """Keep autocast from lowering the products inside a kernel: sums are taken in the dtype given."""

    @wraps(kernel)
    def run(layout: Layout, *tensors: torch.Tensor) -> Result:
        with torch.autocast(tensors[0].device.type, enabled=False):
            return kernel(layout, *tensors)

    return run


def group_parts(layout: Layout, groups: int, height: int) -> Iterator[slice]:
    """Parts of the groups whose panels, or temporaries of ``height`` rows of them, stay below the limit."""
    each = max(1, _PANEL_NUMBERS // max(1, layout.largest_width * height))
    return (slice(low, min(low + each, groups)) for low in range(0, groups, each))


def _work(layout: Layout, values: torch.Tensor, *rows: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """The tensors restricted to parts of the groups small enough for the panels."""
    height = max([layout.panels[0].height, *(tensor.shape[-1] for tensor in rows)])
    for part in group_parts(layout, values.shape[0], height):
        yield values[part], *(tensor[part] for tensor in rows)


def filled(panel: Panel, values: torch.Tensor) -> torch.Tensor:
    """The block's edge values as a ``(groups, height, width)`` matrix, zero where there is no edge."""
    matrix = values.new_zeros(values.shape[0], panel.height * panel.width)
    matrix[:, panel.entries] = values[:, panel.edges]
    return matrix.view(-1, panel.height, panel.width)


def _scaled(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The product with a diagonal matrix, which is its own transpose."""
    result = rows.new_zeros(rows.shape)
    result[:, layout.diagonal] = values.unsqueeze(2) * rows[:, layout.diagonal]
    return result


@full_precision
def sampled_rows(layout: Layout, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """``left_t · right_s`` for every edge ``(t, s)``: ``(groups, n, d)`` twice to ``(groups, edges)``."""
    if layout.diagonal is not None:
        return (left[:, layout.diagonal] * right[:, layout.diagonal]).sum(dim=2)
    result = left.new_empty(left.shape[0], layout.number_edges)
    for out, queries, keys in _work(layout, result, left, right):
        for panel in layout.panels:
            if len(panel.entries):
                scores = torch.bmm(queries[:, panel.rows], keys[:, panel.columns].mT)
                out[:, panel.edges] = scores.flatten(1)[:, panel.entries]
    return result


@full_precision
def combined_rows(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``Σ_s values_ts rows_s`` for every ``t``; zero rows where there is no edge."""
    if layout.diagonal is not None:
        return _scaled(layout, values, rows)
    result = rows.new_zeros(rows.shape)
    for weights, out, sources in _work(layout, values, result, rows):
        for panel in layout.panels:
            if len(panel.entries):
                out[:, panel.rows] = torch.bmm(filled(panel, weights), sources[:, panel.columns])
    return result


@full_precision
def scattered_rows(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``Σ_t values_ts rows_t`` for every ``s``: the transpose of :func:`combined_rows`."""
    if layout.diagonal is not None:
        return _scaled(layout, values, rows)
    result = rows.new_zeros(rows.shape)
    for weights, out, targets in _work(layout, values, result, rows):
        for panel in layout.panels:
            if len(panel.entries):
                product = torch.bmm(filled(panel, weights).mT, targets[:, panel.rows])
                add_rows(out, panel.columns, product)
    return result


@full_precision
def solved_rows(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``Y`` of ``(I - B) Y = rows`` by forward substitution over blocks."""
    result = rows.clone(memory_format=torch.contiguous_format)
    for weights, out in _work(layout, values, result):
        for panel in layout.panels:
            if not len(panel.entries):
                continue
            matrix = filled(panel, weights)
            earlier, inside = matrix.tensor_split([panel.number_earlier], dim=2)
            block = out[:, panel.rows]
            if panel.number_earlier:
                block = torch.baddbmm(block, earlier, out[:, panel.earlier])
            if panel.coupled:
                block = torch.linalg.solve_triangular(-inside, block, upper=False, unitriangular=True)
            out[:, panel.rows] = block
    return result


@full_precision
def back_solved_rows(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``L`` of ``(I - B)ᵀ L = rows`` by back substitution over blocks."""
    result = rows.clone(memory_format=torch.contiguous_format)
    for weights, out in _work(layout, values, result):
        for panel in reversed(layout.panels):
            if not len(panel.entries):
                continue
            matrix = filled(panel, weights)
            earlier, inside = matrix.tensor_split([panel.number_earlier], dim=2)
            block = out[:, panel.rows]
            if panel.coupled:
                block = torch.linalg.solve_triangular(-inside.mT, block, upper=True, unitriangular=True)
                out[:, panel.rows] = block
            if panel.number_earlier:
                add_rows(out, panel.earlier, torch.bmm(earlier.mT, block))
    return result


def add_rows(out: torch.Tensor, columns: slice | torch.Tensor, rows: torch.Tensor) -> None:
    """``out[:, columns] += rows`` in place."""
    if isinstance(columns, slice):
        out[:, columns] += rows
    else:
        out.index_add_(1, columns, rows)


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: torch.Tensor, right: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        ctx.save_for_backward(left, right)
        return sampled_rows(layout, left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        left, right = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            combined_rows(ctx.layout, gradient, right) if wanted[0] else None,
            scattered_rows(ctx.layout, gradient, left) if wanted[1] else None,
            None,
        )


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, rows: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        ctx.save_for_backward(values, rows)
        return combined_rows(layout, values, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, rows = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            sampled_rows(ctx.layout, gradient, rows) if wanted[0] else None,
            scattered_rows(ctx.layout, values, gradient) if wanted[1] else None,
            None,
        )


class _Solved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, rows: torch.Tensor, layout: Layout) -> torch.Tensor:
        result = solved_rows(layout, values, rows)
        ctx.layout = layout
        ctx.save_for_backward(values, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, result = ctx.saved_tensors
        adjoint = back_solved_rows(ctx.layout, values, gradient)
        return (
            sampled_rows(ctx.layout, adjoint, result) if ctx.needs_input_grad[0] else None,
            adjoint if ctx.needs_input_grad[1] else None,
            None,
        )


def sampled_product(layout: Layout, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The scores ``left_t · right_s`` of the edges ``(t, s)``; differentiable.

    Parameters
    ----------
    layout : Layout
        The edges.
    left, right : tensor (groups, n, d)
        Rows of the targets and of the sources, one floating dtype.

    Returns
    -------
    tensor (groups, edges)
        In CSR order.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import EdgeTable
    >>> layout = Layout(EdgeTable.of(glm.Lags([1]), 3), torch.device("cpu"))
    >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> sampled_product(layout, x, x).tolist()
    [[2.0, 6.0]]
    """
    result: torch.Tensor = _Sampled.apply(left, right, layout)
    return result


def sparse_rows(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The sums ``Σ_s values_ts rows_s``; differentiable.

    Parameters
    ----------
    layout : Layout
        The edges.
    values : tensor (groups, edges)
        One number per edge, in CSR order.
    rows : tensor (groups, n, d)
        Rows of the sources, same dtype.

    Returns
    -------
    tensor (groups, n, d)
        Zero in rows without edges.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import EdgeTable
    >>> layout = Layout(EdgeTable.of(glm.Lags([1]), 3), torch.device("cpu"))
    >>> rows = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> sparse_rows(layout, torch.tensor([[10.0, 100.0]]), rows).flatten().tolist()
    [0.0, 10.0, 200.0]
    """
    result: torch.Tensor = _Combined.apply(values, rows, layout)
    return result


def sparse_solve(layout: Layout, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``Y`` with ``y_t = rows_t + Σ_s values_ts y_s``, that is ``(I - B) Y = rows``; differentiable.

    Claim: blocks of positions run one after another; inside a block a dense triangular solve, from
    earlier blocks one product with the rows the block reads. The backward pass is the transposed solve.

    Parameters
    ----------
    layout : Layout
        The edges of a strictly causal pattern.
    values : tensor (groups, edges)
        One number per edge, in CSR order.
    rows : tensor (groups, n, d)
        Right-hand side, same dtype.

    Returns
    -------
    tensor (groups, n, d)

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import EdgeTable
    >>> layout = Layout(EdgeTable.of(glm.Lags([1]), 3), torch.device("cpu"))
    >>> sparse_solve(layout, torch.tensor([[0.5, 0.5]]), torch.ones(1, 3, 1)).flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    result: torch.Tensor = _Solved.apply(values, rows, layout)
    return result
