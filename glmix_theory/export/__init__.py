"""Runnable torch layers: any mixer trains and decodes with the cost and cache its report states."""

try:
    import torch  # noqa: F401
except ImportError as missing:
    from glmix_theory.errors import MissingDependencyError

    raise MissingDependencyError(
        "the export needs torch, which is not installed; use pip install 'glmix-theory[torch]'"
    ) from missing

from glmix_theory.export.backend import Backend, Mixed, Terms
from glmix_theory.export.decode import Cache
from glmix_theory.export.functional import AUTOMATIC, BACKENDS, Edges, edges, mix, mixed, solve
from glmix_theory.export.language_model import GLMLanguageModel
from glmix_theory.export.layer import GLMixer, to_torch

__all__ = [
    "AUTOMATIC",
    "BACKENDS",
    "Backend",
    "Cache",
    "Edges",
    "GLMLanguageModel",
    "GLMixer",
    "Mixed",
    "Terms",
    "edges",
    "mix",
    "mixed",
    "solve",
    "to_torch",
]
