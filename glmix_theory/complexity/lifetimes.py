"""When each row is read for the last time: the ground of cache sizes and slots."""

from __future__ import annotations

import numpy as np

from glmix_theory.mixers.mixer import Mixer
from glmix_theory.patterns import Pattern


def last_reads(pattern: Pattern, length: int, horizon: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(lower, upper)``: the last step that reads position ``s``, for each ``s < length``.

    A value ``length`` stands for "at step ``length`` or later", ``-1`` for "never". The two arrays
    differ only where the pattern's unbounded future is not known (lower: no read is assumed, upper:
    one is). With ``horizon``, only steps below it read, so both agree.
    """
    indptr, sources = pattern.rows(0, length)
    last = np.full(length, -1, dtype=np.int64)
    # Targets ascend, so for repeated sources the last assignment is the largest target.
    last[sources] = np.repeat(np.arange(length), np.diff(indptr))
    if horizon is None:
        certain, possible = pattern.read_from(length, length)
    else:
        later = pattern.rows(length, max(horizon, length))[1]
        certain = np.zeros(length, dtype=bool)
        certain[later[later < length]] = True
        possible = certain
    return np.where(certain, length, last), np.where(possible, length, last)


def live_counts(last: np.ndarray) -> np.ndarray:
    """Rows live after each step ``t < n``, from the last read of each row."""
    length = len(last)
    born = np.arange(length)
    kept = last > born
    change = np.zeros(length + 1, dtype=np.int64)
    np.add.at(change, born[kept], 1)
    np.add.at(change, last[kept], -1)
    return np.cumsum(change)[:length]


def live_profile(mixer: Mixer, length: int, horizon: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``(lower, upper)`` rows live after each step ``t < length``: inputs for ``A``, outputs for ``B`` and ``C``."""
    profiles = []
    for bound in (0, 1):
        inputs = live_counts(last_reads(mixer.direct, length, horizon)[bound])
        outputs = live_counts(last_reads(mixer.output_reads, length, horizon)[bound])
        profiles.append((inputs + outputs) * mixer.state)
    return profiles[0], profiles[1]
