"""Least hops between all pairs: farthest pairs, reach, and one shortest path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from glmix_theory.errors import CausalityError, check_length
from glmix_theory.expressivity.certificates import Path, Unreachable
from glmix_theory.expressivity.lag_profile import UNREACHED, is_translation_invariant, lag_hops
from glmix_theory.expressivity.source_classes import farthest_by_classes, suits_classes
from glmix_theory.mixers import Mixer
from glmix_theory.progress import track

_BLOCK_COLUMNS = 1024


def all_pairs_hops(mixer: Mixer, length: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Least hops from each ``s`` in ``[start, stop)`` to each ``t < length``: int32 array ``(length, stop - start)``.

    ``UNREACHED`` where there is no path. One pass over the steps in order.

    >>> import glmix_theory as glm
    >>> all_pairs_hops(glm.Mixer(recurrent=glm.Lags([2])), 3)[2].tolist()[::2]
    [1, 0]
    """
    length = check_length(length)
    stop = length if stop is None else stop
    width = stop - start
    parts = {part: pattern.rows(0, length) for part, pattern in mixer.parts.items()}
    direct_ptr, direct = parts.get("direct", no_rows(length))
    recurrent_ptr, recurrent = parts.get("recurrent", no_rows(length))
    hops = np.full((length, width), UNREACHED, dtype=np.int32)
    for t in range(start, length):
        sources = direct[direct_ptr[t] : direct_ptr[t + 1]]
        sources = sources[(sources >= start) & (sources < stop)]
        hops[t, sources - start] = sources != t
        past = recurrent[recurrent_ptr[t] : recurrent_ptr[t + 1]]
        past = past[past >= start]
        if len(past):
            np.minimum(hops[t], hops[past].min(axis=0) + 1, out=hops[t])
    if "readout" not in parts:
        return np.minimum(hops, UNREACHED)
    readout_ptr, readout = parts["readout"]
    result = np.full_like(hops, UNREACHED)
    for t in range(start, length):
        reads = readout[readout_ptr[t] : readout_ptr[t + 1]]
        reads = reads[reads >= start]
        if len(reads):
            np.min(hops[reads] + (reads != t)[:, None], axis=0, out=result[t])
    return np.minimum(result, UNREACHED)


@dataclass(frozen=True)
class Farthest:
    """The largest distance at every length, and a pair that attains it.

    ``hops[n-1]`` is the distance at ``n`` (``UNREACHED`` for ∞); ``pairs`` maps each length at which the
    distance grows to a pair ``(s, t)`` of that many hops.
    """

    hops: np.ndarray
    pairs: dict[int, tuple[int, int]]

    def pair(self, n: int) -> tuple[int, int] | None:
        """A farthest pair at length ``n``, or ``None`` for ``n = 1``."""
        grown = [length for length in self.pairs if length <= n]
        return self.pairs[max(grown)] if grown else None


def farthest_pairs(mixer: Mixer, length: int) -> Farthest:
    """The distance at every ``n ≤ length`` with a farthest (or unreachable) pair for each value.

    Translation-invariant mixers go by lag; recurrences with few live rows by classes of sources
    (:func:`~glmix_theory.expressivity.source_classes.farthest_by_classes`); all others pair by pair.

    >>> import glmix_theory as glm
    >>> far = farthest_pairs(glm.Mixer(direct=glm.Window(3)), 5)
    >>> far.hops.tolist()[:3], far.pair(5)
    ([0, 1, 1], (0, 3))
    """
    length = check_length(length)
    if is_translation_invariant(mixer):
        hops = lag_hops(mixer, length).copy()
        hops[0] = 0
        sources = np.zeros(length, dtype=np.int64)
    elif suits_classes(mixer, length):
        hops, sources = farthest_by_classes(mixer, length)
    else:
        hops, sources = _by_columns(mixer, length)
    grown = np.flatnonzero(np.diff(np.maximum.accumulate(hops), prepend=0) > 0)
    pairs = {int(t) + 1: (int(sources[t]), int(t)) for t in grown}
    return Farthest(np.maximum.accumulate(hops), pairs)


def _by_columns(mixer: Mixer, length: int) -> tuple[np.ndarray, np.ndarray]:
    """For each ``t`` the most hops from any ``s < t``, and such an ``s``."""
    farthest = np.zeros(length, dtype=np.int32)
    sources = np.zeros(length, dtype=np.int64)
    for start, hops in _blocks(mixer, length):
        below = np.arange(length)[:, None] > np.arange(start, start + hops.shape[1])
        masked = np.where(below, hops, 0)
        largest = masked.max(axis=1)
        better = largest > farthest
        sources[better] = start + masked.argmax(axis=1)[better]
        np.maximum(farthest, largest, out=farthest)
    return farthest, sources


