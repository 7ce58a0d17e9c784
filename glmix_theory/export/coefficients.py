"""Edge values of the kinds with one row per position: normalised over the edges of each row.

Values are ``(groups, edges)`` with one group per pair of batch element and head; a row's normaliser is a
sum over the edges with its target, so nothing is padded and nothing is ``n × n``.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from glmix_theory.export.backend import working_dtype
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.layout import layout_of
from glmix_theory.export.sparse import sampled_product
from glmix_theory.export.structure import EdgeTable, Structure

DIRECT, RECURRENT, READOUT = range(3)
"""Places of the parts in the bias."""


class Scores:
    """The rows that coefficients are made from, one group per batch element and head, in the working dtype.

    Parameters
    ----------
    structure : Structure
        The edges.
    inputs : Inputs
        Without segments.
    block : int
        Rows per panel.
    """

    def __init__(self, structure: Structure, inputs: Inputs, block: int) -> None:
        self.structure, self.inputs, self.block = structure, inputs, block
        self.device, self.n = inputs.v.device, structure.n
        self.batch, self.heads = inputs.v.shape[:2]
        self.work = working_dtype(inputs.v.dtype)

    def rows(self, name: str) -> torch.Tensor:
        """An input as ``(groups, n, d)``."""
        tensor: torch.Tensor = getattr(self.inputs, name)
        return tensor.flatten(0, 1).to(self.work)

    def of(self, part: int, table: EdgeTable) -> torch.Tensor:
        """``q_t · k_s / √d`` plus the bias, ``(groups, edges)``."""
        q, k = self.rows("q"), self.rows("k")
        scores = sampled_product(layout_of(table, self.device, self.block), q * q.shape[-1] ** -0.5, k)
        bias = self.bias(part, table)
        return scores if bias is None else scores + bias.repeat(self.batch, 1)

    def bias(self, part: int, table: EdgeTable) -> torch.Tensor | None:
        """The bias of every edge, ``(heads, edges)``; ``None`` where there is none."""
        if self.inputs.bias is None:
            return None
        return self.inputs.bias[part].to(self.work).index_select(1, table.index("classes", self.device))

    def log_gate(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``log a`` and ``log (1 - a)``, each ``(groups, n, g)``."""
        gate = self.rows("gate")
        return logsigmoid(gate), logsigmoid(-gate)

    def at_targets(self, rows: torch.Tensor, table: EdgeTable) -> torch.Tensor:
        """``rows[:, t]`` of every edge's target: ``(groups, n)`` to ``(groups, edges)``."""
        return rows.index_select(1, table.index("targets", self.device))


def row_sums(values: torch.Tensor, targets: torch.Tensor, n: int) -> torch.Tensor:
    """Sums over the edges of each row: ``(groups, edges)`` to ``(groups, n)``; differentiable.

    >>> row_sums(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([0, 2, 2]), 3).tolist()
    [[1.0, 0.0, 6.0]]
    """
    return values.new_zeros(len(values), n).index_add(1, targets, values)


def row_tops(values: torch.Tensor, targets: torch.Tensor, n: int, least: torch.Tensor | None = None) -> torch.Tensor:
    """Largest edge value of each row, not below ``least``, without gradient; 0 where it is not finite.

    >>> row_tops(torch.tensor([[-1.0, 2.0, 4.0]]), torch.tensor([0, 2, 2]), 3).tolist()
    [[-1.0, 0.0, 4.0]]
    """
    tops = values.new_full((len(values), n), -torch.inf) if least is None else least.detach()
    tops = tops.scatter_reduce(1, targets.expand(len(values), -1), values.detach(), "amax")
    return torch.where(tops.isfinite(), tops, 0.0)


