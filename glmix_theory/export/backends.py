"""Every way to execute a mixer, and which one ``"auto"`` takes."""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache

import torch

from glmix_theory.errors import DeviceError, MissingDependencyError, UnknownNameError, nearest
from glmix_theory.export import blocked, reference
from glmix_theory.export.availability import TRITON, triton_available, triton_refuses
from glmix_theory.export.backend import Backend

BACKENDS: dict[str, Backend] = {
    "reference": Backend(reference.mix, reference.solve),
    "torch": Backend(blocked.mix, blocked.solve),
}
"""Every way to execute a mixer that can run here, by name."""

MISSING: dict[str, str] = {}
"""Why a backend of the toolkit is not among :data:`BACKENDS`, by name."""

if importlib.util.find_spec("numba") is None:
    MISSING["numba"] = "numba is not installed; use pip install 'glmix-theory[torch]'"
else:
    from glmix_theory.export import fused

    BACKENDS["numba"] = fused.BACKEND

if not torch.cuda.is_available():
    MISSING["triton"] = "torch sees no CUDA device"
elif reason := triton_available():
    MISSING["triton"] = reason
else:
    BACKENDS["triton"] = TRITON


def check_backend(backend: str) -> None:
    """Raise unless there is such a backend, and it can run here.

    Raises
    ------
    UnknownNameError, MissingDependencyError
        No such backend; one whose package is missing.
    """
    if backend in MISSING:
        raise MissingDependencyError(f"backend {backend!r} cannot run: {MISSING[backend]}")
    known = ["auto", *BACKENDS]
    if backend not in known:
        raise UnknownNameError(f"backend = {backend!r} is not known; {nearest(str(backend), known)}")


def choose_backend(backend: str, device: torch.device, dtype: torch.dtype, widest: int) -> str:
    """The name of the backend that runs: the one given, or for ``"auto"`` the fastest that takes the tensors.

    On a CPU the compiled loops were faster than the blocks of ``"torch"`` for every pattern measured, dense
    ones included (``benchmarks/cpu_layer.py``), so the choice does not depend on the mixer.

    Parameters
    ----------
    backend : str
        ``"auto"`` or a name.
    device, dtype
        Of the tensors.
    widest : int
        Largest last axis of queries, keys and values.

    >>> import torch
    >>> choose_backend("auto", torch.device("cpu"), torch.float32, 64)
    'numba'

    Raises
    ------
    UnknownNameError, MissingDependencyError, DeviceError
        As :func:`check_backend`; a backend that does not run on the device.
    """
    check_backend(backend)
    if backend == "auto":
        return _best(device, dtype, widest)
    chosen = BACKENDS[backend]
    if chosen.devices is not None and device.type not in chosen.devices:
        raise DeviceError(
            f"backend {backend!r} runs on {', '.join(sorted(chosen.devices))} and the tensors are on "
            f"{device.type}; move them, or use backend='torch'"
        )
    return backend


@torch.compiler.assume_constant_result
def _best(device: torch.device, dtype: torch.dtype, widest: int) -> str:
    if device.type == "cpu":
        best, refusal = "numba", MISSING.get("numba")
    elif device.type == "cuda":
        best, refusal = "triton", MISSING.get("triton") or triton_refuses(device, dtype, widest)
    else:
        return "torch"
    if refusal:
        _warn_once(f"the slower backend 'torch' is used: {refusal}")
        return "torch"
    return best


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
