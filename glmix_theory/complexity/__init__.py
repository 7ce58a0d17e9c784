"""Costs and caches: exact counts, closed forms and the slots that realise them."""

from glmix_theory.complexity.slots import SlotPlan

__all__ = ["SlotPlan"]
