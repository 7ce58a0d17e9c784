"""The graph of a mixer from its brute-force definition, in plain networkx; nothing of the code under test."""

from __future__ import annotations

import itertools
import math

import networkx as nx

from tests.strategies import DrawnMixer


def token_graph(drawn: DrawnMixer, length: int) -> nx.DiGraph:
    """Nodes ``("x", s)``, ``("y", t)``, ``("z", t)``; each edge weighs 1 where it joins two tokens, else 0."""
    graph = nx.DiGraph()
    reads = {"x": drawn.reads["input"][0], "y": drawn.reads["output"][0]}
    for t in range(length):
        graph.add_nodes_from([("x", t), ("y", t)])
        graph.add_edges_from((("x", s), ("y", t)) for s in reads["x"](t))
        graph.add_edges_from((("y", s), ("y", t)) for s in reads["y"](t))
        if drawn.mixer.readout is not None:
            graph.add_node(("z", t))
            graph.add_edges_from((("y", s), ("z", t)) for s in drawn.reads["output"][1](t))
    for a, b in graph.edges:
        graph.edges[a, b]["hop"] = int(a[1] != b[1])
    return graph


def end_kind(drawn: DrawnMixer) -> str:
    return "y" if drawn.mixer.readout is None else "z"


def hops(graph: nx.DiGraph, kind: str, length: int) -> dict[tuple[int, int], float]:
    """Least hops of every pair ``s ≤ t``; infinity without a path."""
    found = {}
    for s in range(length):
        distances = nx.single_source_dijkstra_path_length(graph, ("x", s), weight="hop")
        for t in range(s, length):
            found[s, t] = distances.get((kind, t), math.inf)
    return found


def row_disjoint_paths(graph: nx.DiGraph, kind: str, length: int, cut: int, state: int) -> int:
    """Most paths from inputs before the cut to outputs after it, ``state`` of them through one ``y``."""
    network = nx.DiGraph()
    for node in graph:
        network.add_edge((node, "in"), (node, "out"), capacity=state if node[0] == "y" else 1)
    for a, b in graph.edges:
        network.add_edge((a, "out"), (b, "in"))
    for s in range(cut):
        network.add_edge("origin", (("x", s), "in"), capacity=1)
    for t in range(cut, length):
        network.add_edge(((kind, t), "out"), "end")
    return nx.maximum_flow_value(network, "origin", "end")


def smallest_congestion(graph: nx.DiGraph, kind: str, pairs: list[tuple[int, int]]) -> float:
    """Least largest node load over every choice of one simple path per pair."""
    choices = [list(nx.all_simple_paths(graph, ("x", s), (kind, t))) for s, t in pairs]
    if not all(choices):
        return math.inf
    best = len(pairs)
    for chosen in itertools.product(*choices):
        load: dict[tuple[str, int], int] = {}
        for path in chosen:
            for node in path:
                load[node] = load.get(node, 0) + 1
        best = min(best, max(load.values()))
    return best
