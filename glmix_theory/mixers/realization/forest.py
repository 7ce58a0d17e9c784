"""Mixers with a readout whose states form a forest: every state is read by at most one later state.

Diagonal SSMs, linear attention and the delta rules (a path), and log-linear attention (Fenwick trees) are of this
kind. Node ``u`` holds the state ``y_u = Σ_c B_uc y_c + a_u x_u`` over its children ``c``, so it knows the inputs of
its subtree ``S(u)`` only, through ``r`` numbers. A step ``t`` that reads nodes of disjoint subtrees sees
``M[t, S(v)] = c_tv G_v``, where ``G_v`` (``r × |S(v)|``) gives ``y_v`` from the inputs. So the mixer carries ``M``
exactly if and only if ``M`` is zero where nothing is read and for every node ``u`` the rows of ``M[·, S(u)]`` of all
steps that read ``u`` or a node above it have rank at most ``r``. For the path this is semiseparable rank ``r``.

The states are built from the leaves: the rows a node must serve, written in the coordinates of its children's states
and of its own input, are cut to ``r`` directions by a singular value decomposition, and these directions are
``(B_uc … | a_u)``. All ``G_u`` have orthonormal rows, so the cut is the best of its rank given the states below, and
what the cuts lose is orthogonal: the squares add up to the squared residual.

A step may also read itself and all of its children (RWKV-6, log-linear attention with a weight per level). Then the
children's weights are free, its own state serves only later steps, and row ``t`` needs ``c_t a_t = M[t, t]`` alone.

References: Dewilde & van der Veen 1998, *Time-Varying Systems and Computations*; Chandrasekaran et al. 2005,
doi:10.1137/S0895479802417780 (sequentially semiseparable matrices); Dao & Gu 2024, arXiv:2405.21060.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from glmix_theory.mixers.mixer import Mixer
from glmix_theory.mixers.realization.coefficients import Coefficients
from glmix_theory.mixers.realization.rows import RANK_TOLERANCE


@dataclass(frozen=True)
class Forest:
    """Who reads whom in a forest of states.

    Parameters
    ----------
    parent : array (n,), int64
        The state that reads each state; -1 for a root.
    children : list of arrays
        The states each state reads.
    nodes : list of arrays
        The nodes each step reads, of disjoint subtrees; without the step's own where ``own`` says so.
    own : array (n,), bool
        Whether the step reads itself and all of its children.
    """

    parent: np.ndarray
    children: list[np.ndarray]
    nodes: list[np.ndarray]
    own: np.ndarray

    def served(self) -> list[np.ndarray]:
        """For each node the steps that read it or a node above it, ascending."""
        n = len(self.parent)
        readers: list[list[int]] = [[] for _ in range(n)]
        for t, nodes in enumerate(self.nodes):
            for node in nodes.tolist():
                readers[node].append(t)
        steps: list[np.ndarray] = [np.zeros(0, dtype=np.int64)] * n
        for node in range(n - 1, -1, -1):  # a parent has a larger number
            mine, above = np.array(readers[node], dtype=np.int64), self.parent[node]
            steps[node] = mine if above < 0 else np.union1d(mine, steps[above])
        return steps


def forest_of(mixer: Mixer, n: int) -> Forest | str:
    """The forest of a mixer's states among ``n`` positions, or why there is none."""
    indptr, sources = mixer.direct.rows(0, n)
    if len(sources) != n or (sources != np.arange(n)).any() or (np.diff(indptr) != 1).any():
        return f"direct is {mixer.direct!r}, not the diagonal"
    indptr, sources = mixer.recurrent.rows(0, n)
    targets = np.repeat(np.arange(n), np.diff(indptr))
    parent = np.full(n, -1, dtype=np.int64)
    parent[sources] = targets
    twice = np.flatnonzero(parent[sources] != targets)
    if len(twice):
        s = int(sources[twice[0]])
        first, second = targets[sources == s][:2].tolist()
        return f"the state of position {s} is read by two states, {first} and {second}"
    children = np.split(sources, indptr[1:-1])
    enter, leave = _intervals(parent)
    assert mixer.readout is not None
    indptr, sources = mixer.readout.rows(0, n)
    nodes, own = np.split(sources, indptr[1:-1]), np.zeros(n, dtype=bool)
    for t in range(n):
        if len(children[t]) and t in nodes[t] and np.isin(children[t], nodes[t]).all():
            own[t], nodes[t] = True, nodes[t][nodes[t] != t]
        ordered = nodes[t][np.argsort(enter[nodes[t]])]
        overlap = np.flatnonzero(enter[ordered[1:]] < leave[ordered[:-1]])
        if len(overlap):
            outer, inner = ordered[overlap[0]], ordered[overlap[0] + 1]
            return f"step {t} reads position {outer} and position {inner}, whose state is already in it"
    return Forest(parent, children, nodes, own)


