"""A chunk of a sequence after a cache: the cached rows it reads stand before it as known rows."""

from __future__ import annotations

import numpy as np
import torch

from glmix_theory.complexity.slots import NO_SLOT, Reads, Steps
from glmix_theory.export.decode import Cache
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.stepping import Rule, lag_classes
from glmix_theory.export.structure import EdgeTable, Structure
from glmix_theory.patterns import Pattern

_CERTAIN = 64.0
"""A logit whose logistic function is 1 in every dtype."""


def continued(rule: Rule, steps: Steps) -> tuple[Structure, np.ndarray, np.ndarray]:
    """The structure of a chunk after the cached rows it reads, and the slots of those rows.

    Parameters
    ----------
    rule : Rule
        Of the layer.
    steps : Steps
        The chunk's steps.

    Returns
    -------
    (Structure, int64 array (known,), int64 array (known,))
        Rows ``0 … known-1`` are cached positions in ascending order, then the chunk; for each known row
        the slot of its input and the slot of its output, ``NO_SLOT`` for one that the chunk does not read.

    >>> import glmix_theory as glm
    >>> from glmix_theory.export.projections import Projected
    >>> mixer = glm.Mixer(recurrent=glm.Lags([1, 3]))
    >>> rule = Rule.of(mixer, Projected.of(mixer, 4, "auto", False), 1)
    >>> structure, inputs, outputs = continued(rule, glm.SlotPlan(mixer).steps(7, 9))
    >>> structure.known, outputs.tolist(), structure.recurrent.sources.tolist()
    (3, [1, 2, 0], [0, 2, 1, 3])
    """
    mixer = rule.mixer
    parts = [(mixer.direct, steps.direct), (mixer.recurrent, steps.recurrent)]
    if mixer.readout is not None and steps.readout is not None:
        parts.append((mixer.readout, steps.readout))
    earlier = [part.sources[part.sources < steps.start] for _, part in parts]
    known = np.unique(np.concatenate(earlier))
    slots = np.full((2, len(known)), NO_SLOT, dtype=np.int64)
    for place, (_, part) in enumerate(parts):
        cached = part.sources < steps.start
        slots[min(place, 1), np.searchsorted(known, part.sources[cached])] = part.slots[cached]
    tables = [_table(pattern, part, steps, known) for pattern, part in parts]
    readout = tables[2] if len(tables) == 3 else None
    structure = Structure(tables[0], tables[1], readout, mixer.state, rule.read_once, len(known))
    return structure, slots[0], slots[1]


def with_known_rows(cache: Cache, own: Inputs, inputs: np.ndarray, outputs: np.ndarray) -> Inputs:
    """The chunk's tensors with the cached rows of :func:`continued` before them."""
    rule, dtype = cache.rule, own.v.dtype
    number = len(inputs)
    stored, _ = cache.rows_of(inputs)
    computed, sums = cache.rows_of(outputs)
    strengths = None
    if rule.projected.expanded:
        keys, values = _factors(stored)
        strengths = keys.new_full((*keys.shape[:3], 1), _CERTAIN)  # the keys carry it already
    else:
        either = torch.where(torch.from_numpy(inputs == NO_SLOT).to(cache.device)[:, None, None], computed, stored)
        keys, values, computed = either[:, :, :, 0], stored[:, :, :, -1], computed[:, :, :, -1:]
    kept = None
    if rule.projected.expanded and own.gate is not None:
        gate_shape = (*own.gate.shape[:2], number, own.gate.shape[3])
        kept = cache.total.unsqueeze(2) - sums if rule.decays else sums.new_zeros(gate_shape)
        absent = torch.from_numpy(outputs == NO_SLOT).to(cache.device)[:, None]
        kept = kept.masked_fill(absent, 0.0)

    def before(rows: torch.Tensor | None, known: torch.Tensor | None) -> torch.Tensor | None:
        if rows is None:
            return None
        if known is None:
            known = rows.new_zeros(*rows.shape[:2], number, rows.shape[3])
        return torch.cat([known.to(dtype), rows], dim=2)

    v = before(own.v, values)
    assert v is not None
    return Inputs(
        v,
        before(own.q, None),
        before(own.k, keys),
        before(own.gate, None),
        before(own.write, strengths),
        own.bias,
        outputs=computed.to(dtype),
        kept=kept,
    )


def _table(pattern: Pattern, part: Reads, steps: Steps, known: np.ndarray) -> EdgeTable:
    targets = np.repeat(np.arange(steps.start, steps.stop), np.diff(part.indptr))
    place = np.searchsorted(known, part.sources)
    sources = np.where(part.sources < steps.start, place, part.sources - steps.start + len(known))
    indptr = np.concatenate([np.zeros(len(known), dtype=np.int64), part.indptr])
    return EdgeTable(indptr, sources, lag_classes(pattern, targets, part.sources))


def _factors(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``u`` and ``v`` with ``u vᵀ`` the given matrices of rank at most one, ``(…, r, width)``."""
    largest = states.norm(dim=-1).argmax(dim=-1, keepdim=True)
    v = states.gather(-2, largest.unsqueeze(-1).expand(*largest.shape, states.shape[-1])).squeeze(-2)
    square = (v * v).sum(dim=-1, keepdim=True)
    u = torch.einsum("...rw,...w->...r", states, v) / torch.where(square == 0, 1.0, square)
    return u, v
