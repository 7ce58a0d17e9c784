"""Certificates: claims that carry their own evidence, checked from ``sources(t)`` alone.

Nothing here calls the code that finds certificates, nor closed forms, lag sets or vectorised rows: a
certificate is valid because of what it states, whoever made it. ``check()`` returns the value that is
certified and raises :class:`CertificateError` for anything wrong.

Nodes are ``("x", s)``, ``("y", t)`` and, with a readout, ``("z", t)``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from glmix_theory.errors import GlmixError
from glmix_theory.expressivity.demands import Demand
from glmix_theory.mixers import Mixer

Node = tuple[str, int]


class CertificateError(GlmixError, ValueError):
    """A certificate does not prove what it claims; the message says where it fails."""


class _Reads:
    """``sources(t)`` of each part of a mixer as sets, asked once per step."""

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer
        self._known: dict[tuple[str, int], frozenset[int]] = {}

    def __call__(self, part: str, t: int) -> frozenset[int]:
        if (part, t) not in self._known:
            self._known[part, t] = frozenset(getattr(self.mixer, part).sources(t))
        return self._known[part, t]

    def before(self, node: Node) -> Iterable[Node]:
        """The nodes with an edge into ``node``."""
        kind, t = node
        if kind == "y":
            yield from (("x", s) for s in self("direct", t))
            yield from (("y", s) for s in self("recurrent", t))
        elif kind == "z":
            yield from (("y", s) for s in self("readout", t))


def end_node(mixer: Mixer, t: int) -> Node:
    """The node that holds the output of step ``t``."""
    return ("y" if mixer.readout is None else "z", t)


@dataclass(frozen=True)
class Path:
    """A path ``x_s → y_(u_1) → … → y_(u_m)``, and ``→ z_t`` where the mixer has a readout.

    Parameters
    ----------
    mixer : Mixer
        Whose edges it uses.
    source, target : int
        Tokens ``s ≤ t`` it joins.
    outputs : tuple of int
        ``u_1 < … < u_m``; without a readout ``u_m = t``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> Path(glm.Mixer(recurrent=glm.Lags([1, 4])), 0, 5, (0, 4, 5)).check()
    2
    """

    mixer: Mixer = field(repr=False)
    source: int
    target: int
    outputs: tuple[int, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes on the path, endpoints included."""
        end = () if self.mixer.readout is None else (("z", self.target),)
        return (("x", self.source), *(("y", u) for u in self.outputs), *end)

    @property
    def hops(self) -> int:
        """Edges that join two different tokens."""
        tokens = [position for _, position in self.nodes]
        return sum(a != b for a, b in itertools.pairwise(tokens))

    def check(self, reads: _Reads | None = None) -> int:
        """Verify every edge against the pattern; returns the number of hops."""
        reads = _Reads(self.mixer) if reads is None else reads
        if not self.outputs:
            raise CertificateError(f"the path from {self.source} to {self.target} passes no output")
        first, last = self.outputs[0], self.outputs[-1]
        if self.source not in reads("direct", first):
            raise CertificateError(f"step {first} does not read input {self.source}")
        for u, v in itertools.pairwise(self.outputs):
            if u not in reads("recurrent", v):
                raise CertificateError(f"step {v} does not read output {u}")
        if self.mixer.readout is None:
            if last != self.target:
                raise CertificateError(f"the path ends at {last}, not at {self.target}")
        elif last not in reads("readout", self.target):
            raise CertificateError(f"the readout of step {self.target} does not read output {last}")
        return self.hops


@dataclass(frozen=True)
class Unreachable:
    """No path leads from token ``s`` to token ``t``: everything that ``t`` depends on leaves ``x_s`` out.

    >>> import glmix_theory as glm
    >>> Unreachable(glm.Mixer(direct=glm.Window(4)), 0, 4).check()
    (0, 4)
    """

    mixer: Mixer = field(repr=False)
    source: int
    target: int

    def check(self) -> tuple[int, int]:
        """Walk back from the target; returns the pair."""
        reached = _ancestors(_Reads(self.mixer), {end_node(self.mixer, self.target)}, set())
        if ("x", self.source) in reached:
            raise CertificateError(f"token {self.target} does depend on token {self.source}")
        return self.source, self.target


