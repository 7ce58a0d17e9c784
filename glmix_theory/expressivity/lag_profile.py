"""Least hops by lag of translation-invariant mixers: bit sets that move by shifts of one big integer."""

from __future__ import annotations

import numpy as np

from glmix_theory.errors import PatternError, check_length
from glmix_theory.mixers import Mixer
from glmix_theory.patterns.lag_sets import LagSet

UNREACHED = np.int32(2**30)
"""Stands for "no path" in integer arrays; becomes ``sympy.oo`` wherever a value is reported."""

_MOST_LEVELS = 4096


def is_translation_invariant(mixer: Mixer) -> bool:
    """Whether every part of the mixer is given by lags."""
    return all(part.lag_set is not None for part in mixer.parts.values())


def lag_hops(mixer: Mixer, length: int) -> np.ndarray:
    """Least hops for each lag ``0 … length-1`` of a translation-invariant mixer.

    Claim: ``hops[l]`` is the least number of hops from ``x_s`` to the output of step ``s + l``, for every
    ``s``: one direct lag, any recurrent lags, one readout lag that sum to ``l``; lag 0 is free.

    Returns
    -------
    int32 array of ``length`` entries; ``UNREACHED`` where no sum gives the lag.

    Raises
    ------
    PatternError
        The mixer is not translation-invariant.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> lag_hops(glm.Mixer(recurrent=glm.Offsets(2**glm.k)), 8).tolist()
    [0, 1, 1, 2, 1, 2, 2, 3]
    """
    length = check_length(length)
    if not is_translation_invariant(mixer):
        raise PatternError(f"{mixer!r} is not translation-invariant: hops depend on more than the lag")
    recurrent = _lags(mixer.recurrent.lag_set, length)
    hops = _with_first(sums_of_lags(recurrent, length), _lags(mixer.direct.lag_set, length))
    if mixer.readout is None:
        return hops
    return _with_first(hops, _lags(mixer.readout.lag_set, length))


def sums_of_lags(lags: np.ndarray, length: int) -> np.ndarray:
    """Fewest members of ``lags`` (positive, ascending, repetition allowed) that sum to each ``l < length``, int32.

    With largest member ``w`` some fewest sum of ``l > (w-1)²`` contains ``w``: among any ``w`` other members
    some sum to a multiple ``m w``, and ``m`` copies of ``w`` are no more. So beyond ``(w-1)²`` the counts
    repeat with period ``w``, one more each time.
    """
    if len(lags) == 0:
        counts = np.full(length, UNREACHED, dtype=np.int32)
        counts[0] = 0
        return counts
    largest = int(lags[-1])
    base = (largest - 1) ** 2 + 1 + largest
    if base >= length:
        return _by_levels(lags, length)
    counts = np.empty(length, dtype=np.int32)
    counts[:base] = _by_levels(lags, base)
    period = counts[base - largest : base]
    rest = np.arange(length - base)
    counts[base:] = np.minimum(period[rest % largest] + 1 + rest // largest, UNREACHED)
    return counts


def _by_levels(lags: np.ndarray, length: int) -> np.ndarray:
    """Level ``h``: all sums of ``h`` lags not reached before, as one integer whose bit ``l`` is lag ``l``."""
    counts = np.full(length, UNREACHED, dtype=np.int32)
    counts[0] = 0
    unseen = (1 << length) - 2
    frontier, level = 1, 0
    steps = lags.tolist()
    while frontier and unseen:
        level += 1
        if level > _MOST_LEVELS:  # few lags and many levels: one pass over the sums is cheaper
            return _by_sums(steps, length)
        reached = 0
        for lag in steps:
            reached |= frontier << lag
        frontier = reached & unseen
        unseen ^= frontier
        counts[_bits(frontier, length)] = level
    return counts


def _by_sums(steps: list[int], length: int) -> np.ndarray:
    unreached = int(UNREACHED)
    counts = [unreached] * length
    counts[0] = 0
    for total in range(1, length):
        counts[total] = min((counts[total - lag] for lag in steps if lag <= total), default=unreached) + 1
    return np.minimum(np.array(counts, dtype=np.int64), unreached).astype(np.int32)


def _with_first(hops: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Add one step by a lag of ``lags``; lag 0 costs nothing."""
    length = len(hops)
    if len(lags) == 1 and lags[0] == 0:
        return hops
    result = np.full(length, UNREACHED, dtype=np.int32)
    if len(lags) * length <= 1 << 26:
        for lag in lags.tolist():
            np.minimum(result[lag:], hops[: length - lag] + np.int32(lag > 0), out=result[lag:])
        return np.minimum(result, UNREACHED)
    free = bool(lags[0] == 0)
    moves = lags[1:].tolist() if free else lags.tolist()
    for value in np.unique(hops[hops < UNREACHED]).tolist():
        if (result <= value).all():  # later values are larger
            break
        members = _integer(hops == value)
        reached = 0
        missing = _integer(result == UNREACHED)
        if free:
            result[(hops == value) & (result > value)] = value
        for lag in moves:
            reached |= members << lag
            if not missing & ~reached:
                break
        at = _bits(reached & ((1 << length) - 1), length)
        result[at] = np.minimum(result[at], value + 1)
    return result


def _lags(lags: LagSet | None, length: int) -> np.ndarray:
    assert lags is not None
    return lags.up_to(length - 1)


def _bits(integer: int, length: int) -> np.ndarray:
    """Mask of the bits set below ``length``, bool."""
    raw = np.frombuffer(integer.to_bytes(max(length, integer.bit_length()) // 8 + 1, "little"), dtype=np.uint8)
    return np.unpackbits(raw[: length // 8 + 1], bitorder="little")[:length].astype(bool)


def _integer(mask: np.ndarray) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
