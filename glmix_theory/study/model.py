"""The model of a run: the toolkit's own language model, at the parameter count of the attention model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from glmix_theory.errors import StudyError
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.study.configuration import Run, Shape

if TYPE_CHECKING:
    from glmix_theory.export import GLMLanguageModel

TOLERANCE = 0.02
"""Largest relative difference of a mixer's parameter count from the reference's."""


def build(run: Run) -> GLMLanguageModel:
    """The untrained model of a run; the same seed gives the same weights, and no other randomness moves.

    Its width is the one of :func:`fitted_shape`, so that all mixers have equally many parameters.
    """
    shape = fitted_shape(run.mixer, run.problem.vocabulary, run.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        model = _model(run.mixer, run.problem.vocabulary, shape)
    _start_lag_biases(model, shape)
    return model.to(run.device)


def fitted_shape(mixer: Mixer, vocabulary: int, shape: Shape) -> Shape:
    """``shape`` with the width at which a mixer has as many parameters as attention has at ``shape``.

    >>> import glmix_theory as glm
    >>> fitted_shape(glm.catalogue["dense_recurrence"], 17, Shape(d_model=32)) == Shape(d_model=32)
    True

    Raises
    ------
    StudyError
        No width within reach comes within 2 % of it.
    """
    reference = parameter_count(catalogue["attention"], vocabulary, shape)
    steps = range(-shape.d_model // (2 * shape.n_heads), shape.d_model // shape.n_heads + 1)
    widths = [shape.d_model + shape.n_heads * step for step in sorted(steps, key=abs)]
    best, least = shape, float("inf")
    for width in widths:
        if width < shape.n_heads:
            continue
        candidate = replace(shape, d_model=width)
        distance = abs(parameter_count(mixer, vocabulary, candidate) / reference - 1)
        if distance < least:
            best, least = candidate, distance
        if least <= TOLERANCE:
            return best
    raise StudyError(
        f"{mixer!r}: the nearest parameter count to the reference's {reference} is {least:.1%} away, at "
        f"d_model = {best.d_model}; {TOLERANCE:.0%} is needed – a larger d_model or fewer heads have finer steps"
    )


def parameter_count(mixer: Mixer, vocabulary: int, shape: Shape) -> int:
    """Trainable numbers of the model."""
    model = _model(mixer, vocabulary, shape, device="meta")
    return sum(parameter.numel() for parameter in model.parameters())


def weight_groups(model: torch.nn.Module, decay: float) -> list[dict[str, object]]:
    """Parameters for AdamW: weight decay on matrices, none on gains, biases, gates and per-lag biases."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        decays = parameter.dim() == 2 and not name.endswith(("gate_bias", "lag_bias"))
        (matrices if decays else others).append(parameter)
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _model(mixer: Mixer, vocabulary: int, shape: Shape, **options: Any) -> GLMLanguageModel:
    from glmix_theory.export import GLMLanguageModel
    from glmix_theory.export.projections import Projected

    taken = Projected.of(mixer, shape.d_model // shape.n_heads, "auto", False)
    biased = not (taken.kind == "delta" and not taken.expanded)  # the UT transform takes no bias
    return GLMLanguageModel(mixer, vocabulary, shape.d_model, shape.n_heads, shape.n_layers, lag_bias=biased, **options)


@torch.no_grad()
def _start_lag_biases(model: GLMLanguageModel, shape: Shape) -> None:
    """Set the slopes of :class:`Shape`; ``"fixed"`` coefficients, whose filter is the bias, keep their own start."""
    for block in model.blocks:
        layer: Any = block.mixer
        if layer.lag_bias is not None and layer.projected.keyed:
            classes = torch.arange(layer.lag_bias.shape[2]).to(layer.lag_bias)
            slopes = shape.slope * 4.0 ** -torch.arange(shape.n_heads).to(layer.lag_bias)
            layer.lag_bias.sub_(slopes[None, :, None] * classes)
