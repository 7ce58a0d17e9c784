"""The functional core: any mixer, any backend, behind two functions."""

from __future__ import annotations

from typing import NamedTuple

import torch

from glmix_theory.errors import (
    CoefficientError,
    DeviceError,
    DtypeError,
    ShapeError,
    UnknownNameError,
    check_length,
    nearest,
)
from glmix_theory.export import blocked, reference
from glmix_theory.export.backend import Backend, Mixed
from glmix_theory.export.coefficients import check_exported, check_mixer
from glmix_theory.export.layout import layout_of
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Pattern

BACKENDS: dict[str, Backend] = {
    "reference": Backend(reference.mix, reference.solve),
    "torch": Backend(blocked.mix, blocked.solve),
}
"""Every way to execute a mixer, by name."""

AUTOMATIC: dict[str, str] = {}
"""The backend that ``"auto"`` takes on a device type; ``"torch"`` where none is named."""

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Dtypes a mixer runs in; half precision is summed in fp32."""


class Edges(NamedTuple):
    """The pairs of each part as int64 tensors ``(targets, sources)``, in the order of edge values."""

    direct: tuple[torch.Tensor, torch.Tensor]
    recurrent: tuple[torch.Tensor, torch.Tensor]
    readout: tuple[torch.Tensor, torch.Tensor] | None


def edges(mixer: Mixer, n: int, device: torch.device | str = "cpu") -> Edges:
    """Which pair ``(t, s)`` each edge value of :func:`solve` belongs to.

    Claim: the order is that of ``pattern.to_csr(n)``: by target ``t``, then by source ``s``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> targets, sources = edges(glm.Mixer(recurrent=glm.Lags([1, 2])), 4).recurrent
    >>> targets.tolist(), sources.tolist()
    ([1, 2, 2, 3, 3], [0, 0, 1, 1, 2])

    Raises
    ------
    LengthError
        ``n < 1`` or not an integer.
    """
    n, device = check_length(n), torch.device(device)

    def pairs(pattern: Pattern) -> tuple[torch.Tensor, torch.Tensor]:
        layout = layout_of(pattern, n, device)
        return layout.targets, layout.sources

    readout = None if mixer.readout is None else pairs(mixer.readout)
    return Edges(pairs(mixer.direct), pairs(mixer.recurrent), readout)


def mix(
    mixer: Mixer,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    coefficients: str | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """The mixer with coefficients made from queries and keys, applied to values.

    Claim: ``Z = C (I-B)^{-1} A V`` with, for every row ``t``, one softmax over the scores
    ``q_t · k_s / √d`` of its direct and recurrent edges together, and one over its readout edges.
    A row without direct and recurrent edges gives ``y_t = 0``. Causal bit for bit: while its values are
    finite, a change at positions ``≥ t`` leaves the outputs before ``t`` identical.

    Parameters
    ----------
    mixer : Mixer
        Patterns; ``state`` must be 1.
    q, k : tensor (batch, heads, n, d)
        Queries of the targets, keys of the sources.
    v : tensor (batch, heads, n, width)
        Rows to mix, same dtype and device.
    coefficients : str, optional
        Coefficient kind; the mixer's own (``"softmax"`` unless it says otherwise) by default.
    backend : str
        ``"auto"``, or a name in :data:`BACKENDS`.

    Returns
    -------
    tensor (batch, heads, n, width)
        Differentiable in ``q``, ``k`` and ``v``.

    Raises
    ------
    ShapeError, DtypeError, DeviceError
        Tensors that do not fit each other.
    CoefficientError
        A coefficient kind or a state expansion that is not exported.
    UnknownNameError
        An unknown backend.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
    >>> q = k = torch.zeros(1, 1, 4, 2)
    >>> mix(mixer, q, k, torch.ones(1, 1, 4, 2))[0, 0, :, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]

    References
    ----------
    Fagnou et al., arXiv:2605.31367; propositions 1 and 11.
    """
    return mixed(mixer, q, k, v, coefficients, backend).z


@torch.compiler.disable
def mixed(
    mixer: Mixer,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    coefficients: str | None = None,
    backend: str = "auto",
) -> Mixed:
    """As :func:`mix`, with the recurrence's outputs and the number of terms that were applied.

    Under ``torch.compile`` the mixer runs as written, between two compiled graphs.

    >>> import torch, glmix_theory as glm
    >>> x = torch.zeros(1, 1, 4, 2)
    >>> mixed(glm.Mixer(recurrent=glm.Lags([1])), x, x, x).terms
    Terms(direct=4, recurrent=3, readout=0)
    """
    kind = check_exported(mixer, coefficients)
    _check_rows("q", q)
    if k.shape != q.shape:
        raise ShapeError(f"k has shape {tuple(k.shape)}; q's shape {tuple(q.shape)} is needed")
    if v.dim() != 4 or v.shape[:3] != q.shape[:3]:
        needed = ", ".join(map(str, q.shape[:3]))
        raise ShapeError(f"v has shape {tuple(v.shape)}; ({needed}, width) is needed, as for q")
    _check_alike(q=q, k=k, v=v)
    return _chosen(backend, q.device).mix(mixer, q, k, v, kind)


@torch.compiler.disable
def solve(
    mixer: Mixer,
    alpha: torch.Tensor,
    beta: torch.Tensor | None,
    x: torch.Tensor,
    gamma: torch.Tensor | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """The mixer for coefficients computed elsewhere, given as one number per edge.

    Claim: ``Z = C (I-B)^{-1} A X``, where the values fill ``A``, ``B`` and ``C`` in the order of
    ``pattern.to_csr(n)``; :func:`edges` lists the pairs.

    Parameters
    ----------
    mixer : Mixer
        Patterns; ``state`` must be 1.
    alpha : tensor (batch, heads, direct edges)
        Values of ``A``.
    beta : tensor (batch, heads, recurrent edges), optional
        Values of ``B``; may be ``None`` when there are no recurrent edges.
    x : tensor (batch, heads, n, d)
        Rows to mix.
    gamma : tensor (batch, heads, readout edges), optional
        Values of ``C``; given exactly when the mixer has a readout.
    backend : str
        ``"auto"``, or a name in :data:`BACKENDS`.

    Returns
    -------
    tensor (batch, heads, n, d)
        Differentiable in ``alpha``, ``beta``, ``gamma`` and ``x``.

    Raises
    ------
    CoefficientError
        Edge values of a wrong shape, or missing, or needless.
    ShapeError, DtypeError, DeviceError, UnknownNameError
        As for :func:`mix`.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.Lags([1]))
    >>> alpha, beta = torch.ones(1, 1, 3), torch.full((1, 1, 2), 0.5)
    >>> solve(mixer, alpha, beta, torch.ones(1, 1, 3, 1)).flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    check_mixer(mixer)
    _check_rows("x", x)
    n = x.shape[2]
    if beta is None:
        if layout_of(mixer.recurrent, n, x.device).number_edges:
            raise CoefficientError(f"beta is missing; the recurrent part {mixer.recurrent!r} needs it")
        beta = x.new_zeros(*x.shape[:2], 0)
    if (gamma is None) != (mixer.readout is None):
        has = "has no readout, so takes no" if mixer.readout is None else "has a readout, so needs"
        raise CoefficientError(f"this mixer {has} gamma")
    given = {"alpha": (alpha, mixer.direct), "beta": (beta, mixer.recurrent)}
    if gamma is not None and mixer.readout is not None:
        given["gamma"] = (gamma, mixer.readout)
    for name, (values, pattern) in given.items():
        needed = (*x.shape[:2], layout_of(pattern, n, x.device).number_edges)
        if tuple(values.shape) != needed:
            raise CoefficientError(
                f"{name} has shape {tuple(values.shape)}; {needed} is needed: (batch, heads, edges of "
                f"{pattern!r} at n = {n})"
            )
    _check_alike(x=x, **{name: values for name, (values, _) in given.items()})
    return _chosen(backend, x.device).solve(mixer, alpha, beta, x, gamma).z


