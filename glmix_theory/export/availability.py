"""Whether the Triton backend can run, found out without loading Triton."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import metadata

import torch

OLDEST_TRITON = (3, 6)
"""First version whose language and compiler the kernels are written for and tested with."""

OLDEST_CAPABILITY = (8, 0)
"""First compute capability with tensor cores for bf16 and tf32."""


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
