"""From a target to a pattern: candidates that meet a budget, refusals with their theorem, Pareto search."""

from glmix_theory.design.candidates import Candidate, Design
from glmix_theory.design.designing import Nearest, design
from glmix_theory.design.evaluation import LayerShape
from glmix_theory.design.found import Found, Objective, SearchResult
from glmix_theory.design.frontier import pareto, standings
from glmix_theory.design.refusals import THEOREMS, Refusal, Theorem, refusals
from glmix_theory.design.search import read_search_file, search
from glmix_theory.design.space import Point, read_space
from glmix_theory.design.store import SCHEMA, Result, Store
from glmix_theory.design.targets import Budget, Target

__all__ = [
    "SCHEMA",
    "THEOREMS",
    "Budget",
    "Candidate",
    "Design",
    "Found",
    "LayerShape",
    "Nearest",
    "Objective",
    "Point",
    "Refusal",
    "Result",
    "SearchResult",
    "Store",
    "Target",
    "Theorem",
    "design",
    "pareto",
    "read_search_file",
    "read_space",
    "refusals",
    "search",
    "standings",
]
