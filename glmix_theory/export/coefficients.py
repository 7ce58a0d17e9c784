"""How α, β and readout coefficients are made from scores: one row of edges at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from glmix_theory.errors import CoefficientError, PatternError, SymbolicError, nearest
from glmix_theory.export.layout import Layout
from glmix_theory.mixers import COEFFICIENTS, Mixer

EXPORTED = ("softmax",)
"""Coefficient kinds that layers can make; the others are refused by name."""


def check_exported(mixer: Mixer, kind: str | None = None) -> str:
    """The coefficient kind to use (the mixer's own unless given), or an error if no layer can make it.

    >>> import glmix_theory as glm
    >>> check_exported(glm.Mixer())
    'softmax'
    >>> check_exported(glm.Mixer(coefficients="delta"))
    Traceback (most recent call last):
    glmix_theory.errors.CoefficientError: coefficients = 'delta' is not exported yet; this version exports \
    'softmax' – or compute them yourself and use solve
    """
    check_mixer(mixer)
    kind = mixer.coefficients if kind is None else kind
    if kind not in EXPORTED:
        if kind in COEFFICIENTS:
            known = ", ".join(map(repr, EXPORTED))
            raise CoefficientError(
                f"coefficients = {kind!r} is not exported yet; this version exports {known} "
                "– or compute them yourself and use solve"
            )
        raise CoefficientError(f"coefficients = {kind!r} is not a known kind; {nearest(str(kind), list(EXPORTED))}")
    return kind


def check_mixer(mixer: object) -> None:
    """Refuse what is not a mixer, and state expansion, which no backend executes yet."""
    if not isinstance(mixer, Mixer):
        raise PatternError(
            f"{mixer!r} is a {type(mixer).__name__}; a glm.Mixer is needed, for example "
            "glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Offsets(2**glm.k))"
        )
    if mixer.free_symbols:
        names = ", ".join(sorted(str(symbol) for symbol in mixer.free_symbols))
        raise SymbolicError(
            f"{mixer!r} depends on {names}; a layer needs numbers: give them first, for example with .subs(symbol, 16)"
        )
    if mixer.state != 1:
        raise CoefficientError(
            f"state = {mixer.state}: state expansion is not exported yet; a mixer with state=1 is needed"
        )


@dataclass(frozen=True)
class RowTables:
    """The edges of each row of several patterns together, as tables of rows with similar in-degree.

    Rows with more than ``2^(c-1)`` and at most ``2^c`` edges share table ``c``, so padding never
    doubles the storage, however ragged the rows.
    """

    tables: list[tuple[torch.Tensor, int]]
    """``(edges, width)``: the joint edge number of each cell, row by row; padding points one past the end."""
    inverse: torch.Tensor
    """For each joint edge its cell in the tables laid end to end."""
    numbers: list[int]
    """Edges of each pattern; joint numbers count through the patterns in turn."""

    @classmethod
    def build(cls, layouts: list[Layout]) -> RowTables:
        """Tables for patterns of one length on one device."""
        device = layouts[0].targets.device
        numbers = [layout.number_edges for layout in layouts]
        degrees = [np.diff(layout.indptr) for layout in layouts]
        joint = np.sum(degrees, axis=0)
        targets = np.concatenate([np.repeat(np.arange(len(joint)), degree) for degree in degrees])
        order = np.argsort(targets, kind="stable")
        first = np.concatenate([[0], np.cumsum(joint)])
        inverse = np.empty(len(order), dtype=np.int64)
        tables, used = [], 0
        classes = np.ceil(np.log2(np.maximum(joint, 1))).astype(np.int64)
        for size in np.unique(classes[joint > 0]):
            rows = np.flatnonzero((classes == size) & (joint > 0))
            width = int(joint[rows].max())
            column = np.arange(width)
            valid = column < joint[rows, None]
            cells = np.full(valid.shape, len(order), dtype=np.int64)
            cells[valid] = order[(first[rows, None] + column)[valid]]
            inverse[cells[valid]] = used + np.flatnonzero(valid)
            used += cells.size
            tables.append((torch.from_numpy(cells.ravel()).to(device), width))
        return cls(tables, torch.from_numpy(inverse).to(device), numbers)

    def spread(self, values: torch.Tensor, padding: float) -> list[torch.Tensor]:
        """Joint edge values ``(groups, edges)`` as one ``(groups, rows, width)`` tensor per table."""
        padded = torch.cat([values, values.new_full((len(values), 1), padding)], dim=1)
        return [padded[:, cells].unflatten(1, (-1, width)) for cells, width in self.tables]

    def gather(self, cells: list[torch.Tensor]) -> torch.Tensor:
        """The inverse of :meth:`spread`."""
        return torch.cat([table.flatten(1) for table in cells], dim=1)[:, self.inverse]


class _RowSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, tables: RowTables) -> torch.Tensor:
        cells = tables.spread(scores, float("-inf"))
        weights = tables.gather([table.softmax(dim=2) for table in cells])
        ctx.tables = tables
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (weights,) = ctx.saved_tensors
        products = weights * gradient
        cells = ctx.tables.spread(products, 0.0)
        sums = ctx.tables.gather([table.sum(dim=2, keepdim=True).expand_as(table) for table in cells])
        return products - weights * sums, None


def joint_softmax(tables: RowTables, scores: list[torch.Tensor]) -> list[torch.Tensor]:
    """One softmax per row over the edges of all the patterns together; differentiable.

    Claim: for every row with an edge the results sum to 1 over all patterns; a pair that two patterns
    share counts twice. So ``Σ|α| + Σ|β| = 1`` and the mixer is row-stochastic (proposition 11).
    Rows without edges have nothing to normalise and give no NaN.

    Parameters
    ----------
    tables : RowTables
        The rows of the patterns.
    scores : list of tensor (groups, edges)
        One per pattern, in CSR order.

    Returns
    -------
    list of tensor (groups, edges)

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> place = torch.device("cpu")
    >>> layouts = [Layout(glm.Diagonal(), 2, place), Layout(glm.Lags([1]), 2, place)]
    >>> alpha, beta = joint_softmax(RowTables.build(layouts), [torch.zeros(1, 2), torch.zeros(1, 1)])
    >>> alpha.tolist(), beta.tolist()
    ([[1.0, 0.5]], [[0.5]])
    """
    joint = torch.cat(scores, dim=1)
    if not joint.shape[1]:
        return scores
    weights: torch.Tensor = _RowSoftmax.apply(joint, tables)
    return list(weights.split(tables.numbers, dim=1))
