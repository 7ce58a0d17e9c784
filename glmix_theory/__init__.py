"""Design, cost and certify causal linear token mixers ``Y = (I-B)^{-1} A X``."""

from glmix_theory.complexity import SlotPlan
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import (
    Blocks,
    CacheEfficient,
    Dense,
    Diagonal,
    Empty,
    Explicit,
    Fenwick,
    FenwickPrefix,
    GlobalTokens,
    Lags,
    Offsets,
    Pattern,
    Predicate,
    RandomSources,
    Strided,
    Window,
)
