"""Design, cost and certify causal linear token mixers ``Y = (I-B)^{-1} A X``.

>>> import glmix_theory as glm
>>> from glmix_theory import k
>>> mixer = glm.Mixer(direct=glm.Diagonal(), recurrent=glm.CacheEfficient(2**k))
>>> report = glm.analyze(mixer)
>>> report.step_cost.theta, report.cache_size.theta, report.cache_size.at(10**12)
(log(n), log(n), 40)
"""

from typing import Any

from glmix_theory import errors, rendering
from glmix_theory.analysis import Comparison, Report, analyze, compare
from glmix_theory.complexity import Bounds, Quantity, SlotPlan
from glmix_theory.design import Budget, Candidate, Design, SearchResult, Target, design, search
from glmix_theory.design.explain import Explanation, RankBound, explain, rank_bound
from glmix_theory.errors import GlmixError
from glmix_theory.expressivity import CertificateError, Demand, congestion_bounds, reach, shortest_path, state_rank_at
from glmix_theory.mixers import Mixer, catalogue, parse_mixer
from glmix_theory.mixers.realize import Realization, realize
from glmix_theory.notation import GLOSSARY, k, n
from glmix_theory.patterns import (
    Blocks,
    CacheEfficient,
    Delayed,
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
    parse_formula,
    parse_pattern,
)
from glmix_theory.patterns.staircase import Staircase
from glmix_theory.study import study
from glmix_theory.verify import Verification, verify

__version__ = "0.1.0"

_EXPORTED = ("GLMLanguageModel", "GLMixer", "edges", "mix", "mixing_matrices", "mixing_matrix", "solve", "to_torch")

__all__ = [
    "GLOSSARY",
    "Blocks",
    "Bounds",
    "Budget",
    "CacheEfficient",
    "Candidate",
    "CertificateError",
    "Comparison",
    "Delayed",
    "Demand",
    "Dense",
    "Design",
    "Diagonal",
    "Empty",
    "Explanation",
    "Explicit",
    "Fenwick",
    "FenwickPrefix",
    "GLMLanguageModel",
    "GLMixer",
    "GlmixError",
    "GlobalTokens",
    "Lags",
    "Mixer",
    "Offsets",
    "Pattern",
    "Predicate",
    "Quantity",
    "RandomSources",
    "RankBound",
    "Realization",
    "Report",
    "SearchResult",
    "SlotPlan",
    "Staircase",
    "Strided",
    "Target",
    "Verification",
    "Window",
    "analyze",
    "catalogue",
    "compare",
    "congestion_bounds",
    "design",
    "edges",
    "errors",
    "explain",
    "k",
    "mix",
    "mixing_matrices",
    "mixing_matrix",
    "n",
    "parse_formula",
    "parse_mixer",
    "parse_pattern",
    "rank_bound",
    "reach",
    "realize",
    "rendering",
    "search",
    "shortest_path",
    "solve",
    "state_rank_at",
    "study",
    "to_torch",
    "verify",
]


def __getattr__(name: str) -> Any:
    # The export imports torch, so it is loaded on first use: the analyses work without it.
    if name in _EXPORTED:
        from glmix_theory import export

        return getattr(export, name)
    raise AttributeError(f"module 'glmix_theory' has no attribute {name!r}")
