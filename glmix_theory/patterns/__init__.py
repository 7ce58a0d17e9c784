"""Who reads whom: pattern families, their algebra and index functions."""

from glmix_theory.patterns.base import Pattern
from glmix_theory.patterns.cache_efficient import CacheEfficient
from glmix_theory.patterns.delayed import Delayed
from glmix_theory.patterns.families import (
    Blocks,
    Explicit,
    Fenwick,
    FenwickPrefix,
    GlobalTokens,
    Predicate,
    RandomSources,
)
from glmix_theory.patterns.index_functions import IndexFunction
from glmix_theory.patterns.parsing import parse_formula, parse_pattern
from glmix_theory.patterns.translation_invariant import (
    Dense,
    Diagonal,
    Empty,
    Lags,
    Offsets,
    Strided,
    TranslationInvariant,
    Window,
)

__all__ = [
    "Blocks",
    "CacheEfficient",
    "Delayed",
    "Dense",
    "Diagonal",
    "Empty",
    "Explicit",
    "Fenwick",
    "FenwickPrefix",
    "GlobalTokens",
    "IndexFunction",
    "Lags",
    "Offsets",
    "Pattern",
    "Predicate",
    "RandomSources",
    "Strided",
    "TranslationInvariant",
    "Window",
    "parse_formula",
    "parse_pattern",
]
