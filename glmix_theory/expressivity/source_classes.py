"""Distances of recurrences with few live rows: sources that the live rows cannot tell apart are one source.

After step ``t`` the future depends on a source ``s`` only through its hops to the live rows. Sources
with equal hops there stay equal for ever, so one of them represents all. A cache-efficient pattern
keeps few classes: its all-pairs maximum at ``n = 10^5`` takes seconds instead of ``n²`` counts.
"""

from __future__ import annotations

import numpy as np

from glmix_theory.expressivity.lag_profile import UNREACHED
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import CacheEfficient
from glmix_theory.patterns.lag_sets import LagSet
from glmix_theory.progress import track

_MERGE_EVERY = 64
_CHUNK = 4096


def identity_lags(lags: LagSet | None) -> bool:
    """Whether a pattern is the diagonal, however it is written."""
    return lags is not None and lags.largest == 0 and 0 in lags


def suits_classes(mixer: Mixer, length: int) -> bool:
    """Whether :func:`farthest_by_classes` applies and pays: diagonal input and readout, few live rows."""
    if mixer.readout is not None and not identity_lags(mixer.readout.lag_set):
        return False
    if not identity_lags(mixer.direct.lag_set) or length < 64:
        return False
    return most_live(last_readers(mixer, length)) <= max(16, length // 4)


def last_readers(mixer: Mixer, length: int) -> np.ndarray:
    """The last step below ``length`` at which the recurrence reads each output, ``-1`` for none."""
    last = np.full(length, -1, dtype=np.int64)
    for low in range(0, length, _CHUNK):
        high = min(low + _CHUNK, length)
        indptr, sources = mixer.recurrent.rows(low, high)
        last[sources] = np.repeat(np.arange(low, high), np.diff(indptr))
    return last


def most_live(last: np.ndarray) -> int:
    """The most outputs that are live at once."""
    change = np.zeros(len(last) + 1, dtype=np.int64)
    kept = last > np.arange(len(last))
    np.add.at(change, np.flatnonzero(kept), 1)
    np.add.at(change, last[kept], -1)
    return int(np.cumsum(change).max(initial=0))


def farthest_by_classes(mixer: Mixer, length: int) -> tuple[np.ndarray, np.ndarray]:
    """For each ``t < length`` the most hops from any ``s < t`` (``UNREACHED`` for none), and such an ``s``.

    The direct part and the readout must be diagonal. For a cache-efficient pattern the sources of one
    period suffice: its reads repeat with the largest slot period, and a path from ``s`` only passes
    steps after ``s``.

    >>> import glmix_theory as glm
    >>> hops, sources = farthest_by_classes(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 64)
    >>> int(hops.max()), int(hops[6])
    (6, 3)
    """
    last = last_readers(mixer, length)
    table = _ClassTable(most_live(last) + 1, length)
    period = _period(mixer, length)
    farthest = np.zeros(length, dtype=np.int32)
    sources = np.zeros(length, dtype=np.int64)
    chunks = range(0, length, _CHUNK)
    for low in track(chunks, "counting hops") if len(chunks) > 8 else chunks:
        high = min(low + _CHUNK, length)
        indptr, reads = mixer.recurrent.rows(low, high)
        for t in range(low, high):
            past = reads[indptr[t - low] : indptr[t - low + 1]].tolist()
            farthest[t], sources[t] = table.step(t, past, last, t < period)
    # ties beyond the first period are shifts of pairs already seen, so only the maximum so far is exact there
    return farthest, sources


def _period(mixer: Mixer, length: int) -> int:
    pattern = mixer.recurrent
    if not isinstance(pattern, CacheEfficient):
        return length
    number = pattern.function.count(length - 1)
    return pattern.period(number - 1) if number else length


class _ClassTable:
    """Hops from each class of sources to each live output: one row per live output, one column per class."""

    def __init__(self, rows: int, length: int) -> None:
        self.hops = np.full((rows, 4 * _MERGE_EVERY), _NEVER, dtype=np.uint16 if length < _NEVER else np.int32)
        self.source = np.zeros(4 * _MERGE_EVERY, dtype=np.int64)
        self.columns = 0
        self.merge_at = _MERGE_EVERY
        self.row_of: dict[int, int] = {}
        self.free = list(range(rows))
        self.dying: dict[int, list[int]] = {}

    def step(self, t: int, past: list[int], last: np.ndarray, new_source: bool) -> tuple[int, int]:
        """Add output ``t``; returns the most hops to it from an earlier source, and that source."""
        used = self.columns
        if past:  # what is read is live; rows not in use hold _NEVER, so reading all of it needs no selection
            rows = self.hops if len(past) == len(self.row_of) else self.hops[[self.row_of[s] for s in past]]
            hops = rows[:, :used].min(axis=0)
            hops = np.minimum(hops, _NEVER - 1) + 1
        else:
            hops = np.full(used, _NEVER, dtype=self.hops.dtype)
        best, source = 0, 0
        if used:
            column = int(hops.argmax())
            best, source = int(hops[column]), int(self.source[column])
            best = int(UNREACHED) if best >= _NEVER else best
        for s in self.dying.pop(t, ()):
            row = self.row_of.pop(s)
            self.hops[row] = _NEVER
            self.free.append(row)
        keep = int(last[t]) > t
        if keep:
            row = self.free.pop()
            self.row_of[t] = row
            self.dying.setdefault(int(last[t]), []).append(t)
            self.hops[row, :used] = hops
        if new_source:
            self._add_column(t, self.row_of[t] if keep else None)
        return best, source

    def _add_column(self, source: int, row: int | None) -> None:
        if self.columns >= self.merge_at:
            self._merge()
        if self.columns == self.hops.shape[1]:
            self.hops = np.hstack([self.hops, np.full_like(self.hops, _NEVER)])
            self.source = np.concatenate([self.source, np.zeros_like(self.source)])
        self.hops[:, self.columns] = _NEVER
        if row is not None:
            self.hops[row, self.columns] = 0
        self.source[self.columns] = source
        self.columns += 1

    def _merge(self) -> None:
        kept, first = np.unique(self.hops[:, : self.columns], axis=1, return_index=True)
        self.source[: len(first)] = self.source[first]
        self.columns = len(first)
        self.hops[:, : self.columns] = kept
        self.merge_at = self.columns + max(_MERGE_EVERY, self.columns // 2)


_NEVER = 65535
