"""Costs and caches: exact counts, closed forms and the slots that realise them."""

from glmix_theory.complexity.cache import cache_size
from glmix_theory.complexity.cost import step_cost, total_cost
from glmix_theory.complexity.horizon import horizon_cache_size
from glmix_theory.complexity.quantity import STATUSES, Bounds, Quantity, plain, weakest
from glmix_theory.complexity.slots import SlotPlan

__all__ = [
    "STATUSES",
    "Bounds",
    "Quantity",
    "SlotPlan",
    "cache_size",
    "horizon_cache_size",
    "plain",
    "step_cost",
    "total_cost",
    "weakest",
]
