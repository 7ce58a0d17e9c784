"""One decode step in plain torch, on any device and dtype: the cached rows a step reads, mixed.

The formulas are those of :mod:`glmix_theory.export.kinds` for a single row ``t``; the fused version for CPU is
:mod:`glmix_theory.export.kernels.decode`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from glmix_theory.complexity.slots import NO_SLOT
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.projections import Projected
from glmix_theory.export.structure import lag_class, read_once
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern


@dataclass(frozen=True, eq=False)
class Rule:
    """What decoding needs to know of a layer: its mixer, its tensors and its sizes."""

    mixer: Mixer
    projected: Projected
    heads: int
    read_once: bool
    decays: int
    """Log-decay sums kept per slot and head, fp64: 0 where no output older than the step before is read."""

    @classmethod
    def of(cls, mixer: Mixer, projected: Projected, heads: int) -> Rule:
        """The rule of a layer.

        >>> import glmix_theory as glm
        >>> def decays(name):
        ...     return Rule.of(glm.catalogue[name], Projected.of(glm.catalogue[name], 8, "auto", False), 1).decays
        >>> decays("mamba2"), decays("log_linear_attention")
        (0, 1)
        """
        reads = mixer.output_reads.lag_set
        recent = reads is not None and reads.largest is not None and reads.largest <= 1
        decays = 0 if recent or not projected.expanded else projected.gate_width
        return cls(mixer, projected, heads, read_once(mixer.recurrent), decays)

    @property
    def slot_shape(self) -> tuple[int, int, int]:
        """Heads, rows and numbers a row that one slot holds for each sequence."""
        return self.heads, self.projected.stored, self.projected.width

    def row_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of one slot of one sequence: its rows, and fp64 log-decay sums where they are kept."""
        heads, stored, width = self.slot_shape
        return heads * (stored * width * dtype.itemsize + self.decays * 8)


class Part(NamedTuple):
    """What one part reads at one step."""

    slots: np.ndarray
    """Slot of each source, ascending by source, so that the own position (:data:`NO_SLOT`) is the last."""
    bias: torch.Tensor | None
    """Per-lag bias of each source, ``(heads, sources)``."""