def check_backend(backend: str) -> None:
    """Raise :class:`~glmix_theory.errors.UnknownNameError` unless there is such a backend."""
    known = ["auto", *BACKENDS]
    if backend not in known:
        raise UnknownNameError(f"backend = {backend!r} is not known; {nearest(str(backend), known)}")


def _chosen(backend: str, device: torch.device) -> Backend:
    check_backend(backend)
    name = AUTOMATIC.get(device.type, "torch") if backend == "auto" else backend
    chosen = BACKENDS[name]
    if chosen.devices is not None and device.type not in chosen.devices:
        raise DeviceError(
            f"backend {name!r} runs on {', '.join(sorted(chosen.devices))} and the tensors are on "
            f"{device.type}; move them, or use backend='torch'"
        )
    return chosen


def _check_rows(name: str, tensor: torch.Tensor) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise DtypeError(f"{name} is a {type(tensor).__name__}; a torch.Tensor is needed")
    if tensor.dim() != 4 or 0 in tensor.shape:
        raise ShapeError(f"{name} has shape {tuple(tensor.shape)}; (batch, heads, n, d) is needed, each at least 1")


def _check_alike(**tensors: torch.Tensor) -> None:
    (first, model), *others = tensors.items()
    if model.dtype not in FLOATING:
        known = ", ".join(str(dtype) for dtype in FLOATING)
        raise DtypeError(f"{first} has dtype {model.dtype}; one of {known} is needed")
    for name, tensor in others:
        if tensor.dtype != model.dtype:
            raise DtypeError(f"{name} has dtype {tensor.dtype}; {first}'s {model.dtype} is needed")
        if tensor.device != model.device:
            raise DeviceError(f"{name} is on {tensor.device}; {first}'s device {model.device} is needed")
