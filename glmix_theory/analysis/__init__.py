"""The report of a mixer."""

from glmix_theory.analysis.report import QUANTITIES, Report, analyze, theta_text

__all__ = ["QUANTITIES", "Report", "analyze", "theta_text"]