def _intervals(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers such that the subtree of ``u`` has exactly those in ``enter[u] … leave[u] - 1``, ``u`` the first."""
    n = len(parent)
    size = np.ones(n, dtype=np.int64)
    for node in range(n):
        if parent[node] >= 0:
            size[parent[node]] += size[node]
    enter, free, roots = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), 0
    for node in range(n - 1, -1, -1):
        above = parent[node]
        if above < 0:
            enter[node], roots = roots, roots + size[node]
        else:
            enter[node], free[above] = free[above], free[above] + size[node]
        free[node] = enter[node] + 1
    return enter, enter + size


def fit_forest(
    target: np.ndarray,
    head: int,
    forest: Forest,
    coefficients: dict[str, Coefficients],
    nodes: Iterable[int],
) -> None:
    """Fill α, β and γ of one head; exact whenever any coefficients are.

    Parameters
    ----------
    target : array (n, n), fp64
        Lower triangular.
    head : int
        Which head of the coefficients to fill.
    forest : Forest
        From :func:`forest_of`.
    coefficients : dict of str to Coefficients
        Values of shape ``(heads, edges, r)``, ``(heads, edges, r, r)`` and ``(heads, edges, r)``.
    nodes : iterable of int
        ``0 … n-1``, or the same with a progress bar.
    """
    alpha, beta, gamma = (coefficients[name] for name in ("alpha", "beta", "gamma"))
    r, served = alpha.values.shape[2], forest.served()
    smallest = RANK_TOLERANCE * float(np.linalg.norm(target))
    kept: dict[int, np.ndarray] = {}  # row i: what served[node][i] reads of the state, in its coordinates
    for node in nodes:
        steps, below = served[node], forest.children[node].tolist()
        seen = [kept[child][np.searchsorted(served[child], steps)] for child in below]
        system = np.concatenate([*seen, target[steps, node][:, None]], axis=1)
        wanted = float(target[node, node]) if forest.own[node] else 0.0
        directions = _directions(system, r, smallest, keep_last=wanted != 0)
        own = directions[:, -1]
        alpha.values[head, alpha.find(node, node), : len(own)] = own
        blocks = np.split(directions[:, :-1], np.cumsum([block.shape[1] for block in seen])[:-1], axis=1)
        for child, block in zip(below, blocks):
            beta.values[head, beta.find(node, child), : len(block), : block.shape[1]] = block
        kept[node] = system @ directions.T
        weights = np.zeros(len(own))
        if wanted and np.linalg.norm(own) > RANK_TOLERANCE:
            weights = wanted * own / (own @ own)
            gamma.values[head, gamma.find(node, node), : len(own)] = weights
        for child, block in zip(below, blocks):
            if forest.own[node]:
                place = int(np.searchsorted(served[child], node))
                kept[child][place] -= weights @ block
            _write(gamma, head, child, served[child], kept.pop(child), forest)
    for root, rows in kept.items():
        _write(gamma, head, root, served[root], rows, forest)


def _write(gamma: Coefficients, head: int, node: int, steps: np.ndarray, rows: np.ndarray, forest: Forest) -> None:
    """Store what the steps that read this very node read of it."""
    for t, row in zip(steps.tolist(), rows):
        if node in forest.nodes[t]:
            gamma.values[head, gamma.find(t, node), : len(row)] = row


def _directions(system: np.ndarray, r: int, smallest: float, keep_last: bool) -> np.ndarray:
    """At most ``r`` orthonormal rows whose span holds most of the rows of ``system``.

    With ``keep_last`` a direction that is free is spent on the last coordinate.
    """
    width = system.shape[1]
    if width <= r:
        return np.eye(width)
    if not len(system):
        return np.eye(width)[-1:] if keep_last else np.zeros((1, width))
    _, sizes, directions = np.linalg.svd(system, full_matrices=False)
    found = int((sizes > smallest).sum())
    directions = directions[:r]  # directions of rounding size do no harm, unless the last coordinate needs their place
    if keep_last and found < r:
        directions = directions[:found]
        last = np.eye(width)[-1]
        for _ in range(2):
            last = last - (directions @ last) @ directions
        length = np.linalg.norm(last)
        if length > RANK_TOLERANCE:
            directions = np.concatenate([directions, last[None] / length])
    return directions if len(directions) else np.zeros((1, width))
