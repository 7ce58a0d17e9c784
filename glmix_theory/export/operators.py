"""The mixers as torch operators: what ``torch.compile`` and ``torch.export`` see of a backend.

An operator takes the mixer as text, so that an exported program can be run by another process; a mixer
without text (a Python function inside) is known in its own process only. Gradients are operators too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from glmix_theory.errors import CoefficientError, FormulaError, GlmixError
from glmix_theory.export.backend import EdgeValues
from glmix_theory.export.backends import BACKENDS
from glmix_theory.export.inputs import DIFFERENTIABLE, Inputs
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import Structure, structure_of
from glmix_theory.mixers import Mixer, parse_mixer

_live: weakref.WeakValueDictionary[str, Mixer] = weakref.WeakValueDictionary()
_functions: dict[str, Mixer] = {}  # kept for good: their text cannot be read back, and a compiled graph may hold it
_parsed: dict[str, Mixer] = {}


@torch.compiler.assume_constant_result
def text_of(mixer: Mixer) -> str:
    """The text an operator knows a mixer by: what it prints as, where that can be read back.

    >>> import glmix_theory as glm
    >>> text_of(glm.Mixer(recurrent=glm.Lags([1])))
    'Mixer(direct=Diagonal(), recurrent=Lags([1]))'
    """
    return remembered(mixer, "text", lambda: _registered(mixer))


def _registered(mixer: Mixer) -> str:
    text = repr(mixer)
    known = _functions.get(text, _live.get(text))
    if known is not None and known != mixer:
        text = f"{text} at {id(mixer):#x}"  # two Python functions print alike
    try:
        readable = parse_mixer(text) == mixer
    except GlmixError:
        readable = False
    (_live if readable else _functions).setdefault(text, mixer)
    return text


def mixer_of(text: str) -> Mixer:
    """The mixer of :func:`text_of`, parsed where no such object lives in this process.

    Raises
    ------
    FormulaError
        The text holds a Python function of another process.
    """
    mixer = _functions.get(text, _live.get(text))
    if mixer is None:
        if text not in _parsed:
            try:
                _parsed[text] = parse_mixer(text)
            except FormulaError as error:
                raise FormulaError(
                    f"the mixer {text!r} cannot be rebuilt from its text; without Python functions it can ({error})"
                ) from None
        mixer = _parsed[text]
    return mixer


def structure_for(mixer: Mixer, inputs_length: int, segments: torch.Tensor | None) -> Structure:
    """The structure for sequences of one length, or for the longest of the segments."""
    if segments is not None:
        inputs_length = int((segments[:, 2] - segments[:, 1]).max())
    return structure_of(mixer, inputs_length)


# --- mix --------------------------------------------------------------------------------------------

_INPUTS = "Tensor v, Tensor? q, Tensor? k, Tensor? gate, Tensor? write, Tensor? bias, Tensor? segments"


@torch.library.custom_op(
    "glmix_theory::mix",
    mutates_args=(),
    schema=f"(str mixer, str kind, str backend, {_INPUTS}) -> (Tensor, Tensor)",
)
def mix_operator(
    mixer: str,
    kind: str,
    backend: str,
    v: torch.Tensor,
    q: torch.Tensor | None,
    k: torch.Tensor | None,
    gate: torch.Tensor | None,
    write: torch.Tensor | None,
    bias: torch.Tensor | None,
    segments: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` of a mixer; ``y`` is empty where it equals ``z``."""
    found = mixer_of(mixer)
    inputs = Inputs(v, q, k, gate, write, bias, segments)
    result = BACKENDS[backend].mix(structure_for(found, v.shape[2], segments), kind, inputs)
    return _placed(result.z), (_no_rows(v) if result.y is result.z else result.y.contiguous())


