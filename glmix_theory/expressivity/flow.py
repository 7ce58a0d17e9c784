"""Maximum flow through a mixer's graph with row capacities: cuts for congestion, disjoint paths for rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glmix_theory.expressivity.certificates import Node, Path
from glmix_theory.mixers import Mixer

if TYPE_CHECKING:
    import scipy.sparse

_UNBOUNDED = 2**30


@dataclass(frozen=True)
class Flow:
    """A maximum flow, the minimum cut that proves it, and the paths it decomposes into.

    Attributes
    ----------
    value : int
        Units that arrive.
    cut : frozenset of node
        Inner nodes of a minimum cut (with their full capacity).
    closed_sources, closed_targets : frozenset of int
        Tokens whose entry or exit arc is in the cut instead.
    """

    value: int
    cut: frozenset[Node]
    closed_sources: frozenset[int]
    closed_targets: frozenset[int]
    network: Network
    residual: scipy.sparse.csr_array

    def paths(self) -> tuple[Path, ...]:
        """The flow as ``value`` paths; each unit follows one."""
        return self.network.decompose(self.residual, self.value)


class Network:
    """The graph of the first ``length`` steps, each output split into an entry and an exit.

    Node numbers: input ``s`` is ``s``, output ``t`` enters at ``length + t`` and leaves at ``2·length + t``,
    the readout of ``t`` is ``3·length + t``; then the origin and the end of the flow.
    """

    def __init__(self, mixer: Mixer, length: int) -> None:
        self.mixer, self.length = mixer, length
        steps = np.arange(length)
        heads, tails = [length + steps], [2 * length + steps]
        for part, (tail, head) in {"direct": (0, 1), "recurrent": (2, 1), "readout": (2, 3)}.items():
            if part in mixer.parts:
                indptr, sources = mixer.parts[part].rows(0, length)
                heads.append(tail * length + sources)
                tails.append(head * length + np.repeat(steps, np.diff(indptr)))
        self.from_nodes, self.to_nodes = np.concatenate(heads), np.concatenate(tails)
        self.origin, self.end = 4 * length, 4 * length + 1

    def flow(self, sources: Iterable[int], targets: Iterable[int], row_capacity: int, ends: int = 1) -> Flow:
        """Most units from inputs ``sources`` to the outputs of ``targets``.

        Each source gives one unit per mention, each target takes ``ends`` per mention, and each output passes
        ``row_capacity``.
        """
        import scipy.sparse
        from scipy.sparse.csgraph import breadth_first_order, maximum_flow

        length = self.length
        source_count = np.bincount(np.fromiter(sources, dtype=np.int64), minlength=length)
        target_count = np.bincount(np.fromiter(targets, dtype=np.int64), minlength=length) * ends
        last = 2 if self.mixer.readout is None else 3
        origins, stops = np.flatnonzero(source_count), np.flatnonzero(target_count)
        heads = np.concatenate([self.from_nodes, np.full(len(origins), self.origin), last * length + stops])
        tails = np.concatenate([self.to_nodes, origins, np.full(len(stops), self.end)])
        capacity = np.full(len(heads), _UNBOUNDED, dtype=np.int32)
        capacity[:length] = row_capacity
        capacity[len(self.from_nodes) :] = np.concatenate([source_count[origins], target_count[stops]])
        size = 4 * length + 2
        graph = scipy.sparse.csr_array((capacity, (heads, tails)), shape=(size, size))
        graph.sum_duplicates()
        result = maximum_flow(scipy.sparse.csr_matrix(graph), self.origin, self.end)
        flow = scipy.sparse.csr_array(result.flow)
        left = scipy.sparse.csr_array(graph - flow)
        left.data[left.data < 0] = 0
        left.eliminate_zeros()
        side = np.zeros(size, dtype=bool)
        side[breadth_first_order(left, self.origin, return_predecessors=False)] = True
        outputs = np.flatnonzero(side[length : 2 * length] & ~side[2 * length : 3 * length])
        return Flow(
            int(result.flow_value),
            frozenset(("y", int(t)) for t in outputs),
            frozenset(int(s) for s in origins if not side[s]),
            frozenset(int(t) for t in stops if side[last * length + t]),
            self,
            flow,
        )

    def decompose(self, flow: scipy.sparse.csr_array, value: int) -> tuple[Path, ...]:
        """Paths that carry one unit each."""
        length = self.length
        following: dict[int, list[list[int]]] = {}
        table = flow.tocoo()
        for tail, head, units in zip(table.row.tolist(), table.col.tolist(), table.data.tolist()):
            if units > 0:
                following.setdefault(tail, []).append([head, units])
        paths = []
        for _ in range(value):
            node, visited = self.origin, []
            while node != self.end:
                options = following[node]
                head = options[-1][0]
                options[-1][1] -= 1
                if options[-1][1] == 0:
                    options.pop()
                visited.append(head)
                node = head
            outputs = tuple(v - length for v in visited if length <= v < 2 * length)
            target = outputs[-1] if self.mixer.readout is None else visited[-2] - 3 * length
            paths.append(Path(self.mixer, visited[0], target, outputs))
        return tuple(paths)