def lag_classes(pattern: Pattern, targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """The lag class of any pairs of a pattern, as ``EdgeTable.of`` gives them for the first rows.

    >>> import glmix_theory as glm
    >>> lag_classes(glm.Offsets(2**glm.k), np.array([9, 9, 9]), np.array([1, 5, 8])).tolist()
    [3, 2, 0]
    """
    lags = targets - sources
    if pattern.lag_set is not None and len(lags):
        lags = np.searchsorted(pattern.lag_set.up_to(int(lags.max())), lags)
    return lag_class(lags)


def row_step(
    kind: str, own: Inputs, parts: tuple[Part, Part, Part | None], storage: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` of one step with one row per position, each ``(batch, heads, width)``.

    Parameters
    ----------
    kind : str
        Coefficient kind.
    own : Inputs
        Of the step's position, ``n = 1``, in the dtype sums are taken in; ``bias`` is not read.
    parts : (direct, recurrent, readout or None)
        What the step reads.
    storage : tensor (slots, batch, heads, 1 or 2, width)
        Key (where there are two rows) and value of each slot.
    """
    direct, recurrent, readout = parts
    v, q, k = (None if rows is None else rows.squeeze(2) for rows in (own.v, own.q, own.k))
    assert v is not None
    own_row = torch.stack([v] if k is None else [k, v], dim=2)
    inputs, outputs = _pieces(direct, storage, own_row), _pieces(recurrent, storage, own_row)
    a = None if own.gate is None else own.gate.squeeze(2).sigmoid()
    on_direct, on_recurrent = _scores(q, inputs, direct), _scores(q, outputs, recurrent)
    kept = written = None
    if kind == "delta":
        assert own.write is not None
        assert k is not None
        strength = own.write.squeeze(2).sigmoid()
        on_direct = strength.expand_as(on_direct)
        on_recurrent = -strength * _scores(k, outputs, recurrent) * k.shape[-1] ** 0.5
    elif kind == "gated" or (kind == "chacal" and readout is not None):
        assert a is not None
        on_direct = on_direct.softmax(dim=2)
        kept, written = (a, 1 - a) if kind == "gated" else (a, None)
        if kind == "chacal":
            with_own = torch.cat([on_recurrent, _scores(q, [own_row.unsqueeze(0)], None)], dim=2)
            on_recurrent = with_own.softmax(dim=2)[..., :-1]
        else:
            on_recurrent = on_recurrent.softmax(dim=2)
    else:
        if kind == "chacal" and own.gate is not None:
            logit = own.gate.squeeze(2)
            on_direct = on_direct + torch.nn.functional.logsigmoid(-logit)
            on_recurrent = on_recurrent + torch.nn.functional.logsigmoid(logit)
        joint = _normalised(kind, torch.cat([on_direct, on_recurrent], dim=2))
        on_direct, on_recurrent = joint.split([on_direct.shape[2], on_recurrent.shape[2]], dim=2)
    y = _scaled(written, _combined(on_direct, inputs, v)) + _scaled(kept, _combined(on_recurrent, outputs, v))
    if readout is None:
        return y, y
    results = _pieces(readout, storage, torch.stack([y] if k is None else [k, y], dim=2))
    scores = _scores(q, results, readout)
    if kind == "delta":
        assert q is not None
        weights = scores * q.shape[-1] ** 0.5
    else:
        weights = _normalised("softmax" if kind in ("chacal", "gated") else kind, scores)
    z = _combined(weights, results, v)
    return (z * (1 - a) if kind == "chacal" and a is not None else z), y


def state_step(
    rule: Rule,
    own: Inputs,
    parts: tuple[Part, Part, Part | None],
    storage: torch.Tensor,
    decays: torch.Tensor,
    total: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` ``(batch, heads, width)`` and ``S`` ``(batch, heads, r, width)`` of one step with state expansion.

    Parameters
    ----------
    rule, own, parts
        As for :func:`row_step`.
    storage : tensor (slots, batch, heads, r, width)
        ``S_s`` of outputs and ``u_s v_sᵀ`` of inputs.
    decays : fp64 tensor (slots, batch, heads, rule.decays)
        For each output, the sum of ``log a`` over all positions up to its own.
    total : fp64 tensor (batch, heads, rule.decays)
        The sum of ``log a`` up to this step.
    """
    direct, recurrent, readout = parts
    assert own.q is not None
    assert own.k is not None
    assert readout is not None
    v, q, k = (rows.squeeze(2) for rows in (own.v, own.q, own.k))
    u, strength = k, None
    if own.write is not None:
        strength = own.write.squeeze(2).sigmoid()
        u = strength * k

    def weighted(part: Part, shares: torch.Tensor, own_row: torch.Tensor, fading: bool) -> torch.Tensor:
        total_rows = torch.zeros_like(own_row)
        stored = part.slots[part.slots != NO_SLOT]
        if len(stored):
            place = torch.from_numpy(stored).to(storage.device)
            weights = shares[:, : len(stored)].mT[:, None, :, None].to(v.dtype)  # (sources, 1, heads, 1)
            if fading and own.gate is not None:
                if rule.decays:
                    factor = (total - decays.index_select(0, place)).exp().to(v.dtype)
                else:
                    factor = own.gate.squeeze(2).sigmoid()
                weights = weights * factor
            rows = storage.index_select(0, place).to(v.dtype)
            total_rows = (weights.unsqueeze(-1) * rows).sum(dim=0)
        if len(stored) < len(part.slots):
            total_rows = total_rows + shares[:, -1, None, None] * own_row
        return total_rows

    written = u.unsqueeze(-1) * v.unsqueeze(-2)
    ones = recurrent.bias is None or rule.read_once
    shares = v.new_ones(rule.heads, len(recurrent.slots)) if ones else recurrent.bias.softmax(dim=1)  # type: ignore[union-attr]
    if recurrent.bias is None and not rule.read_once:
        shares = shares / max(1, len(recurrent.slots))
    state = weighted(recurrent, shares, torch.zeros_like(written), True)
    if strength is not None:
        along = torch.einsum("bhr,bhrw->bhw", k, state)
        state = state - u.unsqueeze(-1) * along.unsqueeze(-2)
    none = v.new_zeros(rule.heads, len(direct.slots))
    state = state + weighted(direct, (none if direct.bias is None else direct.bias).softmax(dim=1), written, False)
    none = v.new_zeros(rule.heads, len(readout.slots))
    read = weighted(readout, (none if readout.bias is None else readout.bias).exp(), state, True)
    return torch.einsum("bhr,bhrw->bhw", q, read), state


def _pieces(part: Part, storage: torch.Tensor, own_row: torch.Tensor) -> list[torch.Tensor]:
    """The rows of the sources in order, stored ones first; never joined, which would copy every row once more."""
    stored, pieces = part.slots[part.slots != NO_SLOT], []
    if len(stored):
        if (np.diff(stored) == 1).all():  # a range needs no copy
            rows = storage[stored[0] : stored[-1] + 1]
        else:
            rows = storage.index_select(0, torch.from_numpy(stored).to(storage.device))
        pieces.append(rows.to(own_row.dtype))
    if len(stored) < len(part.slots):
        pieces.append(own_row.unsqueeze(0))
    return pieces


def _scores(q: torch.Tensor | None, pieces: list[torch.Tensor], part: Part | None) -> torch.Tensor:
    """``q · k_s / √d + bias``, ``(batch, heads, sources)``; the bias alone without queries."""
    bias = None if part is None else part.bias
    if q is None:
        assert bias is not None
        return bias.unsqueeze(0)
    scaled = q * q.shape[-1] ** -0.5
    scores = [torch.einsum("bhd,mbhd->bhm", scaled, piece[:, :, :, 0]) for piece in pieces]
    joined = torch.cat(scores, dim=2) if scores else q.new_zeros(*q.shape[:2], 0)
    return joined if bias is None else joined + bias


def _normalised(kind: str, scores: torch.Tensor) -> torch.Tensor:
    """Coefficients of one row from its scores, for the kinds that weigh all of them together."""
    if kind == "fixed":
        return scores / scores.abs().sum(dim=2, keepdim=True).clamp(min=1.0)
    if kind == "signed" and scores.shape[2]:
        top = scores.abs().amax(dim=2, keepdim=True)
        up, down = (scores - top).exp(), (-scores - top).exp()
        return (up - down) / (up + down).sum(dim=2, keepdim=True)
    return scores.softmax(dim=2)


def _combined(weights: torch.Tensor, pieces: list[torch.Tensor], v: torch.Tensor) -> torch.Tensor:
    """Values times weights, ``(batch, heads, width)``; zero without any."""
    shares = weights.expand(*v.shape[:2], -1).split([len(piece) for piece in pieces], dim=2)
    sums = [torch.einsum("bhm,mbhd->bhd", share, piece[:, :, :, -1]) for share, piece in zip(shares, pieces)]
    return sum(sums[1:], sums[0]) if sums else torch.zeros_like(v)


def _scaled(factor: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
    return rows if factor is None else factor * rows
