"""Explicit routings: one path per pair, spread so that no node carries much more than it must."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from glmix_theory.expressivity.certificates import Path, Routing
from glmix_theory.expressivity.demands import Demand
from glmix_theory.mixers import Mixer
from glmix_theory.progress import track

_BATCHES = 128
_SHARPNESS = 20.0
_UNROUTED = 1e300


def route(mixer: Mixer, demand: Demand, goal: int, passes: int = 3) -> Routing:
    """A path for every pair, one after the other along the nodes that are least loaded so far.

    Each pair takes the path of least total weight, where a node with load ``l`` weighs ``exp(20 (l - goal)/goal)``:
    full nodes repel, light ones cost next to nothing. Further passes take each path back and choose it again;
    the best pass is kept. The result is a certificate: it is valid whatever this search does.

    Parameters
    ----------
    mixer, demand
        What to join, where; every pair must be reachable.
    goal : int
        The load aimed at, such as a lower bound; passes end when it is reached.
    passes : int
        At most that many rounds.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> from glmix_theory.expressivity.demands import copy
    >>> route(glm.Mixer(recurrent=glm.Lags([1, 2])), copy(8), 4).check()
    4
    """
    search = _Search(mixer, demand, goal)
    best: list[tuple[int, ...]] = []
    least = 0
    for number in range(passes):
        search.run(number)
        largest = int(search.load.max())
        if not best or largest < least:
            best, least = list(search.routes), largest
        if least <= goal:
            break
    paths = tuple(Path(mixer, s, t, outputs) for (s, t), outputs in zip(demand.pairs, best))
    routing = Routing(demand, paths, 0)
    return Routing(demand, paths, max(routing.loads().values()))


class _Search:
    """Loads of the outputs, and the route of each pair so far."""

    def __init__(self, mixer: Mixer, demand: Demand, goal: int) -> None:
        self.pairs = np.array(demand.pairs, dtype=np.int64)
        length = self.length = int(self.pairs[:, 1].max()) + 1
        self.indptr, self.sources = mixer.recurrent.rows(0, length)
        direct_ptr, direct = mixer.direct.rows(0, length)
        self.readout = None if mixer.readout is None else mixer.readout.rows(0, length)
        order = np.argsort(direct, kind="stable")  # the steps that read each input
        self.entries = np.repeat(np.arange(length), np.diff(direct_ptr))[order]
        self.entry_ptr = np.searchsorted(direct[order], np.arange(length + 1))
        self.load = np.zeros(length, dtype=np.int64)
        self.routes: list[tuple[int, ...]] = [()] * len(self.pairs)
        self.goal = max(goal, 1)
        self.kernel: Callable[..., tuple[np.ndarray, np.ndarray]] | None = (
            _compiled() if len(self.pairs) * length > 1 << 16 else None
        )

    def run(self, number: int) -> None:
        """One pass over all pairs: by source at first, in random order later."""
        order = np.argsort(self.pairs[:, 0], kind="stable")
        if number and self.kernel is not None:
            order = np.random.default_rng(number).permutation(len(order))
        size = 1 if self.kernel is not None else max(1, len(order) // _BATCHES)
        starts = range(0, len(order), size)
        for start in track(starts, f"routing, pass {number + 1}") if len(self.pairs) >= 1024 else starts:
            batch = order[start : start + size]
            for index in batch:
                self._add(self.routes[index], -1)
            found = self._one(int(batch[0])) if self.kernel is not None else self._batch(batch)
            for index, outputs in zip(batch, found):
                self.routes[index] = outputs
                self._add(outputs, 1)

    def _add(self, outputs: tuple[int, ...], sign: int) -> None:
        if outputs:
            self.load[np.array(outputs)] += sign

    def _weights(self) -> np.ndarray:
        return np.exp(np.minimum(_SHARPNESS * (self.load + 1 - self.goal) / self.goal, 200.0))

    def _ends(self, t: int) -> np.ndarray:
        if self.readout is None:
            return np.array([t])
        indptr, sources = self.readout
        return sources[indptr[t] : indptr[t + 1]]

    def _one(self, index: int) -> list[tuple[int, ...]]:
        s, t = self.pairs[index].tolist()
        entries = self.entries[self.entry_ptr[s] : self.entry_ptr[s + 1]]
        assert self.kernel is not None
        cost, before = self.kernel(s, t, entries, self.indptr, self.sources, self.load, self.goal, _SHARPNESS)
        ends = self._ends(t)
        ends = ends[ends >= s]
        step = int(ends[np.argmin(cost[ends - s])])
        return [_walk(before, step, s)]

    def _batch(self, batch: np.ndarray) -> list[tuple[int, ...]]:
        sources, targets = self.pairs[batch].T
        first, last = int(sources.min()), int(targets.max())
        weights = self._weights()
        cost = np.full((last + 1 - first, len(batch)), _UNROUTED)
        before = np.full(cost.shape, -1, dtype=np.int64)
        for column, s in enumerate(sources):
            entries = self.entries[self.entry_ptr[s] : self.entry_ptr[s + 1]]
            cost[entries[entries <= last] - first, column] = 0.0
        columns = np.arange(len(batch))
        for u in range(first, last + 1):
            past = self.sources[self.indptr[u] : self.indptr[u + 1]]
            past = past[past >= first]
            if len(past):
                options = cost[past - first]
                choice = options.argmin(axis=0)
                value = options[choice, columns]
                better = value < cost[u - first]
                cost[u - first] = np.where(better, value, cost[u - first])
                before[u - first] = np.where(better, past[choice], -1)
            cost[u - first] += weights[u]
        routes = []
        for column, t in enumerate(targets.tolist()):
            ends = self._ends(t)
            ends = ends[ends >= first]
            step = int(ends[np.argmin(cost[ends - first, column])])
            routes.append(_walk(before[:, column], step, first))
        return routes


def _walk(before: np.ndarray, step: int, offset: int) -> tuple[int, ...]:
    outputs = []
    while step >= 0:
        outputs.append(step)
        step = int(before[step - offset])
    return tuple(reversed(outputs))


_KERNEL: list[Callable[..., tuple[np.ndarray, np.ndarray]]] = []


def _compiled() -> Callable[..., tuple[np.ndarray, np.ndarray]] | None:
    """The same search for one pair, compiled, where numba is installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    if not _KERNEL:
        import numba

        _KERNEL.append(numba.njit(_least_weight))
    return _KERNEL[0]


