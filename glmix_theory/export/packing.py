"""Segments of a batch as batches of their own, for backends that run sequences from position 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from glmix_theory.export.backend import Mixed, Terms
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable, Structure

ROWS = ("v", "q", "k", "gate", "write")
"""Inputs that have one row per position."""


def prefix(structure: Structure, n: int) -> Structure:
    """The structure of the first ``n`` positions, made once per structure and length.

    >>> import glmix_theory as glm
    >>> from glmix_theory.export.structure import structure_of
    >>> prefix(structure_of(glm.Mixer(recurrent=glm.Lags([1])), 9), 4).recurrent.sources.tolist()
    [0, 1, 2]
    """
    if n == structure.n:
        return structure

    def cut(table: EdgeTable) -> EdgeTable:
        edges = int(table.indptr[n])
        return EdgeTable(table.indptr[: n + 1], table.sources[:edges], table.classes[:edges])

    def make() -> Structure:
        readout = None if structure.readout is None else cut(structure.readout)
        return replace(structure, direct=cut(structure.direct), recurrent=cut(structure.recurrent), readout=readout)

    return remembered(structure, ("prefix", n), make)


def terms_of(structure: Structure, segments: torch.Tensor | None) -> Terms:
    """Edges of each part: of one sequence, or summed over the segments.

    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export.structure import structure_of
    >>> structure = structure_of(glm.Mixer(recurrent=glm.Lags([1])), 4)
    >>> terms_of(structure, torch.tensor([[0, 0, 4], [0, 4, 6]]))
    Terms(direct=6, recurrent=4, readout=0)
    """
    lengths = [structure.n] if segments is None else (segments[:, 2] - segments[:, 1]).tolist()
    counts = [sum(int(part.indptr[length]) for length in lengths) for part in structure.parts]
    return Terms(*counts, *[0] * (3 - len(counts)))


def mix_segments(
    structure: Structure, inputs: Inputs, run: Callable[[Structure, Inputs], Mixed]
) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` of a batch of segments by ``run`` on batches that start at position 0.

    Segments whose lengths have the same power of two above them run together, padded on the right to the
    longest: less than half of a batch is padding, which causality keeps from the rows before it.
    """
    assert inputs.segments is not None
    segments = inputs.segments.cpu()
    lengths = segments[:, 2] - segments[:, 1]
    classes = torch.ceil(torch.log2(lengths.double())).long()
    places, parts = [], []
    for size in classes.unique().tolist():
        chosen = segments[classes == size]
        length = min(1 << size, structure.n)
        offsets = torch.arange(length)
        real = offsets < (chosen[:, 2:] - chosen[:, 1:2])
        row = (chosen[:, :1] * inputs.v.shape[2] + chosen[:, 1:2] + offsets)[real].to(inputs.v.device)
        cell = torch.nonzero(real.flatten()).flatten().to(inputs.v.device)
        taken = {
            name: _moved(tensor, row, cell, len(chosen), length)
            for name in ROWS
            if (tensor := getattr(inputs, name)) is not None
        }
        part = run(prefix(structure, length), replace(inputs, segments=None, **taken))
        places.append((cell, row))
        parts.append(part)
    batch, n = inputs.v.shape[0], inputs.v.shape[2]

    def joined(name: str) -> torch.Tensor:
        moved = [_moved(getattr(part, name), *place, batch, n) for part, place in zip(parts, places)]
        return torch.stack(moved).sum(dim=0) if len(moved) > 1 else moved[0]

    z = joined("z")
    return z, z if all(part.y is part.z for part in parts) else joined("y")


def _moved(tensor: torch.Tensor, sources: torch.Tensor, targets: torch.Tensor, batch: int, n: int) -> torch.Tensor:
    """Positions ``sources`` of ``(batch, heads, n, …)`` as ``targets`` of another batch, counted through; else 0."""
    rows = tensor.transpose(1, 2).flatten(0, 1).index_select(0, sources)
    moved = rows.new_zeros(batch * n, *rows.shape[1:]).index_copy(0, targets, rows)
    return moved.unflatten(0, (batch, n)).transpose(1, 2)
