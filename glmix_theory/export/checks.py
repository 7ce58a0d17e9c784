"""What a layer looks at before it runs, and the line of its report that it prints."""

from __future__ import annotations

import math

import torch

from glmix_theory.errors import CacheError, DeviceError, DtypeError, GlmixError, ShapeError
from glmix_theory.export.decode import Cache
from glmix_theory.export.inputs import FLOATING
from glmix_theory.mixers import Mixer


def check_input(x: torch.Tensor, leading: tuple[str, ...], weight: torch.Tensor) -> None:
    """Raise unless ``x`` has these leading axes, and the width, device and dtype of a layer with this projection.

    Raises
    ------
    ShapeError, DtypeError, DeviceError
        Any floating dtype will do under autocast.
    """
    width = weight.shape[1]
    if not isinstance(x, torch.Tensor):
        raise DtypeError(f"x is a {type(x).__name__}; a torch.Tensor is needed")
    if x.dim() != len(leading) + 1 or x.shape[-1] != width or 0 in x.shape:
        needed = ", ".join((*leading, str(width)))
        raise ShapeError(f"x has shape {tuple(x.shape)}; ({needed}) is needed, each at least 1")
    if x.device != weight.device:
        raise DeviceError(f"x is on {x.device} and the layer on {weight.device}; use x.to({str(weight.device)!r})")
    lowered = torch.is_autocast_enabled(x.device.type) and x.dtype in FLOATING
    if x.dtype != weight.dtype and not lowered:
        raise DtypeError(f"x has dtype {x.dtype} and the layer {weight.dtype}; use x.to({weight.dtype})")


def check_cache(cache: Cache, owner: object, x: torch.Tensor, dtype: torch.dtype) -> None:
    """Raise :class:`~glmix_theory.errors.CacheError` unless the cache is the owner's, of its dtype, and fits ``x``."""
    if not isinstance(cache, Cache):
        raise CacheError(f"cache is a {type(cache).__name__}; a Cache from prefill or empty_cache is needed")
    cache.require_owner(owner)
    if cache.batch != x.shape[0]:
        raise CacheError(f"the cache holds {cache.batch} sequences and x has {x.shape[0]}")
    if cache.device != x.device:
        raise CacheError(f"the cache is on {cache.device} and x on {x.device}")
    if cache.dtype != dtype:
        raise CacheError(f"the cache holds {cache.dtype} and the layer is {dtype} by now; prefill again")


def summary(mixer: Mixer) -> str:
    """Θ of the main quantities of a mixer's report, or why there is none: printing must not fail.

    >>> import glmix_theory as glm
    >>> summary(glm.Mixer(direct=glm.Window(4)))
    'step Θ(1), cache Θ(1), distance ∞, congestion ∞'
    """
    try:
        from glmix_theory.analysis import analyze

        report = analyze(mixer)
        names = {"step_cost": "step", "cache_size": "cache", "distance": "distance", "congestion": "congestion"}
        classes = {title: report[name].theta for name, title in names.items() if report[name].theta is not None}
        shown = [f"{title} {'∞' if theta == math.inf else f'Θ({theta})'}" for title, theta in classes.items()]
    except (GlmixError, ArithmeticError, ValueError, ImportError) as error:
        return f"no report: {error}"
    return ", ".join(shown) or "no Θ class is known"
