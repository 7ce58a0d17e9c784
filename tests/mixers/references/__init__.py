"""Every catalogue entry a second time, from its publication, in plain loops.

A reference takes ``(mixer, n, rng, **parameters)``, draws inputs, and returns a :class:`Case`: the
coefficients these inputs give on the mixer's patterns, and the mixing matrix that the published
definition gives, computed without the mixer, its patterns or a triangular solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.mixers.references import attention, delta_rules, linear_attention, recurrences, resolvents, state_space
from tests.mixers.references.case import Case

Reference = Callable[..., Case]

REFERENCES: dict[str, Reference] = {
    **attention.REFERENCES,
    **state_space.REFERENCES,
    **linear_attention.REFERENCES,
    **delta_rules.REFERENCES,
    **resolvents.REFERENCES,
    **recurrences.REFERENCES,
}

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "local_attention": [{"window": 1}, {"window": 3}],
    "kth_order_recurrence": [{"order": 1}, {"order": 2}],
    "sliding_window": [{"window": 5}],
    "dilated": [{"window": 3, "dilation": 2}, {"window": 4, "dilation": 1}],
    "strided": [{"stride": 1}, {"stride": 3}],
    "longformer": [
        {"window": 2, "dilation": 3, "global_tokens": 1},
        {"window": 3, "dilation": 2, "global_tokens": 0},
    ],
    "bigbird": [
        {"window": 2, "global_tokens": 1, "random_sources": 2, "seed": 7},
        {"window": 3, "global_tokens": 0, "random_sources": 1, "seed": 1},
    ],
    "attention_sinks": [{"window": 2, "sinks": 1}],
    "s4d": [{"pairs": 1}],
    "mamba": [{"state": 1}, {"state": 3}],
    "mamba2": [{"state": 1}, {"state": 3}],
    "linear_attention": [{"state": 1}, {"state": 3}],
    "retnet": [{"state": 1}, {"state": 3}],
    "gla": [{"state": 1}, {"state": 3}],
    "rwkv6": [{"state": 1}, {"state": 3}],
    "log_linear_attention": [
        {"state": 1, "merged": False},
        {"state": 3, "merged": False},
        {"state": 3, "merged": True},
    ],
    "delta_net": [{"state": 1}, {"state": 3}],
    "gated_delta_net": [{"state": 1}, {"state": 3}],
    "kimi_delta_attention": [{"state": 1}, {"state": 3}],
    "rwkv7": [{"state": 1}, {"state": 3}],
    "block_chacal": [{"block": 1}, {"block": 3}, {"block": 4}],
    "chimera": [{"edges": ((1, 0), (2, 0), (3, 1), (3, 2), (6, 3)), "state": 1}],
}
"""Parameters to test besides the defaults: small enough that every branch shows at ``n = 17``."""

__all__ = ["REFERENCES", "VARIANTS", "Case", "Reference"]
