"""Runnable torch layers: any mixer trains and decodes with the cost and cache its report states."""

try:
    import torch  # noqa: F401
except ImportError as missing:
    from glmix_theory.errors import MissingDependencyError

    raise MissingDependencyError(
        "the export needs torch, which is not installed; use pip install 'glmix-theory[torch]'"
    ) from missing

from glmix_theory.export.backend import Backend, Mixed, Terms
from glmix_theory.export.backends import BACKENDS, choose_backend
from glmix_theory.export.decode import Cache
from glmix_theory.export.functional import Edges, edges, mix, mixed, solve
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.kinds import Stability, stability
from glmix_theory.export.language_model import GLMLanguageModel
from glmix_theory.export.layer import GLMixer, to_torch
from glmix_theory.export.matrices import mixing_matrices, mixing_matrix

__all__ = [
    "BACKENDS",
    "Backend",
    "Cache",
    "Edges",
    "GLMLanguageModel",
    "GLMixer",
    "Inputs",
    "Mixed",
    "Stability",
    "Terms",
    "choose_backend",
    "edges",
    "mix",
    "mixed",
    "mixing_matrices",
    "mixing_matrix",
    "solve",
    "stability",
    "to_torch",
]