@mix_operator.register_fake
def _(
    mixer: str, kind: str, backend: str, v: torch.Tensor, *others: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    found = mixer_of(mixer)
    batch, heads, n, width = v.shape
    z = v.new_empty(batch, n, heads, width).transpose(1, 2)
    if found.state > 1:
        return z, v.new_empty(batch, heads, n, found.state, width)
    return z, (_no_rows(v) if found.readout is None else v.new_empty(batch, heads, n, width))


@torch.library.custom_op(
    "glmix_theory::mix_backward",
    mutates_args=(),
    schema=f"(str mixer, str kind, str backend, {_INPUTS}, Tensor y, Tensor dz) -> Tensor[]",
)
def mix_backward_operator(
    mixer: str,
    kind: str,
    backend: str,
    v: torch.Tensor,
    q: torch.Tensor | None,
    k: torch.Tensor | None,
    gate: torch.Tensor | None,
    write: torch.Tensor | None,
    bias: torch.Tensor | None,
    segments: torch.Tensor | None,
    y: torch.Tensor,
    dz: torch.Tensor,
) -> list[torch.Tensor]:
    """Gradients of the inputs that are given, in the order of ``DIFFERENTIABLE``."""
    inputs = Inputs(v, q, k, gate, write, bias, segments)
    structure = structure_for(mixer_of(mixer), v.shape[2], segments)
    chosen, names = BACKENDS[backend], _given(inputs)
    given = [getattr(inputs, name) for name in names]
    if chosen.mix_backward is None:
        found = _recomputed(
            lambda leaves: chosen.mix(structure, kind, replace(inputs, **dict(zip(names, leaves)))).z, given, dz
        )
    else:
        gradients = chosen.mix_backward(structure, kind, inputs, y, dz)
        found = [getattr(gradients, name) for name in names]
    return [_like(gradient, tensor) for gradient, tensor in zip(found, given)]


@mix_backward_operator.register_fake
def _(mixer: str, kind: str, backend: str, *tensors: torch.Tensor | None) -> list[torch.Tensor]:
    inputs = Inputs(*tensors[:-2])  # type: ignore[arg-type]
    return [_empty_like(getattr(inputs, name)) for name in _given(inputs)]


def _mix_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    ctx.names = inputs[:3]
    z, y = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[3:], y if y.numel() else z)


