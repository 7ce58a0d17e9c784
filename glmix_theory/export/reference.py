"""The oracle backend: dense ``n × n`` matrices in fp64, written apart from the fast path."""

from __future__ import annotations

import torch

from glmix_theory.export.backend import Mixed, Terms
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern


def mask(pattern: Pattern, n: int, device: torch.device) -> torch.Tensor:
    """The pattern as a boolean ``(n, n)`` tensor.

    >>> import glmix_theory as glm
    >>> mask(glm.Lags([1]), 3, torch.device("cpu")).int().tolist()
    [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    return torch.from_numpy(pattern.to_dense(n)).to(device)


def masked_softmax(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis among allowed entries; rows without any are zero.

    >>> masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False] * 3])).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    shut = scores.masked_fill(~allowed, float("-inf"))
    top = shut.amax(dim=-1, keepdim=True).detach()
    weights = torch.exp(shut - torch.where(top.isinf(), 0.0, top))
    total = weights.sum(dim=-1, keepdim=True)
    return weights / torch.where(total == 0, 1.0, total)


def mix(mixer: Mixer, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, coefficients: str = "softmax") -> Mixed:
    """Dense softmax coefficients and the mixer; see :func:`glmix_theory.export.functional.mix`."""
    n = q.shape[2]
    scores = q.double() @ k.double().mT / q.shape[3] ** 0.5
    direct, recurrent = mask(mixer.direct, n, q.device), mask(mixer.recurrent, n, q.device)
    both = masked_softmax(torch.cat([scores, scores], dim=-1), torch.cat([direct, recurrent], dim=-1))
    A, B = both.split(n, dim=-1)
    C = None
    if mixer.readout is not None:
        C = masked_softmax(scores, mask(mixer.readout, n, q.device))
    return _mixed(mixer, A, B, v, C)


def solve(
    mixer: Mixer,
    alpha: torch.Tensor,
    beta: torch.Tensor,
    x: torch.Tensor,
    gamma: torch.Tensor | None = None,
) -> Mixed:
    """The mixer for given edge values; see :func:`glmix_theory.export.functional.solve`."""

    def dense(pattern: Pattern, values: torch.Tensor) -> torch.Tensor:
        n = x.shape[2]
        matrix = torch.zeros(*x.shape[:2], n, n, dtype=torch.float64, device=x.device)
        # Boolean indexing runs through rows first, columns ascending: CSR order.
        return matrix.masked_scatter(mask(pattern, n, x.device).expand_as(matrix), values.double())

    C = None if gamma is None or mixer.readout is None else dense(mixer.readout, gamma)
    return _mixed(mixer, dense(mixer.direct, alpha), dense(mixer.recurrent, beta), x, C)


def _mixed(mixer: Mixer, A: torch.Tensor, B: torch.Tensor, x: torch.Tensor, C: torch.Tensor | None) -> Mixed:
    n = x.shape[2]
    identity = torch.eye(n, dtype=torch.float64, device=x.device)
    y = torch.linalg.solve_triangular(identity - B, A @ x.double(), upper=False)
    z = y if C is None else C @ y
    counts = [
        0 if pattern is None else int(mask(pattern, n, x.device).sum())
        for pattern in (mixer.direct, mixer.recurrent, mixer.readout)
    ]
    return Mixed(z.to(x.dtype), y.to(x.dtype), Terms(*counts))
