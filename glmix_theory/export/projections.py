"""What a layer projects its input to, kind by kind: sections, options, and how its parameters start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from glmix_theory.errors import CoefficientError, RangeError, ShapeError, check_length, nearest
from glmix_theory.export.kinds import check_kind
from glmix_theory.export.structure import LAG_CLASSES
from glmix_theory.mixers import Mixer

GATES = ("auto", "none", "head", "channel")
"""Choices for what a layer keeps of the past: the kind's own, nothing, one number a head, or one a channel
(a state row under state expansion)."""

_ALLOWED = {
    ("softmax", False): ("none",),
    ("signed", False): ("none",),
    ("chacal", False): ("head",),
    ("gated", False): ("head", "channel"),
    ("fixed", False): ("none",),
    ("delta", False): ("none",),
    ("gated", True): ("head", "channel", "none"),
    ("fixed", True): ("head", "channel", "none"),
    ("delta", True): ("none", "head", "channel"),
}
"""Gates of each kind, without and with state expansion; the first is what ``"auto"`` means."""


@dataclass(frozen=True)
class Projected:
    """Which tensors a layer makes from each row of its input, and how wide each is per head.

    >>> import glmix_theory as glm
    >>> Projected.of(glm.catalogue["delta_net"], width=8, gate="auto", lag_bias=False).sections
    {'q': 16, 'k': 16, 'v': 8, 'write': 1}
    """

    kind: str
    state: int
    width: int
    gate: str
    """One of :data:`GATES`, never ``"auto"``."""
    lag_bias: bool
    """Whether there is a per-lag bias."""

    @classmethod
    def of(cls, mixer: Mixer, width: int, gate: str, lag_bias: bool) -> Projected:
        """From a layer's options.

        Raises
        ------
        CoefficientError
            The mixer's kind does not apply to it, or does not take such a gate or a per-lag bias.
        """
        kind = check_kind(mixer)
        if gate not in GATES:
            raise CoefficientError(f"gate = {gate!r} is not known; {nearest(str(gate), list(GATES))}")
        allowed = _ALLOWED[kind, mixer.state > 1]
        if gate not in ("auto", *allowed):
            wanted = " or ".join(map(repr, allowed))
            raise CoefficientError(f"gate = {gate!r}: coefficients {kind!r} with state = {mixer.state} take {wanted}")
        if lag_bias and kind == "delta" and mixer.state == 1:
            raise CoefficientError("lag_bias=True: coefficients 'delta' with one row per position take no bias")
        always = kind == "fixed" and mixer.state == 1
        return cls(kind, mixer.state, width, allowed[0] if gate == "auto" else gate, bool(lag_bias) or always)

    @property
    def expanded(self) -> bool:
        """Whether outputs are matrices of ``state`` rows."""
        return self.state > 1

    @property
    def keyed(self) -> bool:
        """Whether coefficients are scores between queries and keys, or are written along keys."""
        return self.kind != "fixed" or self.expanded

    @property
    def gate_width(self) -> int:
        """Numbers per row and head that say what is kept; 0 without a gate."""
        return {"none": 0, "head": 1, "channel": self.state if self.expanded else self.width}[self.gate]

    @property
    def gate_projected(self) -> bool:
        """Whether the gate depends on the input."""
        return self.gate_width > 0 and self.kind in ("gated", "delta")

    @property
    def normalised(self) -> bool:
        """Whether each head's output is normalised: where the kind does not bound its scale by itself."""
        return self.expanded or self.kind == "delta"

    @property
    def stored(self) -> int:
        """Rows of ``width`` numbers per slot and head of a decode cache: key and value, value alone, or a state."""
        if self.expanded:
            return self.state
        return 2 if self.keyed else 1

    @property
    def sections(self) -> dict[str, int]:
        """Width per head of each tensor that is projected from the input, in the order of the weight's rows."""
        score = self.state if self.expanded else self.width
        widths = {"q": score, "k": score} if self.keyed else {}
        widths["v"] = self.width
        if self.gate_projected:
            widths["gate"] = self.gate_width
        if self.kind == "delta":
            widths["write"] = 1
        return widths


def kept_logits(heads: int, numbers: int, octaves: float = 10.0) -> torch.Tensor:
    """Logits of kept fractions ``1 - 2^-e`` with ``e`` evenly spread: memories of 2 to ``2^octaves`` positions.

    Over the heads when each has one number, over the numbers of every head otherwise; the middle where
    there is one of either.

    Returns
    -------
    fp64 tensor (heads, numbers)

    >>> kept_logits(2, 1, octaves=10).sigmoid().flatten().tolist()
    [0.5, 0.9990234375]
    """
    count = heads if numbers == 1 else numbers
    middle = torch.tensor([(1 + octaves) / 2], dtype=torch.float64)
    spread = torch.linspace(1, octaves, count, dtype=torch.float64) if count > 1 else middle
    logits = (2**spread - 1).log()  # logit of 1 - 2^-e
    return logits[:, None] if numbers == 1 else logits.expand(heads, numbers)


def initial_gate(projected: Projected, heads: int) -> torch.Tensor:
    """What the gate's bias starts from, fp64 ``(heads, gate width)``; ChaCAL's γ only from 1/2 to 15/16."""
    return kept_logits(heads, projected.gate_width, 4.0 if projected.kind == "chacal" else 10.0)


def initial_lag_bias(projected: Projected, heads: int) -> torch.Tensor:
    """What the per-lag bias starts from, fp64 ``(3, heads, LAG_CLASSES)``.

    Zero for kinds with scores; for ``"fixed"`` with one row per position, where it is all there is, a
    filter that decays with the lag's rank: ``κ^c`` at class ``c``, for the recurrence ``κ^(c+1)``, one
    ``κ`` a head as :func:`kept_logits` spreads them.
    """
    if projected.keyed:
        return torch.zeros(3, heads, LAG_CLASSES, dtype=torch.float64)
    kept = kept_logits(heads, 1).sigmoid()
    filters = kept ** torch.arange(LAG_CLASSES)
    return torch.stack([filters, kept * filters, filters])


@torch.no_grad()
def start_linear(linear: nn.Linear, scale: float = 1.0) -> None:
    """Weights of variance ``scale² / inputs``, so that unit inputs give outputs of RMS ``scale``; no bias.

    >>> linear = nn.Linear(1000, 1000)
    >>> start_linear(linear, 0.5)
    >>> round(linear(torch.randn(1, 1000)).square().mean().sqrt().item(), 1)
    0.5
    """
    nn.init.normal_(linear.weight, std=scale * linear.in_features**-0.5)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def check_fraction(value: object, name: str) -> float:
    """A number at least 0 and below 1, or :class:`~glmix_theory.errors.RangeError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise RangeError(f"{name} = {value!r}; a number at least 0 and below 1 is needed")
    return float(value)


def check_sizes(d_model: int, n_heads: int) -> tuple[int, int]:
    """Both as ints, or a named error unless heads divide the width."""
    d_model, n_heads = check_length(d_model, "d_model"), check_length(n_heads, "n_heads")
    if d_model % n_heads:
        lower = d_model // n_heads * n_heads
        valid = f"{lower} or {lower + n_heads}" if lower else f"{n_heads}"
        raise ShapeError(
            f"d_model = {d_model} is not divisible by n_heads = {n_heads}; the nearest valid d_model is {valid}"
        )
    return d_model, n_heads
