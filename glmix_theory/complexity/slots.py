"""The static assignment of live rows to storage, read by the report and by the exported layer.

Rows live over intervals, so their conflicts form an interval graph; giving each new row the lowest
free slot (left-edge) uses exactly as many slots as the largest live set (proposition 10).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from glmix_theory.complexity.lifetimes import last_reads
from glmix_theory.errors import check_length
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.patterns import Pattern

_FIRST_LENGTH = 64
_BLOCK = 64
NO_SLOT = -1
"""Marks a row that is not stored: the current step's own input or output, or a row nobody reads later."""


@dataclass(frozen=True)
class Step:
    """What one decode step reads and where it writes; slots count cached positions.

    ``*_slots`` are the slots of the positions read, :data:`NO_SLOT` for the step's own position.
    ``input_slot`` and ``output_slot`` say where the step's rows go, :data:`NO_SLOT` when nobody reads
    them later. ``freed`` are slots that hold nothing after this step's reads.
    """

    direct_slots: np.ndarray
    recurrent_slots: np.ndarray
    readout_slots: np.ndarray | None
    input_slot: int
    output_slot: int
    freed: tuple[int, ...]
    held: int
    """Slots occupied after the step."""


@dataclass(frozen=True, eq=False)
class Reads:
    """What one part reads in consecutive steps, in compressed row form.

    Step ``start + i`` reads ``sources[indptr[i]:indptr[i+1]]``, which lie in ``slots`` (the same places;
    :data:`NO_SLOT` for the step's own position). int64 arrays.
    """

    indptr: np.ndarray
    sources: np.ndarray
    slots: np.ndarray

    def of(self, step: int) -> np.ndarray:
        """The slots that the ``step``-th of the steps reads."""
        return self.slots[self.indptr[step] : self.indptr[step + 1]]


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps ``start … stop-1`` at once: what :class:`Step` says of each, as arrays."""

    start: int
    stop: int
    direct: Reads
    recurrent: Reads
    readout: Reads | None
    input_slots: np.ndarray
    output_slots: np.ndarray


class SlotPlan:
    """Slots for every step of a mixer, grown on demand and never changed once made.

    Inputs (read by ``A``) and outputs (read by ``B`` and ``C``) share one pool of slots. A slot stands
    for ``mixer.state`` rows.

    Claim: :meth:`peak` equals the largest live set after any step ``t < n`` (the cache size, divided by
    ``state``), where the pattern's future is known; otherwise rows that might be read again are kept.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> plan = glm.SlotPlan(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)))
    >>> plan.peak(100), plan.step(9).recurrent_slots.tolist()
    (7, [2, 1, 3, 0])
    """

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer
        self._planned = 0
        self._free: list[int] = []
        self._slots = 0
        self._deaths: dict[int, list[int]] = {}
        self._slot_of: dict[str, np.ndarray] = {part: np.zeros(0, dtype=np.int64) for part in ("in", "out")}
        self._freed: list[tuple[int, ...]] = []
        self._held: list[int] = []
        self._peak: list[int] = []
        self._pending: dict[str, np.ndarray] = {part: np.zeros(0, dtype=np.int64) for part in ("in", "out")}
        self._recent: Steps | None = None

    def peak(self, n: int) -> int:
        """Most slots occupied after any step ``t < n``."""
        n = check_length(n)
        self._extend(n)
        return self._peak[n - 1]

    def held(self, t: int) -> int:
        """Slots occupied after step ``t``."""
        t = check_length(t, "t", 0)
        self._extend(t + 1)
        return self._held[t]

    def freed(self, t: int) -> tuple[int, ...]:
        """Slots that hold nothing after the reads of step ``t``, and held a row before."""
        t = check_length(t, "t", 0)
        self._extend(t + 1)
        return self._freed[t]

    def step(self, t: int) -> Step:
        """The plan of step ``t``."""
        steps = self.around(t)
        i, readout = t - steps.start, steps.readout
        return Step(
            direct_slots=steps.direct.of(i).copy(),
            recurrent_slots=steps.recurrent.of(i).copy(),
            readout_slots=None if readout is None else readout.of(i).copy(),
            input_slot=int(steps.input_slots[i]),
            output_slot=int(steps.output_slots[i]),
            freed=self._freed[t],
            held=self._held[t],
        )

    def around(self, t: int) -> Steps:
        """A block of steps with step ``t`` in it, kept until a step of another block is asked for."""
        t = check_length(t, "t", 0)
        if self._recent is None or not self._recent.start <= t < self._recent.stop:
            self._recent = self.steps(t // _BLOCK * _BLOCK, (t // _BLOCK + 1) * _BLOCK)
        return self._recent

    def steps(self, start: int, stop: int) -> Steps:
        """The plans of the steps ``start … stop-1``, ``start < stop``.

        >>> import glmix_theory as glm
        >>> steps = glm.SlotPlan(glm.Mixer(recurrent=glm.Lags([1, 2]))).steps(3, 5)
        >>> steps.recurrent.sources.tolist(), steps.recurrent.slots.tolist(), steps.output_slots.tolist()
        ([1, 2, 2, 3], [1, 0, 0, 1], [1, 0])
        """
        start = check_length(start, "start", 0)
        stop = check_length(stop, "stop", start + 1)
        self._extend(stop)
        readout = self.mixer.readout
        return Steps(
            start,
            stop,
            self._reads("in", self.mixer.direct, start, stop),
            self._reads("out", self.mixer.recurrent, start, stop),
            None if readout is None else self._reads("out", readout, start, stop),
            self._slot_of["in"][start:stop].copy(),
            self._slot_of["out"][start:stop].copy(),
        )

    def occupied(self, t: int) -> dict[int, tuple[str, int]]:
        """Slot → (``"input"`` or ``"output"``, position) of every row live after step ``t``."""
        t = check_length(t, "t", 0)
        self._extend(t + 1)
        live = {}
        for part, name in (("in", "input"), ("out", "output")):
            slots, last = self._slot_of[part], self._pending[part]
            for s in np.flatnonzero((last[: t + 1] > t) & (slots[: t + 1] != NO_SLOT)):
                live[int(slots[s])] = (name, int(s))
        return live

    def _reads(self, part: str, pattern: Pattern, start: int, stop: int) -> Reads:
        indptr, sources = (np.asarray(array, dtype=np.int64) for array in pattern.rows(start, stop))
        slots = self._slot_of[part][sources]
        slots[sources == np.repeat(np.arange(start, stop), np.diff(indptr))] = NO_SLOT
        return Reads(indptr, sources, slots)

    def _extend(self, length: int) -> None:
        while self._planned < length:
            self._grow(max(_FIRST_LENGTH, 2 * self._planned))

    def _grow(self, length: int) -> None:
        start = self._planned
        for part, pattern in (("in", self.mixer.direct), ("out", self.mixer.output_reads)):
            if pattern.every_row_read_again:
                last = np.full(length, length, dtype=np.int64)
            else:
                last = last_reads(pattern, length)[1]
            # A row kept at the previous length because nothing better was known stays until now.
            last[:start] = np.where(self._pending[part] >= start, np.maximum(last[:start], start), self._pending[part])
            for s in np.flatnonzero((last >= start) & (last < length)):
                if s >= start and last[s] <= s:
                    continue  # read only by its own step: never stored
                self._deaths.setdefault(int(last[s]), []).append(int(s) * 2 + (part == "out"))
            self._pending[part] = last
            self._slot_of[part] = np.concatenate(
                [self._slot_of[part], np.full(length - start, NO_SLOT, dtype=np.int64)]
            )
        for t in range(start, length):
            freed = []
            for code in self._deaths.pop(t, ()):
                slot = int(self._slot_of["out" if code % 2 else "in"][code // 2])
                heapq.heappush(self._free, slot)
                freed.append(slot)
            for part in ("in", "out"):
                if self._pending[part][t] > t:
                    if self._free:
                        slot = heapq.heappop(self._free)
                    else:
                        slot, self._slots = self._slots, self._slots + 1
                    self._slot_of[part][t] = slot
            self._freed.append(tuple(freed))
            self._held.append(self._slots - len(self._free))
            self._peak.append(max(self._held[-1], self._peak[-1] if self._peak else 0))
        self._planned = length