@dataclass(frozen=True)
class Routing:
    """One path for each pair of a demand; its largest node load bounds the congestion from above."""

    demand: Demand
    paths: tuple[Path, ...] = field(repr=False)
    bound: int

    @property
    def mixer(self) -> Mixer:
        """The mixer whose edges the paths use."""
        return self.paths[0].mixer

    def loads(self) -> Counter[Node]:
        """Paths through each node, endpoints included."""
        return Counter(node for path in self.paths for node in path.nodes)

    def check(self) -> int:
        """Verify every path, its pair and the largest load; returns the upper bound."""
        if len(self.paths) != len(self.demand.pairs):
            raise CertificateError(f"{len(self.paths)} paths for {len(self.demand.pairs)} pairs")
        reads = _Reads(self.mixer)
        for path, pair in zip(self.paths, self.demand.pairs):
            if path.mixer != self.mixer:
                raise CertificateError("the paths belong to different mixers")
            if (path.source, path.target) != pair:
                raise CertificateError(f"a path joins {path.source} to {path.target}; the pair is {pair}")
            path.check(reads)
        node, load = max(self.loads().items(), key=lambda item: item[1])
        if load > self.bound:
            raise CertificateError(f"{load} paths pass {node}, more than the {self.bound} claimed")
        return self.bound


