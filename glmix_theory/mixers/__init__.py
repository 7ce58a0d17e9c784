"""Mixers ``Y = (I-B)^{-1} A X`` and the catalogue of published ones."""

from glmix_theory.mixers.mixer import COEFFICIENTS, Mixer

__all__ = ["COEFFICIENTS", "Mixer"]
