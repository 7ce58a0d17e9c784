"""Mixers ``Y = (I-B)^{-1} A X``, the catalogue of published ones, and stacks of them."""

from glmix_theory.mixers.catalogue import Citation, Entry, PaperValues, StackEntry, catalogue
from glmix_theory.mixers.mixer import COEFFICIENTS, Mixer
from glmix_theory.mixers.parsing import parse_mixer
from glmix_theory.mixers.stack import Stack

__all__ = [
    "COEFFICIENTS",
    "Citation",
    "Entry",
    "Mixer",
    "PaperValues",
    "Stack",
    "StackEntry",
    "catalogue",
    "parse_mixer",
]