def row_softmax(
    scores: list[torch.Tensor], targets: list[torch.Tensor], n: int, unused: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """One softmax per row over the edges of all the parts together; differentiable.

    Claim: for every row with an edge the results sum to 1 over all parts; a pair that two parts share
    counts twice. Rows without edges have nothing to normalise and give no NaN.

    Parameters
    ----------
    scores : list of tensor (groups, edges)
        One per part.
    targets : list of tensor (edges,)
        Row of each edge.
    n : int
        Number of rows.
    unused : tensor (groups, n), optional
        One more score in every row, whose share is left out of the result.

    Returns
    -------
    list of tensor (groups, edges)

    Examples
    --------
    >>> alpha, beta = row_softmax([torch.zeros(1, 2), torch.zeros(1, 1)], [torch.tensor([0, 1]), torch.tensor([1])], 2)
    >>> alpha.tolist(), beta.tolist()
    ([[1.0, 0.5]], [[0.5]])
    """
    joint, rows = torch.cat(scores, dim=1), torch.cat(targets)
    tops = row_tops(joint, rows, n, unused)
    powers = torch.exp(joint - tops.index_select(1, rows))
    totals = row_sums(powers, rows, n)
    if unused is not None:
        totals = totals + torch.exp(unused - tops)
    weights = powers / torch.where(totals == 0, 1.0, totals).index_select(1, rows)
    return list(weights.split([part.shape[1] for part in scores], dim=1))


def signed_shares(scores: list[torch.Tensor], targets: list[torch.Tensor], n: int) -> list[torch.Tensor]:
    """``sinh(s) / Σ cosh(s)`` over the edges of each row in all parts together; differentiable.

    Both are divided by ``e^m``, ``m`` the largest ``|s|`` of the row, so no score is too large.

    >>> (shares,) = signed_shares([torch.tensor([[1e4, -1e4]])], [torch.tensor([0, 0])], 1)
    >>> shares.tolist()
    [[0.5, -0.5]]
    """
    joint, rows = torch.cat(scores, dim=1), torch.cat(targets)
    tops = row_tops(joint.abs(), rows, n).index_select(1, rows)
    rising, falling = torch.exp(joint - tops), torch.exp(-joint - tops)
    totals = row_sums(rising + falling, rows, n)
    weights = (rising - falling) / torch.where(totals == 0, 1.0, totals).index_select(1, rows)
    return list(weights.split([part.shape[1] for part in scores], dim=1))


def bounded(weights: list[torch.Tensor], targets: list[torch.Tensor], n: int) -> list[torch.Tensor]:
    """``w / max(1, Σ |w|)`` over the edges of each row in all parts together; differentiable.

    >>> bounded([torch.tensor([[3.0, -1.0, 0.5]])], [torch.tensor([0, 0, 1])], 2)[0].tolist()
    [[0.75, -0.25, 0.5]]
    """
    joint, rows = torch.cat(weights, dim=1), torch.cat(targets)
    totals = row_sums(joint.abs(), rows, n).clamp(min=1)
    return list((joint / totals.index_select(1, rows)).split([part.shape[1] for part in weights], dim=1))


def edge_values(kind: str, scores: Scores) -> tuple[torch.Tensor, ...]:
    """α, β and, with a readout, γ of every kind with one row per position, each ``(groups, edges)``.

    Gated coefficients are the shares only where the gate has one number per channel: the gate itself is
    then a factor of rows, not of edges.
    """
    parts = scores.structure.parts
    n, targets = scores.n, [part.index("targets", scores.device) for part in parts]
    if kind == "delta":
        return _delta(scores, parts)
    if kind == "fixed":
        values = [scores.bias(place, part) for place, part in enumerate(parts)]
        weights = [value.repeat(scores.batch, 1) for value in values if value is not None]
        joined = [
            bounded(weights[:2], targets[:2], n),
            *(bounded([w], [t], n) for w, t in zip(weights[2:], targets[2:])),
        ]
        return tuple(value for group in joined for value in group)
    found = [scores.of(place, part) for place, part in enumerate(parts)]
    if kind == "signed":
        joined = [signed_shares(found[:2], targets[:2], n)]
        return (*joined[0], *(signed_shares([s], [t], n)[0] for s, t in zip(found[2:], targets[2:])))
    gamma = [row_softmax([s], [t], n)[0] for s, t in zip(found[2:], targets[2:])]
    if kind == "softmax":
        return (*row_softmax(found[:2], targets[:2], n), *gamma)
    if kind == "chacal" and not gamma:
        kept, new = (log.squeeze(2) for log in scores.log_gate())
        shifted = [found[0] + scores.at_targets(new, parts[0]), found[1] + scores.at_targets(kept, parts[1])]
        return tuple(row_softmax(shifted, targets, n))
    (alpha,) = row_softmax(found[:1], targets[:1], n)
    if kind == "chacal":
        q, k = scores.rows("q"), scores.rows("k")
        own = (q * k).sum(dim=2) * q.shape[2] ** -0.5
        (beta,) = row_softmax(found[1:2], targets[1:2], n, own)
        kept, new = (log.squeeze(2).exp() for log in scores.log_gate())
        return alpha, beta * scores.at_targets(kept, parts[1]), gamma[0] * scores.at_targets(new, parts[2])
    (beta,) = row_softmax(found[1:2], targets[1:2], n)  # gated
    kept, new = (log.exp() for log in scores.log_gate())
    if kept.shape[2] == 1:
        alpha = alpha * scores.at_targets(new.squeeze(2), parts[0])
        beta = beta * scores.at_targets(kept.squeeze(2), parts[1])
    return (alpha, beta, *gamma)


def _delta(scores: Scores, parts: tuple[EdgeTable, ...]) -> tuple[torch.Tensor, ...]:
    """The UT transform: ``b_t`` on the diagonal, ``-b_t k_t · k_s`` before it, read by ``q_t · k_s``."""
    k, strength = scores.rows("k"), scores.rows("write").sigmoid()
    layouts = [layout_of(part, scores.device, scores.block) for part in parts]
    alpha = scores.at_targets(strength.squeeze(2), parts[DIRECT])
    beta = sampled_product(layouts[RECURRENT], -strength * k, k)
    return (alpha, beta, *(sampled_product(layout, scores.rows("q"), k) for layout in layouts[READOUT:]))
