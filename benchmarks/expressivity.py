"""Times of the expressivity measures beside networkx, rustworkx and csgraph, all in the same run.

Run ``python benchmarks/expressivity.py`` from the repository root. ``--write`` stores the table in
``benchmarks/results/expressivity.md``. Peers run at the largest size that they finish in reasonable time; the ratio
compares both sides at that size, the last column is the toolkit alone at the full size.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from scipy.sparse.csgraph import dijkstra, shortest_path

import glmix_theory as glm
from glmix_theory import expressivity as ex
from glmix_theory import k
from glmix_theory.rendering import Table

REPEATS = 3
SPARSE = {"2^k": glm.CacheEfficient(2**k), "k²+1": glm.CacheEfficient(k**2 + 1)}


def seconds(run: Callable[..., object], *arguments: object, repeats: int = REPEATS) -> float:
    """Median wall time of ``run(*arguments)``."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _one_source(matrix: Any) -> np.ndarray:
    return dijkstra(matrix, indices=0, unweighted=True)


def _all_pairs(matrix: Any) -> np.ndarray:
    return shortest_path(matrix, method="D", unweighted=True)


def _networkx_pairs(graph: nx.DiGraph) -> dict[Any, Any]:
    return dict(nx.all_pairs_shortest_path_length(graph))


def profile_rows() -> list[list[str]]:
    """Least hops for all lags of a translation-invariant recurrence."""
    rows = []
    for name, f in {"2^k": 2**k, "k²+1": k**2 + 1}.items():
        mixer, size, full = glm.Mixer(recurrent=glm.Offsets(f)), 20_000, 10**6
        graph = mixer.recurrent.to_networkx(size)
        own = seconds(ex.lag_hops, mixer, size)
        expected = nx.single_source_shortest_path_length(graph, 0)
        assert ex.lag_hops(mixer, size).tolist() == [expected[lag] for lag in range(size)]
        peer = seconds(nx.single_source_shortest_path_length, graph, 0)
        matrix = mixer.recurrent.to_csr(size).T.tocsr().astype(float)
        compiled = seconds(_one_source, matrix)
        alone = seconds(ex.lag_hops, mixer, full)
        title = f"distance profile, {name}"
        rows.append([title, f"networkx, n = {size}", f"{peer:.3f} s", f"{own:.4f} s", f"{peer / own:.1f}×", ""])
        full_text = f"{alone:.2f} s at 10^6 lags (goal 1 s)"
        rows.append(
            [title, f"csgraph, n = {size}", f"{compiled:.3f} s", f"{own:.4f} s", f"{compiled / own:.1f}×", full_text]
        )
    return rows


def distance_rows() -> list[list[str]]:
    """All-pairs maximum of the hops of a cache-efficient recurrence."""
    rows = []
    for name, pattern in SPARSE.items():
        mixer, size, full = glm.Mixer(recurrent=pattern), 4096, 10**5
        own = seconds(ex.distance_by_length, mixer, size)
        matrix = pattern.to_csr(size).T.tocsr().astype(float)
        hops = _all_pairs(matrix)
        assert int(hops[np.triu_indices(size, 1)].max()) == ex.distance_by_length(mixer, size)[-1]
        graph = pattern.to_networkx(size)
        peers = {
            "csgraph": seconds(_all_pairs, matrix),
            "networkx": seconds(_networkx_pairs, graph, repeats=1),
        }
        try:
            import rustworkx

            rust = rustworkx.networkx_converter(graph)
            peers["rustworkx"] = seconds(rustworkx.digraph_distance_matrix, rust)
        except ImportError:
            pass
        alone = seconds(ex.distance_by_length, mixer, full, repeats=1)
        for peer, taken in peers.items():
            last = f"{alone:.1f} s at n = 10^5 (goal 10 s)" if peer == list(peers)[-1] else ""
            title = f"distance, cache-efficient {name}"
            rows.append([title, f"{peer}, n = {size}", f"{taken:.3f} s", f"{own:.4f} s", f"{taken / own:.1f}×", last])
    return rows


def congestion_rows() -> list[list[str]]:
    """Certified bounds of the congestion of copying, and one maximum flow beside networkx."""
    rows = []
    for name, pattern in SPARSE.items():
        mixer, size = glm.Mixer(recurrent=pattern), 128
        ex.congestion_bounds(mixer, 200)  # compile once
        network = ex.flow.Network(mixer, 2 * size)
        own = seconds(network.flow, range(size), range(size, 2 * size), 20)
        graph = nx.DiGraph()
        for t in range(2 * size):
            graph.add_edge(("y", t), ("out", t), capacity=20)
            graph.add_edges_from((("out", s), ("y", t)) for s in pattern.sources(t))
        graph.add_edges_from((("from", ("y", t)) for t in range(size)), capacity=1)
        graph.add_edges_from(((("out", t), "to") for t in range(size, 2 * size)), capacity=1)
        peer = seconds(nx.maximum_flow_value, graph, "from", "to", repeats=1)
        found = network.flow(range(size), range(size, 2 * size), 20).value
        assert found == nx.maximum_flow_value(graph, "from", "to")
        title = f"flow with capacities, {name}"
        rows.append([title, f"networkx, n = {size}", f"{peer:.3f} s", f"{own:.4f} s", f"{peer / own:.1f}×", ""])
    for entry in glm.catalogue.table1():
        mixer = entry.build()
        start = time.perf_counter()
        bounds = ex.congestion_bounds(mixer, 4096, passes=2, ratio=1.5)
        found_in = time.perf_counter() - start
        start = time.perf_counter()
        bounds.check()
        checked_in = time.perf_counter() - start
        low, high = bounds.bounds
        text = f"{found_in:.1f} s; {low} … {high}, ratio {bounds.ratio:.2f} (goal 30 s, 1.5)"
        rows.append([f"copy congestion, {entry.title}", f"own check(): {checked_in:.1f} s", "", "", "", text])
    return rows


def main() -> None:
    """Print the table; with ``--write``, store it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the table under benchmarks/results")
    arguments = parser.parse_args()
    columns = ["measure", "peer", "peer's time", "toolkit", "ratio", "full size"]
    table = Table(columns, [*profile_rows(), *distance_rows(), *congestion_rows()])
    print(table.to_text(width=170))
    if not arguments.write:
        return
    packages = ("numpy", "scipy", "networkx", "rustworkx", "numba")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = [
        "# Expressivity measures",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}; medians of {REPEATS} runs.",
        "",
        "Command: `python benchmarks/expressivity.py --write`",
        "",
        table.to_markdown(),
        "",
    ]
    target = Path(__file__).parent / "results" / "expressivity.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
