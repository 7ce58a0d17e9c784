"""What a pattern can carry: distance and depth."""

from glmix_theory.expressivity.depth import depth
from glmix_theory.expressivity.distance import all_pairs_hops, distance, distance_by_length, lag_hops

__all__ = ["all_pairs_hops", "depth", "distance", "distance_by_length", "lag_hops"]
