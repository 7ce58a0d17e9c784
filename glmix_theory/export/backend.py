"""What a backend is: two functions with one signature each, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from glmix_theory.mixers import Mixer


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
    """Result of a backend: ``(batch, heads, n, d)`` tensors and the terms they took."""

    z: torch.Tensor
    """The output: ``C Y``, or ``Y`` without a readout."""
    y: torch.Tensor
    """The outputs ``Y`` of the recurrence: what a decode cache holds."""
    terms: Terms


@dataclass(frozen=True)
class Backend:
    """One way to execute any mixer; inputs are already checked.

    ``mix(mixer, q, k, v, coefficients)`` makes the coefficients itself, so that a backend may fuse
    everything; ``solve(mixer, alpha, beta, x, gamma)`` takes them as edge values. Both return
    :class:`Mixed` in the dtype of ``v`` or ``x``, and sum in fp32 at least.
    """

    mix: Callable[[Mixer, torch.Tensor, torch.Tensor, torch.Tensor, str], Mixed]
    solve: Callable[[Mixer, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None], Mixed]
    devices: frozenset[str] | None = None
    """Device types it runs on; ``None`` for all."""


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype sums are taken in: fp32 for half precision, else the dtype itself.

    >>> working_dtype(torch.bfloat16), working_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
