"""Depth: outputs on the longest chain of dependent outputs."""

from __future__ import annotations

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Quantity, counted_range
from glmix_theory.mixers import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import CacheEfficient, Pattern

_COUNTED_TO = 256


def depth(mixer: Mixer) -> Quantity:
    """Outputs on the longest chain of dependent outputs: steps that level scheduling cannot shorten.

    Claim: with smallest recurrent lag ``m`` it is ``⌈n/m⌉`` (proposition 12); without a
    recurrence it is 1.

    >>> import glmix_theory as glm
    >>> depth(glm.Mixer(recurrent=glm.Lags([3, 5]))).expr
    ceiling(n/3)
    """
    recurrent = mixer.recurrent
    smallest = _smallest_lag(recurrent)
    if smallest is None:
        values = levels(recurrent, _COUNTED_TO)
        return Quantity(
            "depth",
            lambda length: int(levels(recurrent, length)[-1]),
            status="checked",
            evidence=("longest chain counted over the steps in order", counted_range(values.tolist())),
            unit="steps",
        )
    if smallest == 0:
        evidence = "there is no recurrence, so no output waits for another"
        return Quantity("depth", lambda _: 1, sympy.Integer(1), sympy.Integer(1), "proved", (evidence,), "steps")
    return Quantity(
        "depth",
        lambda length: -(-length // smallest),
        sympy.ceiling(n / smallest),
        n,
        "proved",
        (
            f"each link of a chain spans at least the smallest lag {smallest}, and the chain 0, {smallest}, "
            f"{2 * smallest}, … uses just that: ⌈n/{smallest}⌉ outputs",
        ),
        "steps",
    )


def _smallest_lag(recurrent: Pattern) -> int | None:
    """The smallest lag where every step from it on reads at that lag; 0 for no recurrence, else ``None``."""
    if isinstance(recurrent, CacheEfficient):
        return 1
    lags = recurrent.lag_set
    if lags is None:
        return None
    if lags.largest == -1:
        return 0
    few = lags.up_to(1 << 16)
    return int(few[0]) if len(few) else None


def levels(recurrent: Pattern, length: int) -> np.ndarray:
    """Depth at every ``n = 1 … length``: the running maximum of each output's level, int64."""
    indptr, sources = recurrent.rows(0, length)
    level = np.ones(length, dtype=np.int64)
    for t in range(length):
        row = sources[indptr[t] : indptr[t + 1]]
        if len(row):
            level[t] = level[row].max() + 1
    return np.maximum.accumulate(level)
