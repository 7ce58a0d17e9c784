"""What coefficients are made from: queries, keys, gates and biases, and which kind takes which."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from glmix_theory.errors import CoefficientError, DeviceError, DtypeError, ShapeError
from glmix_theory.export.structure import LAG_CLASSES
from glmix_theory.mixers import Mixer

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Dtypes a mixer runs in; half precision is summed in fp32."""


@dataclass(frozen=True)
class Inputs:
    """Tensors that the coefficients and the outputs of a mixer are made from.

    Parameters
    ----------
    v : tensor (batch, heads, n, width)
        Rows to mix.
    q, k : tensor (batch, heads, n, d), optional
        Queries of the targets and keys of the sources; ``d = r`` under state expansion.
    gate : tensor (batch, heads, n, g), optional
        Logits: ``a_t = sigmoid(gate_t)`` is how much of the past is kept. See the kinds.
    write : tensor (batch, heads, n, 1), optional
        Logits: ``b_t = sigmoid(write_t)`` is the strength of the delta rule's correction.
    bias : tensor (3, heads, LAG_CLASSES), optional
        One number for each part (direct, recurrent, readout), head and lag class.
    segments : int64 tensor (number, 3), optional
        Rows ``(batch element, start, stop)``: independent sequences, disjoint and not empty; positions
        count from ``start``. Outputs outside them are 0. One sequence per batch element when absent.
    outputs : tensor (batch, heads, known, r, width), optional
        Outputs of the known rows (see ``Structure.known``), without gradient.
    kept : tensor (batch, heads, known, g), fp64, optional
        Of each known row, the sum of ``log a`` over the positions after it and before the first
        computed one (never above 0). Only where the kind decays under state expansion.
    """

    v: torch.Tensor
    q: torch.Tensor | None = None
    k: torch.Tensor | None = None
    gate: torch.Tensor | None = None
    write: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    segments: torch.Tensor | None = None
    outputs: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    def map(self, change: object) -> Inputs:
        """Every differentiable tensor replaced by ``change(tensor)``."""
        changed = {name: change(getattr(self, name)) for name in DIFFERENTIABLE if getattr(self, name) is not None}  # type: ignore[operator]
        return replace(self, **changed)


DIFFERENTIABLE = ("q", "k", "v", "gate", "write", "bias")
"""Inputs that receive a gradient, in the order of operators and their gradients."""


def check_inputs(mixer: Mixer, kind: str, inputs: Inputs) -> None:
    """Raise unless the tensors are those the kind takes and fit each other.

    Raises
    ------
    CoefficientError
        A tensor that the kind needs is missing, or one it does not take is given.
    ShapeError, DtypeError, DeviceError
        Tensors that do not fit each other.
    """
    needed, taken = tensors_of(mixer, kind)
    check_rows("v", inputs.v)
    for field in fields(inputs):
        given = getattr(inputs, field.name)
        if given is None and field.name in needed:
            raise CoefficientError(f"{field.name} is missing; coefficients {kind!r} need {', '.join(needed)}")
        if given is not None and field.name in DIFFERENTIABLE and field.name not in taken:
            raise CoefficientError(f"{field.name} is given; coefficients {kind!r} take only {', '.join(taken)}")
    batch, heads, n, width = inputs.v.shape
    if inputs.q is not None and inputs.k is not None:
        check_rows("q", inputs.q)
        d = mixer.state if mixer.state > 1 else inputs.q.shape[3]
        for name in ("q", "k"):
            _check_shape(name, getattr(inputs, name), (batch, heads, n, d), f"as v is {tuple(inputs.v.shape)}")
    if inputs.gate is not None:
        allowed = gate_widths(mixer, kind, width)
        if inputs.gate.shape[:3] != inputs.v.shape[:3] or inputs.gate.shape[3:] not in [(g,) for g in allowed]:
            last = " or ".join(map(str, allowed))
            raise ShapeError(
                f"gate has shape {tuple(inputs.gate.shape)}; ({batch}, {heads}, {n}, {last}) is needed for {kind!r}"
            )
    if inputs.write is not None:
        _check_shape("write", inputs.write, (batch, heads, n, 1), f"as v is {tuple(inputs.v.shape)}")
    if inputs.bias is not None:
        _check_shape("bias", inputs.bias, (3, heads, LAG_CLASSES), "(part, head, lag class)")
    check_alike(**{name: tensor for name in DIFFERENTIABLE if (tensor := getattr(inputs, name)) is not None})


def tensors_of(mixer: Mixer, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tensors a kind needs, and all that it takes, ``v`` first.

    >>> import glmix_theory as glm
    >>> tensors_of(glm.Mixer(), "softmax")
    (('v', 'q', 'k'), ('v', 'q', 'k', 'bias'))
    >>> tensors_of(glm.catalogue["delta_net"], "delta")
    (('v', 'q', 'k', 'write'), ('v', 'q', 'k', 'write', 'gate', 'bias'))
    """
    expanded = mixer.state > 1
    needed = {
        "softmax": ("v", "q", "k"),
        "signed": ("v", "q", "k"),
        "chacal": ("v", "q", "k", "gate"),
        "gated": ("v", "q", "k") if expanded else ("v", "q", "k", "gate"),
        "fixed": ("v", "q", "k") if expanded else ("v", "bias"),
        "delta": ("v", "q", "k", "write"),
    }[kind]
    more: tuple[str, ...] = ("gate", "bias") if expanded else () if kind == "delta" else ("bias",)
    return needed, needed + tuple(name for name in more if name not in needed)


def gate_widths(mixer: Mixer, kind: str, width: int) -> tuple[int, ...]:
    """Allowed last axes of the gate: one number a row, or one per state row or channel."""
    if kind == "chacal":
        return (1,)
    return (1, mixer.state if mixer.state > 1 else width)


def check_rows(name: str, tensor: object) -> None:
    """Raise unless it is a ``(batch, heads, n, d)`` tensor without an empty axis."""
    if not isinstance(tensor, torch.Tensor):
        raise DtypeError(f"{name} is a {type(tensor).__name__}; a torch.Tensor is needed")
    if tensor.dim() != 4 or 0 in tensor.shape:
        raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; (batch, heads, n, d) is needed, each at least 1")


def check_alike(**tensors: torch.Tensor) -> None:
    """Raise unless all tensors have one floating dtype and one device."""
    (first, model), *others = tensors.items()
    if model.dtype not in FLOATING:
        known = ", ".join(str(dtype) for dtype in FLOATING)
        raise DtypeError(f"{first} has dtype {model.dtype}; one of {known} is needed")
    for name, tensor in others:
        if tensor.dtype != model.dtype:
            raise DtypeError(f"{name} has dtype {tensor.dtype}; {first}'s {model.dtype} is needed")
        if tensor.device != model.device:
            raise DeviceError(f"{name} is on {tensor.device}; {first}'s device {model.device} is needed")


def _check_shape(name: str, tensor: torch.Tensor, needed: tuple[int, ...], why: str) -> None:
    if tuple(tensor.shape) != needed:
        raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; {needed} is needed, {why}")
