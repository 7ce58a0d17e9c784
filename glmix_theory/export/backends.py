"""Every way to execute a mixer, and which one ``"auto"`` takes."""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache

import torch

from glmix_theory.errors import DeviceError, MissingDependencyError, UnknownNameError, nearest
from glmix_theory.export import blocked, reference
from glmix_theory.export.backend import Backend
from glmix_theory.mixers import Mixer

BACKENDS: dict[str, Backend] = {
    "reference": Backend(reference.mix, reference.solve),
    "torch": Backend(blocked.mix, blocked.solve),
}
"""Every way to execute a mixer, by name; ``"numba"`` is among them where numba is installed."""

MISSING: dict[str, str] = {}
"""Why a backend of the toolkit is not among :data:`BACKENDS`, by name."""

if importlib.util.find_spec("numba") is None:
    MISSING["numba"] = "numba is not installed; use pip install 'glmix-theory[torch]'"
else:
    from glmix_theory.export import fused

    BACKENDS["numba"] = fused.BACKEND


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


def choose_backend(backend: str, mixer: Mixer, device: torch.device) -> str:
    """The name of the backend that runs: the one given, or for ``"auto"`` the best for mixer and device.

    >>> import torch, glmix_theory as glm
    >>> choose_backend("auto", glm.catalogue["exponential_recurrence"], torch.device("cpu"))
    'numba'

    Raises
    ------
    UnknownNameError, MissingDependencyError, DeviceError
        As :func:`check_backend`; a backend that does not run on the device.
    """
    check_backend(backend)
    if backend == "auto":
        return _best(mixer, device.type)
    chosen = BACKENDS[backend]
    if chosen.devices is not None and device.type not in chosen.devices:
        raise DeviceError(
            f"backend {backend!r} runs on {', '.join(sorted(chosen.devices))} and the tensors are on "
            f"{device.type}; move them, or use backend='torch'"
        )
    return backend


@torch.compiler.assume_constant_result
def _best(mixer: Mixer, device: str) -> str:
    if device == "cpu":
        if "numba" in BACKENDS:
            return "numba"
        _warn_once(f"the slower backend 'torch' is used: {MISSING['numba']}")
    return "torch"


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