def _mix_gradient(ctx: Any, dz: torch.Tensor | None, dy: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    # The outputs y are handed out for caches only, detached by the caller: they have no gradient.
    *tensors, y = ctx.saved_tensors
    result: list[torch.Tensor | None] = [None] * 10
    if dz is not None:
        inputs = Inputs(*tensors)
        gradients = mix_backward_operator(*ctx.names, *tensors, y, dz)
        positions = {name: 3 + place for place, name in enumerate(_ARGUMENTS)}
        for name, gradient in zip(_given(inputs), gradients):
            if ctx.needs_input_grad[positions[name]]:
                result[positions[name]] = gradient
    return tuple(result)


_ARGUMENTS = ("v", "q", "k", "gate", "write", "bias", "segments")
mix_operator.register_autograd(_mix_gradient, setup_context=_mix_setup)


def _recomputed(forward: Callable[[list[Any]], torch.Tensor], given: Sequence[Any], dz: torch.Tensor) -> list[Any]:
    """Gradients of ``forward`` by differentiating it once more, for backends without a gradient of their own.

    Inside an operator autograd is off for the running thread, so the work is done in another one.
    """

    def run() -> tuple[Any, ...]:
        leaves = [None if tensor is None else tensor.detach().requires_grad_() for tensor in given]
        wanted = [leaf for leaf in leaves if leaf is not None]
        return torch.autograd.grad(forward(leaves), wanted, dz, allow_unused=True)

    with ThreadPoolExecutor(1) as other:
        found = iter(other.submit(run).result())
    return [None if tensor is None else next(found) for tensor in given]


def _given(inputs: Inputs) -> list[str]:
    return [name for name in DIFFERENTIABLE if getattr(inputs, name) is not None]


# --- solve ------------------------------------------------------------------------------------------


def check_values(structure: Structure, values: EdgeValues) -> None:
    """Raise :class:`CoefficientError` unless there is one value for each edge; run where ``n`` is a number."""
    state, x = structure.state, values.x
    column = [(state,)] if state > 1 else [()]
    blocks = [(1,), (state,), (state, state)] if state > 1 else [()]
    for name, given, part, allowed in zip(
        ("alpha", "beta", "gamma"), values, structure.parts, (column, blocks, column), strict=False
    ):
        assert given is not None
        shapes = [(*x.shape[:2], part.number, *block) for block in allowed]
        if tuple(given.shape) not in shapes:
            found = "is missing" if not given.numel() else f"has shape {tuple(given.shape)}"
            raise CoefficientError(
                f"{name} {found}; {' or '.join(map(str, shapes))} is needed: (batch, heads, edges at n = {x.shape[2]})"
            )


@torch.library.custom_op(
    "glmix_theory::solve",
    mutates_args=(),
    schema="(str mixer, str backend, Tensor alpha, Tensor beta, Tensor? gamma, Tensor x) -> (Tensor, Tensor)",
)
def solve_operator(
    mixer: str,
    backend: str,
    alpha: torch.Tensor,
    beta: torch.Tensor,
    gamma: torch.Tensor | None,
    x: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` for given edge values; ``y`` is empty where it equals ``z``."""
    structure, values = structure_of(mixer_of(mixer), x.shape[2]), EdgeValues(alpha, beta, gamma, x)
    check_values(structure, values)
    result = BACKENDS[backend].solve(structure, values)
    return _placed(result.z), (_no_rows(x) if result.y is result.z else result.y.contiguous())


@solve_operator.register_fake
def _(
    mixer: str,
    backend: str,
    alpha: torch.Tensor,
    beta: torch.Tensor,
    gamma: torch.Tensor | None,
    x: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, heads, n, width = x.shape
    z = x.new_empty(batch, n, heads, width).transpose(1, 2)
    state = mixer_of(mixer).state
    if state > 1:
        return z, x.new_empty(batch, heads, n, state, width)
    return z, (_no_rows(x) if gamma is None else x.new_empty(batch, heads, n, width))


@torch.library.custom_op(
    "glmix_theory::solve_backward",
    mutates_args=(),
    schema=(
        "(str mixer, str backend, Tensor alpha, Tensor beta, Tensor? gamma, Tensor x, Tensor y, Tensor dz) -> Tensor[]"
    ),
)
def solve_backward_operator(
    mixer: str,
    backend: str,
    alpha: torch.Tensor,
    beta: torch.Tensor,
    gamma: torch.Tensor | None,
    x: torch.Tensor,
    y: torch.Tensor,
    dz: torch.Tensor,
) -> list[torch.Tensor]:
    """Gradients of ``alpha``, ``beta``, ``gamma`` (where given) and ``x``."""
    structure = structure_of(mixer_of(mixer), x.shape[2])
    values = EdgeValues(alpha, beta, gamma, x)
    chosen = BACKENDS[backend]
    if chosen.solve_backward is None:
        found: Any = _recomputed(lambda leaves: chosen.solve(structure, EdgeValues(*leaves)).z, values, dz)
    else:
        found = chosen.solve_backward(structure, values, y, dz)
    return [_like(gradient, value) for gradient, value in zip(found, values) if value is not None]


@solve_backward_operator.register_fake
def _(mixer: str, backend: str, *tensors: torch.Tensor | None) -> list[torch.Tensor]:
    return [_empty_like(value) for value in tensors[:-2] if value is not None]


def _solve_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    ctx.names = inputs[:2]
    z, y = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[2:], y if y.numel() else z)


def _solve_gradient(ctx: Any, dz: torch.Tensor | None, dy: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    *tensors, y = ctx.saved_tensors
    result: list[torch.Tensor | None] = [None] * 6
    if dz is not None:
        places = [2 + place for place, tensor in enumerate(tensors) if tensor is not None]
        for place, gradient in zip(places, solve_backward_operator(*ctx.names, *tensors, y, dz)):
            result[place] = gradient
    return tuple(result)


solve_operator.register_autograd(_solve_gradient, setup_context=_solve_setup)


# --- shapes that fakes and results share ------------------------------------------------------------


def _placed(z: torch.Tensor) -> torch.Tensor:
    """The result stored position by position, so that joining the heads of a layer copies nothing."""
    return z.transpose(1, 2).contiguous().transpose(1, 2)


def _no_rows(v: torch.Tensor) -> torch.Tensor:
    return v.new_empty(0)


def _by_position(tensor: torch.Tensor) -> bool:
    """Whether rows of different heads lie side by side, as in a view of a projection."""
    return tensor.dim() == 4 and tensor.stride(1) < tensor.stride(2)


def _empty_like(tensor: torch.Tensor) -> torch.Tensor:
    if _by_position(tensor):
        batch, heads, n, width = tensor.shape
        return tensor.new_empty(batch, n, heads, width).transpose(1, 2)
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _like(gradient: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    """The gradient in the dtype of its tensor, stored as :func:`_empty_like`; zero where nothing depends on it."""
    if gradient is None:
        return _empty_like(tensor).zero_()
    gradient = gradient.to(tensor.dtype)
    return _placed(gradient) if _by_position(tensor) else gradient.contiguous()


def through_operator(backend: str) -> bool:
    """Whether a call goes through an operator: always for a backend with its own gradient, and when compiling."""
    return BACKENDS[backend].mix_backward is not None or torch.compiler.is_compiling()


def run_mix(mixer: Mixer, kind: str, backend: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y``; ``y`` is ``z`` without a readout, and has no gradient."""
    tensors = [getattr(inputs, name) for name in _ARGUMENTS]
    if type(inputs.v) is torch.Tensor and not torch.compiler.is_compiling():
        structure = structure_for(mixer, inputs.v.shape[2], inputs.segments)
        z, y = _Eager.apply(structure, kind, backend, *tensors)
        return z, z if y is None else y
    z, y = mix_operator(text_of(mixer), kind, backend, *tensors)
    return z, (y.detach() if y.numel() else z)


class _Eager(torch.autograd.Function):
    """The operator without its dispatch, which costs a noticeable part of a short sequence's forward pass."""

    @staticmethod
    def forward(
        ctx: Any, structure: Structure, kind: str, backend: str, *tensors: torch.Tensor | None
    ) -> tuple[Any, ...]:
        result = BACKENDS[backend].mix(structure, kind, Inputs(*tensors))  # type: ignore[arg-type]
        separate = result.y is not result.z
        ctx.call = structure, kind, backend
        ctx.save_for_backward(*tensors, result.y)
        ctx.set_materialize_grads(False)
        if separate:
            ctx.mark_non_differentiable(result.y)
        return result.z, result.y if separate else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: torch.Tensor | None, dy: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        *tensors, y = ctx.saved_tensors
        if dz is None:
            return (None,) * (3 + len(tensors))
        structure, kind, backend = ctx.call
        inputs = Inputs(*tensors)
        differentiate = BACKENDS[backend].mix_backward
        assert differentiate is not None
        gradients = differentiate(structure, kind, inputs, y, dz)
        return (
            None,
            None,
            None,
            *(
                _like(getattr(gradients, name), tensor) if wanted else None
                for name, tensor, wanted in zip(_ARGUMENTS, tensors, ctx.needs_input_grad[3:])
            ),
        )


def run_solve(
    mixer: Mixer, backend: str, alpha: torch.Tensor, beta: torch.Tensor, gamma: torch.Tensor | None, x: torch.Tensor
) -> torch.Tensor:
    """``z`` by operator."""
    z: torch.Tensor = solve_operator(text_of(mixer), backend, alpha, beta, gamma, x)[0]
    return z
