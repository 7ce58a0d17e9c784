"""How well ``(I-B) Y = A X`` is conditioned: proved bounds beside measured norms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from glmix_theory.errors import check_length
from glmix_theory.expressivity.coefficients import random_coefficients
from glmix_theory.mixers import Mixer


@dataclass(frozen=True)
class Conditioning:
    """Norms of one draw of coefficients (proposition 11).

    Attributes
    ----------
    recurrent_norm : float
        ``γ = ‖B‖_∞``, the largest row sum of ``|β|``.
    condition, condition_bound : float
        ``cond_∞(I-B)``, and ``(1+γ)/(1-γ)`` (``inf`` for ``γ ≥ 1``).
    output_norm, output_bound : float
        ``‖M‖_∞``, and 1 where every joint row has ``Σ|α| + Σ|β| ≤ 1`` (``inf`` elsewhere).
    gradient_norm : float
        ``‖M‖_1``, the largest column sum: not bounded by the row sums.
    """

    kind: str
    length: int
    recurrent_norm: float
    condition: float
    condition_bound: float
    output_norm: float
    output_bound: float
    gradient_norm: float

    @property
    def holds(self) -> bool:
        """Whether the measured norms respect the proved bounds, up to rounding."""
        slack = 1 + 1e-9
        return self.condition <= self.condition_bound * slack and self.output_norm <= self.output_bound * slack


def conditioning(mixer: Mixer, n: int, kind: str | None = None, seed: int = 0) -> Conditioning:
    """Draw coefficients of a kind and compare the norms of ``I-B`` and ``M`` with what is proved.

    Parameters
    ----------
    mixer : Mixer
        With a state of one row.
    n : int
        Length.
    kind : str, optional
        A coefficient kind; the mixer's own by default.
    seed : int
        Of the draw.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> found = conditioning(glm.Mixer(recurrent=glm.Offsets(2**glm.k)), 64, "softmax")
    >>> found.holds, found.output_bound, round(found.output_norm, 9)
    (True, 1.0, 1.0)
    """
    n = check_length(n)
    kind = mixer.coefficients if kind is None else kind
    alpha, beta, readout = random_coefficients(mixer, n, kind, seed)
    plain = Mixer(mixer.direct, mixer.recurrent, mixer.readout)
    inner = np.eye(n) - beta
    matrix = plain.matrix(alpha, beta, readout)
    gamma = float(np.abs(beta).sum(axis=1).max())
    joint = float((np.abs(alpha).sum(axis=1) + np.abs(beta).sum(axis=1)).max())
    within = joint <= 1 + 1e-12
    return Conditioning(
        kind,
        n,
        gamma,
        float(np.linalg.cond(inner, np.inf)),
        (1 + gamma) / (1 - gamma) if gamma < 1 else math.inf,
        float(np.abs(matrix).sum(axis=1).max()),
        1.0 if within else math.inf,
        float(np.abs(matrix).sum(axis=0).max()),
    )
