"""The Triton backend without loading Triton: whether it can run, and a backend that loads it when called."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from importlib import metadata
from typing import Any

import torch

from glmix_theory.export.backend import Backend

OLDEST_TRITON = (3, 6)
"""First version whose language and compiler the kernels are written for and tested with."""

OLDEST_CAPABILITY = (8, 0)
"""First compute capability with tensor cores for bf16 and tf32."""

WIDEST = 256
"""Channels of a query, key or row at most."""


@cache
def triton_available(device: torch.device | None = None) -> str | None:
    """Why the Triton backend cannot run on a CUDA device, ``None`` where it can.

    Parameters
    ----------
    device : torch.device, optional
        Also checked: its compute capability.

    Returns
    -------
    str or None
        A reason, for a warning or an error.

    Examples
    --------
    >>> reason = triton_available()
    >>> reason is None or "triton" in reason
    True
    """
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed; pip install triton"
    try:
        version = metadata.version("triton")
    except metadata.PackageNotFoundError:
        version = _loaded_version()
    if (found := _numbers(version)) < OLDEST_TRITON:
        return f"triton {version} is too old: {'.'.join(map(str, found))} < {'.'.join(map(str, OLDEST_TRITON))}"
    if device is not None and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < OLDEST_CAPABILITY:
            least = ".".join(map(str, OLDEST_CAPABILITY))
            return f"the triton kernels need compute capability {least}; {device} has {'.'.join(map(str, capability))}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor number.

    >>> _numbers("3.6.0+git1234"), _numbers("3.10rc1")
    ((3, 6), (3, 10))
    """
    digits = ["".join(c for c in part[:2] if c.isdigit()) for part in version.split(".")[:2]]
    return tuple(int(number or 0) for number in digits)


def _loaded_version() -> str:
    """The version of a Triton that was installed under another name, from the package itself."""
    import triton

    return str(triton.__version__)


def triton_refuses(device: torch.device, dtype: torch.dtype, widest: int) -> str | None:
    """Why ``"auto"`` should not give these tensors to the Triton backend, ``None`` where it should.

    Parameters
    ----------
    device, dtype
        Of the tensors.
    widest : int
        Largest last axis of ``q``, ``k`` and ``v``.

    Examples
    --------
    >>> triton_refuses(torch.device("cpu"), torch.float32, 64)
    'the triton kernels run on cuda, and the tensors are on cpu'
    """
    if device.type != "cuda":
        return f"the triton kernels run on cuda, and the tensors are on {device.type}"
    if dtype == torch.float64:
        return "the triton kernels sum in fp32, and the tensors are torch.float64"
    if widest > WIDEST:
        return f"the triton kernels take rows of at most {WIDEST} channels, not {widest}"
    return triton_available(device)


def _loading(name: str) -> Any:
    def call(*arguments: Any) -> Any:
        from glmix_theory.export.triton import BACKEND

        return getattr(BACKEND, name)(*arguments)

    return call


TRITON = Backend(
    _loading("mix"),
    _loading("solve"),
    _loading("mix_backward"),
    _loading("solve_backward"),
    frozenset({"cuda", "cpu"} if os.environ.get("TRITON_INTERPRET") == "1" else {"cuda"}),
)
"""The backend; Triton is loaded by its first call. Interpreted (``TRITON_INTERPRET=1``), it takes CPU tensors."""
