"""The report of a mixer, and mixers compared."""

from glmix_theory.analysis.comparison import Change, Comparison, Crossover, compare, growth_ratio
from glmix_theory.analysis.report import QUANTITIES, Report, analyze, theta_text

__all__ = [
    "QUANTITIES",
    "Change",
    "Comparison",
    "Crossover",
    "Report",
    "analyze",
    "compare",
    "growth_ratio",
    "theta_text",
]
