"""The Triton backend: fused kernels for CUDA tensors, any pattern, every coefficient kind.

Loaded only where Triton is (see :mod:`glmix_theory.export.availability`).
"""

from __future__ import annotations

import torch

from glmix_theory.export.backend import Backend, EdgeValues, Mixed
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import Structure
from glmix_theory.export.triton import launch, mixing, states


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


BACKEND = Backend(
    mix, solve, mix_backward, solve_backward, frozenset({"cuda", "cpu"} if launch.INTERPRETED else {"cuda"})
)
"""Interpreted, the kernels run on CPU tensors; compiled, on CUDA tensors alone."""

__all__ = ["BACKEND"]