def _blocks(mixer: Mixer, length: int) -> Iterator[tuple[int, np.ndarray]]:
    starts = range(0, length, _BLOCK_COLUMNS)
    for start in track(starts, "counting hops") if len(starts) > 4 else starts:
        yield start, all_pairs_hops(mixer, length, start, min(start + _BLOCK_COLUMNS, length))


def distance_by_length(mixer: Mixer, length: int) -> np.ndarray:
    """The distance at every ``n = 1 … length``, int32, ``UNREACHED`` for ``oo``.

    >>> import glmix_theory as glm
    >>> distance_by_length(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 13).tolist()
    [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4]
    """
    return farthest_pairs(mixer, length).hops


@dataclass(frozen=True)
class Reach:
    """How much of the past arrives, among all pairs ``s < t < n``.

    Attributes
    ----------
    pairs, reachable : int
        All pairs, and those with a path.
    mean_hops : float
        Mean of the least hops over reachable pairs; 0.0 without any.
    unreachable : Unreachable or None
        A pair without a path, as a certificate.
    """

    pairs: int
    reachable: int
    mean_hops: float
    unreachable: Unreachable | None

    @property
    def fraction(self) -> float:
        """Reachable pairs / pairs; 1.0 when there is no pair."""
        return self.reachable / self.pairs if self.pairs else 1.0


def reach(mixer: Mixer, n: int) -> Reach:
    """Fraction of pairs that are connected, and their mean hops, counted over all pairs.

    >>> import glmix_theory as glm
    >>> reach(glm.Mixer(direct=glm.Window(2)), 4)
    Reach(pairs=6, reachable=3, mean_hops=1.0, unreachable=Unreachable(source=0, target=2))
    """
    n = check_length(n)
    pair = farthest_pairs(mixer, n)
    missing = None
    if pair.hops[-1] >= UNREACHED:
        missing = Unreachable(mixer, *pair.pairs[max(pair.pairs)])
    if is_translation_invariant(mixer):
        hops = lag_hops(mixer, n)
        times = np.arange(n, 0, -1)
        counted = (hops < UNREACHED) & (np.arange(n) > 0)
        reachable, total = int(times[counted].sum()), int((hops[counted] * times[counted]).sum())
    else:
        reachable = total = 0
        for start, hops in _blocks(mixer, n):
            below = np.arange(n)[:, None] > np.arange(start, start + hops.shape[1])
            found = below & (hops < UNREACHED)
            reachable += int(found.sum())
            total += int(hops[found].sum(dtype=np.int64))
    return Reach(n * (n - 1) // 2, reachable, total / reachable if reachable else 0.0, missing)


def shortest_path(mixer: Mixer, s: int, t: int) -> Path | Unreachable:
    """A path from ``x_s`` to the output of step ``t`` with the fewest hops, or the claim that there is none.

    Parameters
    ----------
    mixer : Mixer
        Whose edges may be used.
    s, t : int
        Tokens, ``0 ≤ s ≤ t``.

    Raises
    ------
    CausalityError
        ``s > t``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> path = shortest_path(glm.Mixer(recurrent=glm.Offsets(2**glm.k)), 0, 11)
    >>> path.outputs, path.hops, path.check()
    ((0, 1, 3, 11), 3, 3)
    """
    s, t = check_length(s, "s", 0), check_length(t, "t", 0)
    if s > t:
        raise CausalityError(f"there is no path from {s} to {t}: a token depends on itself and earlier ones only")
    hops: dict[int, int] = {}
    before: dict[int, int | None] = {}
    indptr, sources = mixer.recurrent.rows(s, t + 1)
    for u in range(s, t + 1):
        if s in mixer.direct.sources(u):
            hops[u], before[u] = int(u != s), None
        for p in sources[indptr[u - s] : indptr[u - s + 1]].tolist():
            if p in hops and hops[p] + 1 < hops.get(u, UNREACHED):
                hops[u], before[u] = hops[p] + 1, p
    ends = [t] if mixer.readout is None else list(mixer.readout.sources(t))
    ends = [u for u in ends if u in hops]
    if not ends:
        return Unreachable(mixer, s, t)
    step: int | None = min(ends, key=lambda u: hops[u] + (u != t))
    outputs = []
    while step is not None:
        outputs.append(step)
        step = before[step]
    return Path(mixer, s, t, tuple(reversed(outputs)))


def no_rows(length: int) -> tuple[np.ndarray, np.ndarray]:
    """CSR rows of an absent part."""
    return np.zeros(length + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