def _least_weight(s, t, entries, indptr, sources, load, goal, sharpness):  # type: ignore[no-untyped-def]
    """Least weight of a path from input ``s`` to each output ``s … t``, and the output before it."""
    cost = np.full(t + 1 - s, 1e300)
    before = np.full(t + 1 - s, -1)
    for u in entries:
        if u <= t:
            cost[u - s] = 0.0
    for u in range(s, t + 1):
        for edge in range(indptr[u], indptr[u + 1]):
            p = sources[edge]
            if p >= s and cost[p - s] < cost[u - s]:
                cost[u - s] = cost[p - s]
                before[u - s] = p
        cost[u - s] += np.exp(min(sharpness * (load[u] + 1 - goal) / goal, 200.0))
    return cost, before


def shortest_by_lag(mixer: Mixer, demand: Demand) -> Routing:
    """For translation-invariant mixers: every pair at the same lag takes the same shortest steps (proposition 5).

    >>> import glmix_theory as glm
    >>> from glmix_theory.expressivity.demands import copy
    >>> shortest_by_lag(glm.Mixer(recurrent=glm.Offsets(2**glm.k)), copy(11)).check()
    3
    """
    from glmix_theory.expressivity.all_pairs import shortest_path

    known: dict[int, tuple[int, ...]] = {}
    paths = []
    for s, t in demand.pairs:
        if t - s not in known:
            found = shortest_path(mixer, 0, t - s)
            assert isinstance(found, Path)
            known[t - s] = found.outputs
        paths.append(Path(mixer, s, t, tuple(s + u for u in known[t - s])))
    routing = Routing(demand, tuple(paths), 0)
    return Routing(demand, tuple(paths), max(routing.loads().values()))
