"""The matrix ``M`` that a layer applies to its values, for looking at it and for ``glm.explain``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from glmix_theory.errors import PatternError
from glmix_theory.export.checks import check_input
from glmix_theory.export.functional import mixed
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.layer import GLMixer
from glmix_theory.export.segments import segments_of
from glmix_theory.mixers import Mixer


def mixing_matrix(
    layer: GLMixer, x: torch.Tensor, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
) -> torch.Tensor:
    """The matrix that each head of a layer multiplies its values with, for a given input.

    Claim: ``M = C (I-B)^{-1} A`` with the coefficients that ``layer(x)`` uses, so ``M v`` are the mixed rows, before
    a norm (where the kind has one) and the output projection. For attention ``M`` is the attention map. It is the
    mixer's answer to the identity as values: outputs are linear in the values, and every channel has the same ``M``.

    Parameters
    ----------
    layer : GLMixer
        From :func:`~glmix_theory.export.to_torch`, or a block's ``mixer``.
    x : tensor (batch, n, d_model)
        What the layer is given.
    mask : bool tensor (batch, n), optional
        As for the layer's ``forward``; rows and columns of padding are 0.
    cu_seqlens : integer tensor (sequences + 1,), optional
        As for the layer's ``forward``; the matrix is then block diagonal.

    Returns
    -------
    tensor (batch, heads, n, n)
        ``M[t, s]``: what output ``t`` takes of value ``s``; lower triangular, in the layer's dtype, differentiable.
        With one gate per channel ``(batch, heads, width, n, n)``, as every channel then has its own. It takes
        ``n²`` numbers and the time of a layer whose heads have width ``n``.

    Raises
    ------
    PatternError
        ``layer`` is no :class:`GLMixer`.
    ShapeError, DtypeError, DeviceError, LengthError
        As for the layer's ``forward``.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> layer = glm.to_torch(glm.catalogue["attention"], d_model=8, n_heads=2)
    >>> maps = mixing_matrix(layer, torch.zeros(1, 3, 8))
    >>> maps.shape, [[round(weight, 2) for weight in row] for row in maps[0, 0].tolist()]
    (torch.Size([1, 2, 3, 3]), [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.33, 0.33, 0.33]])

    References
    ----------
    Fagnou et al., arXiv:2605.31367; proposition 1.
    """
    if not isinstance(layer, GLMixer):
        raise PatternError(
            f"mixing_matrix needs a layer made by glm.to_torch, got {type(layer).__name__}; "
            "mixing_matrices(model, tokens) finds the layers of a model"
        )
    check_input(x, ("batch", "n"), layer.projection.weight)
    inputs = layer._inputs(x, segments_of(x.shape[0], x.shape[1], mask, cu_seqlens))
    return matrix_of(layer.mixer, inputs, layer.projected.kind, layer.backend)


def mixing_matrices(model: nn.Module, *arguments: Any) -> dict[str, torch.Tensor]:
    """The matrices of every layer inside a model, for what each is given when the model runs.

    Parameters
    ----------
    model : module
        With :class:`GLMixer` layers in it, such as a :class:`~glmix_theory.export.GLMLanguageModel`.
    *arguments
        What the model is called with.

    Returns
    -------
    dict of str to tensor
        :func:`mixing_matrix` by the layer's name in the model, in the order in which the layers ran; of a layer that
        ran more than once, the last run's.

    Raises
    ------
    PatternError
        The model has no such layer.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> model = glm.GLMLanguageModel(glm.catalogue["attention"], vocabulary=5, d_model=8, n_heads=2, n_layers=2)
    >>> for name, maps in mixing_matrices(model, torch.arange(4)[None]).items():
    ...     print(name, tuple(maps.shape))
    blocks.0.mixer (1, 2, 4, 4)
    blocks.1.mixer (1, 2, 4, 4)
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, GLMixer)}
    if not layers:
        raise PatternError(f"{type(model).__name__} has no layer made by glm.to_torch, so no mixing matrix")
    found: dict[str, torch.Tensor] = {}
    hooks = []
    for name, layer in layers.items():

        def keep(layer: nn.Module, given: tuple[Any, ...], options: dict[str, Any], name: str = name) -> None:
            assert isinstance(layer, GLMixer)
            found[name] = mixing_matrix(layer, *given, **options)

        hooks.append(layer.register_forward_pre_hook(keep, with_kwargs=True))
    try:
        model(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def matrix_of(mixer: Mixer, inputs: Inputs, coefficients: str | None = None, backend: str = "auto") -> torch.Tensor:
    """The matrix for tensors computed elsewhere: as :func:`~glmix_theory.export.mixed`, with its ``v`` left out.

    >>> import torch, glmix_theory as glm
    >>> q = k = v = torch.zeros(1, 1, 3, 2)
    >>> matrix_of(glm.Mixer(recurrent=glm.Lags([1])), Inputs(v, q, k))[0, 0].tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]
    """
    batch, heads, n, _ = inputs.v.shape
    identity = torch.eye(n, dtype=inputs.v.dtype, device=inputs.v.device).expand(batch, heads, n, n)
    gate = inputs.gate
    if mixer.state > 1 or gate is None or gate.shape[3] == 1:
        return mixed(mixer, replace(inputs, v=identity), coefficients, backend).z
    channels = [replace(inputs, v=identity, gate=gate[..., c : c + 1]) for c in range(gate.shape[3])]
    return torch.stack([mixed(mixer, one, coefficients, backend).z for one in channels], dim=2)