@dataclass(frozen=True)
class Cut:
    """Nodes that every path of some pairs must meet: congestion ≥ ⌈pairs / nodes⌉ (proposition 5).

    Parameters
    ----------
    mixer : Mixer
        Whose graph is cut.
    demand : Demand
        The pairs to join.
    nodes : frozenset of node
        The cut.
    pairs : tuple of int
        Indices into ``demand.pairs`` of those that the cut separates.
    """

    mixer: Mixer = field(repr=False)
    demand: Demand
    nodes: frozenset[Node] = field(repr=False)
    pairs: tuple[int, ...] = field(repr=False)

    @property
    def bound(self) -> int:
        """``⌈separated pairs / cut nodes⌉``."""
        return -(-len(self.pairs) // max(len(self.nodes), 1))

    def check(self) -> int:
        """Verify that no source of a separated pair reaches any of their targets around the cut."""
        if not self.nodes:
            raise CertificateError("a cut of no nodes bounds nothing; an Unreachable certificate names a pair instead")
        if len(set(self.pairs)) != len(self.pairs) or not all(0 <= i < len(self.demand.pairs) for i in self.pairs):
            raise CertificateError("a pair is counted twice, or is not one of the demand's")
        chosen = [self.demand.pairs[i] for i in self.pairs]
        targets = {end_node(self.mixer, t) for _, t in chosen}
        reached = _ancestors(_Reads(self.mixer), targets - self.nodes, set(self.nodes))
        for s, _ in chosen:
            if ("x", s) in reached:
                raise CertificateError(f"token {s} reaches a target around the cut")
        return self.bound


@dataclass(frozen=True)
class Weights:
    """Node weights: congestion ≥ Σ over pairs of the lightest path / Σ of weights (linear-programming duality).

    For any path system, ``Σ_pairs (weight of its path) = Σ_nodes weight · load ≤ congestion · Σ weights``.
    A cut is the case of weight 1 on its nodes; equal weights count the nodes a path cannot avoid.
    """

    mixer: Mixer = field(repr=False)
    demand: Demand
    weights: dict[Node, int] = field(repr=False, hash=False)
    bound: int

    def check(self) -> int:
        """Find every lightest path again and compare; returns the lower bound."""
        if any(not isinstance(w, int) or w < 0 for w in self.weights.values()) or not any(self.weights.values()):
            raise CertificateError("weights are integers ≥ 0, not all of them 0")
        total = self.lightest_total()
        if total <= (self.bound - 1) * sum(self.weights.values()):
            raise CertificateError(
                f"the lightest paths weigh {total}, the nodes {sum(self.weights.values())}: less than {self.bound}"
            )
        return self.bound

    def lightest_total(self) -> int:
        """Weight of the lightest path, summed over the pairs."""
        return sum(self._lightest(_Reads(self.mixer)).values())

    def _lightest(self, reads: _Reads) -> dict[int, int]:
        """Weight of the lightest path of each pair, by its index."""
        by_source: dict[int, list[int]] = {}
        shift = self._shiftable(reads)
        for index, (s, _) in enumerate(self.demand.pairs):
            by_source.setdefault(0 if shift else s, []).append(index)
        ends_at = [t - s if shift else t for s, t in self.demand.pairs]
        lightest: dict[int, int] = {}
        for s, indices in by_source.items():
            last = max(ends_at[i] for i in indices)
            cost: dict[int, int] = {}
            for u in range(s, last + 1):
                options = [cost[p] for p in reads("recurrent", u) if p in cost]
                if s in reads("direct", u):
                    options.append(self.weights.get(("x", s), 0))
                if options:
                    cost[u] = min(options) + self.weights.get(("y", u), 0)
            for index in indices:
                t = ends_at[index]
                ends = [t] if self.mixer.readout is None else reads("readout", t)
                options = [cost[u] for u in ends if u in cost]
                if not options:
                    raise CertificateError(f"token {t} cannot be reached from token {s}: the congestion is infinite")
                lightest[index] = min(options) + self.weights.get(("z", t), 0)
        return lightest

    def _shiftable(self, reads: _Reads) -> bool:
        """Whether the lightest path depends on the lag alone: equal output weights, and equal lags at every step."""
        length = self.demand.length
        if self.weights != dict.fromkeys((("y", u) for u in range(length)), 1):
            return False
        for part in self.mixer.parts:
            lags = {length - 1 - s for s in reads(part, length - 1)}
            if any(reads(part, t) != {t - lag for lag in lags if lag <= t} for t in range(length)):
                return False
        return True


@dataclass(frozen=True)
class DisjointPaths:
    """Paths from tokens before a cut to tokens from it on that share no row.

    By Lindström–Gessel–Viennot the generic rank of ``M[c:, :c]`` is at least their number. With state
    expansion ``r`` up to ``r`` paths may share one ``y`` (it holds ``r`` rows).
    """

    mixer: Mixer = field(repr=False)
    length: int
    cut: int
    paths: tuple[Path, ...] = field(repr=False)

    def check(self) -> int:
        """Verify edges, ends and disjointness; returns the number of paths."""
        reads = _Reads(self.mixer)
        for path in self.paths:
            if path.mixer != self.mixer:
                raise CertificateError("the paths belong to different mixers")
            if not path.source < self.cut <= path.target < self.length:
                raise CertificateError(f"the path {path.source} → {path.target} does not cross the cut {self.cut}")
            path.check(reads)
        for node, load in Counter(node for path in self.paths for node in path.nodes).items():
            if load > (self.mixer.state if node[0] == "y" else 1):
                raise CertificateError(f"{load} paths share {node}")
        return len(self.paths)


@dataclass(frozen=True)
class Separator:
    """Rows that every influence from before a cut on tokens after it passes: rank ``M[c:, :c]`` ≤ their number."""

    mixer: Mixer = field(repr=False)
    length: int
    cut: int
    nodes: frozenset[Node] = field(repr=False)

    @property
    def bound(self) -> int:
        """Rows: one per input and readout, ``state`` per output."""
        return sum(self.mixer.state if kind == "y" else 1 for kind, _ in self.nodes)

    def check(self) -> int:
        """Verify that without these nodes nothing before the cut reaches a token after it; returns the rows."""
        targets = {end_node(self.mixer, t) for t in range(self.cut, self.length)}
        reached = _ancestors(_Reads(self.mixer), targets - self.nodes, set(self.nodes))
        for kind, s in reached:
            if kind == "x" and s < self.cut:
                raise CertificateError(f"token {s} reaches past the cut {self.cut} around the separator")
        return self.bound


def _ancestors(reads: _Reads, start: set[Node], without: set[Node]) -> set[Node]:
    """All nodes with a path to one of ``start`` (these included) that avoids ``without``."""
    seen = set(start)
    waiting = list(start)
    while waiting:
        for node in reads.before(waiting.pop()):
            if node not in seen and node not in without:
                seen.add(node)
                waiting.append(node)
    return seen
