"""The Triton backend: kernels for CUDA tensors, any pattern, every coefficient kind.

Loaded only where Triton is (see :mod:`glmix_theory.export.availability`). Tested interpreted and by compiling
for sm_90; no time has been measured on a device yet.

With one row per position, a call is a few launches. Parallel over blocks of rows, heads and channels: the
direct part and the statistics that normalise weights (``attend``), the inverses of the diagonal blocks of
``I - B`` (``invert``), the readout, and all gradients of scores and rows. Sequential over blocks: ``solve``, where
a block gathers far outputs by tiles of products and multiplies by its inverse; ``solve_adjoint`` runs it
backwards. A gate per channel makes one inverse per channel: blocks are then solved by substitution, and a
first-order recurrence by a scan. Kept for the backward is ``y`` alone; statistics and inverses are made again.
Memory is linear in ``n``: beside rows, one inverse of ``block`` numbers a row, and tables of 16 bytes per row of
a tile, shared by all heads.

With state expansion, coefficients are edge values and one program walks the positions of a sequence; chains
keep the state in registers. Every state is written out, as the interface asks: ``n · r · width`` numbers.

Programs of the sequential kernels are sequences × heads × groups of channels. The channels of a program
start at 64 and are halved, down to 16, while there are fewer programs than multiprocessors: each split makes
its scores again, which costs nothing while multiprocessors idle. Where few outputs are read across the cuts, a
long sequence is also solved in chunks side by side (:mod:`glmix_theory.export.triton.splitting`). Both rules are
reasoned, not measured.
"""

from __future__ import annotations

import torch

from glmix_theory.export import availability
from glmix_theory.export.backend import Backend, EdgeValues, Mixed
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import Structure
from glmix_theory.export.triton import mixing, states


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """The mixer, by rows or by matrices."""
    return (states if structure.state > 1 else mixing).mix(structure, kind, inputs)


def mix_backward(structure: Structure, kind: str, inputs: Inputs, y: torch.Tensor, dz: torch.Tensor) -> Inputs:
    """Gradients of the inputs of :func:`mix`."""
    if structure.state > 1:
        return states.mix_backward(structure, kind, inputs, dz)
    return mixing.mix_backward(structure, kind, inputs, y, dz)


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """The mixer for given coefficients, by rows or by matrices."""
    return (states if structure.state > 1 else mixing).solve(structure, values)


def solve_backward(structure: Structure, values: EdgeValues, y: torch.Tensor, dz: torch.Tensor) -> EdgeValues:
    """Gradients of the coefficients and rows of :func:`solve`."""
    return (states if structure.state > 1 else mixing).solve_backward(structure, values, y, dz)


BACKEND = Backend(mix, solve, mix_backward, solve_backward, availability.TRITON.devices)
"""Interpreted, the kernels run on CPU tensors; compiled, on CUDA tensors alone."""

__all__ = ["BACKEND"]
