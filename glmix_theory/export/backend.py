"""What a backend is: how it executes any structure, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import Structure


class Terms(NamedTuple):
    """How many coefficients of each part were multiplied with a row, per batch element and head.

    >>> Terms(direct=3, recurrent=2, readout=0).total
    5
    """

    direct: int
    recurrent: int
    readout: int

    @property
    def total(self) -> int:
        """All of them: the number the total cost formula states."""
        return self.direct + self.recurrent + self.readout


class Mixed(NamedTuple):
    """Result of a backend, and the terms it took."""

    z: torch.Tensor
    """The output ``(batch, heads, n, width)``: ``C Y``, or ``Y`` without a readout."""
    y: torch.Tensor
    """The outputs of the recurrence, what a decode cache holds: ``(batch, heads, n, width)``, or
    ``(batch, heads, n, r, width)`` under state expansion. The same tensor as ``z`` without a readout."""
    terms: Terms


class EdgeValues(NamedTuple):
    """Coefficients given as one value per edge, in the order of :class:`EdgeTable`, and the rows to mix.

    With state expansion ``r``: ``alpha`` and ``gamma`` are ``(batch, heads, edges, r)``, ``beta`` is
    ``(batch, heads, edges, 1)``, ``(…, r)`` for one decay per state row, or ``(…, r, r)`` for blocks.
    """

    alpha: torch.Tensor
    beta: torch.Tensor
    gamma: torch.Tensor | None
    x: torch.Tensor


@dataclass(frozen=True)
class Backend:
    """One way to execute any structure; inputs are already checked.

    ``mix(structure, kind, inputs)`` makes the coefficients itself, so that a backend may fuse everything;
    ``solve(structure, values)`` takes them. Both return :class:`Mixed` in the dtype of the rows, and sum
    in fp32 at least. Without the ``*_backward`` functions autograd differentiates ``mix`` and ``solve``
    themselves; with them these run without autograd, and

    - ``mix_backward(structure, kind, inputs, y, dz)`` gives the gradients of ``DIFFERENTIABLE`` inputs as
      :class:`Inputs` (``y`` as returned by ``mix``, ``dz`` the gradient of ``z``);
    - ``solve_backward(structure, values, y, dz)`` gives them as :class:`EdgeValues`.
    """

    mix: Callable[[Structure, str, Inputs], Mixed]
    solve: Callable[[Structure, EdgeValues], Mixed]
    mix_backward: Callable[[Structure, str, Inputs, torch.Tensor, torch.Tensor], Inputs] | None = None
    solve_backward: Callable[[Structure, EdgeValues, torch.Tensor, torch.Tensor], EdgeValues] | None = None
    devices: frozenset[str] | None = None
    """Device types it runs on; ``None`` for all."""


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype sums are taken in: fp32 for half precision, else the dtype itself.

    >>> working_dtype(torch.bfloat16), working_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
