"""What a pattern can carry: distance, congestion, rank, and certificates for each."""

from glmix_theory.expressivity.all_pairs import (
    Farthest,
    Reach,
    all_pairs_hops,
    distance_by_length,
    farthest_pairs,
    reach,
    shortest_path,
)
from glmix_theory.expressivity.certificates import (
    CertificateError,
    Cut,
    DisjointPaths,
    Path,
    Routing,
    Separator,
    Unreachable,
    Weights,
)
from glmix_theory.expressivity.coefficients import random_coefficients
from glmix_theory.expressivity.conditioning import Conditioning, conditioning
from glmix_theory.expressivity.congestion import Congestion, congestion, congestion_bounds
from glmix_theory.expressivity.demands import Demand, all_to_one, bit_reversal, copy, random_recall
from glmix_theory.expressivity.depth import depth
from glmix_theory.expressivity.distance import distance, distance_lower_bound
from glmix_theory.expressivity.fractional import FractionalCongestion, fractional_congestion
from glmix_theory.expressivity.generic_rank import RankChain, copy_ceiling, modular_rank, rank_chain
from glmix_theory.expressivity.growth import GrowthRate, growth_equation, growth_rate, walk_counts
from glmix_theory.expressivity.lag_profile import lag_hops
from glmix_theory.expressivity.lanes import gather_routing, lane_routing
from glmix_theory.expressivity.pictures import plot_loads, plot_path
from glmix_theory.expressivity.state_rank import StateRank, state_rank, state_rank_at
from glmix_theory.expressivity.state_tracking import PermutationTracker, tracked_items

__all__ = [
    "CertificateError",
    "Conditioning",
    "Congestion",
    "Cut",
    "Demand",
    "DisjointPaths",
    "Farthest",
    "FractionalCongestion",
    "GrowthRate",
    "Path",
    "PermutationTracker",
    "RankChain",
    "Reach",
    "Routing",
    "Separator",
    "StateRank",
    "Unreachable",
    "Weights",
    "all_pairs_hops",
    "all_to_one",
    "bit_reversal",
    "conditioning",
    "congestion",
    "congestion_bounds",
    "copy",
    "copy_ceiling",
    "depth",
    "distance",
    "distance_by_length",
    "distance_lower_bound",
    "farthest_pairs",
    "fractional_congestion",
    "gather_routing",
    "growth_equation",
    "growth_rate",
    "lag_hops",
    "lane_routing",
    "modular_rank",
    "plot_loads",
    "plot_path",
    "random_coefficients",
    "random_recall",
    "rank_chain",
    "reach",
    "shortest_path",
    "state_rank",
    "state_rank_at",
    "tracked_items",
    "walk_counts",
]
