"""From a target to a pattern: candidates that meet a budget, refusals with their theorem, Pareto search."""
