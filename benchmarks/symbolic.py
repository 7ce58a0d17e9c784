"""How fast exact values at n = 10^12 are, and how long the analysis of a mixer takes.

Run with ``python benchmarks/symbolic.py``. Each value at 10^12 is compared, in the same run, with counting all
steps at n = 4096 by enumeration: the ratio says how much faster the formula is, although its n is 10^8 times larger.
Exits with 1 where a target (10 ms per value after one warm-up call, 2 s per analysis) is missed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import sympy

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.complexity import Bounds
from glmix_theory.rendering import Table

FAR = 10**12
COUNTED = 4096
VALUE_TARGET, ANALYSIS_TARGET = 0.010, 2.0

PATTERNS: dict[str, glm.Pattern] = {
    "dense": glm.Dense(),
    "window | globals": glm.Window(16) | glm.GlobalTokens(4),
    "blocks": glm.Blocks(16),
    "window | stride": glm.Window(16) | glm.Strided(16),
    "2^k": glm.Offsets(2**k),
    "k²+1": glm.Offsets(k**2 + 1),
    "k³+1": glm.Offsets(k**3 + 1),
    "(k+1)!": glm.Offsets(sympy.factorial(k + 1)),
    "2^k | stride 8": glm.Offsets(2**k) | glm.Strided(8),
    "2^k in blocks of 4": glm.Offsets(2**k).blocked(4),
    "cache-efficient 2^k": glm.CacheEfficient(2**k),
    "cache-efficient k²+1": glm.CacheEfficient(k**2 + 1),
    "cache-efficient k³+1": glm.CacheEfficient(k**3 + 1),
    "Fenwick": glm.Fenwick(),
}


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def values_table() -> tuple[Table, float]:
    """Values at 10^12 with their times, and the slowest time."""
    table = Table(["pattern", "quantity", "value at 10^12", "status", "ms", f"counting {COUNTED} steps / this"])
    worst = 0.0
    for name, pattern in PATTERNS.items():
        mixer = glm.Mixer(pattern)
        counting = seconds(lambda pattern=pattern: pattern.in_degrees(COUNTED).max(), 3)  # type: ignore[misc]
        for measure in (glm.complexity.step_cost, glm.complexity.total_cost, glm.complexity.cache_size):
            quantity = measure(mixer)
            value = quantity.at(FAR)
            elapsed = seconds(lambda quantity=quantity: quantity.at(FAR), 15)  # type: ignore[misc]
            worst = max(worst, elapsed)
            shown = f"{value} (bounds)" if isinstance(value, Bounds) else str(value)
            table.rows.append(
                [name, quantity.name, shown, quantity.status, f"{elapsed * 1e3:.3f}", f"{counting / elapsed:.0f}×"]
            )
    return table, worst


def analysis_table() -> tuple[Table, float]:
    """Seconds for the symbolic quantities and for the whole analysis of each catalogue entry; the slowest."""
    table = Table(["catalogue entry", "step + total + cache + horizon, s", "analyze, s"])
    worst = 0.0
    parts = (
        glm.complexity.step_cost,
        glm.complexity.total_cost,
        glm.complexity.cache_size,
        glm.complexity.horizon_cache_size,
    )
    for name in glm.catalogue.names():
        mixer = glm.catalogue[name]
        costs = seconds(lambda mixer=mixer: [measure(mixer) for measure in parts], 1)  # type: ignore[misc]
        whole = seconds(lambda mixer=mixer: glm.analyze(mixer), 1)  # type: ignore[misc]
        worst = max(worst, whole)
        table.rows.append([name, f"{costs:.3f}", f"{whole:.3f}"])
    return table, worst


def main() -> int:
    """Print both tables; 0 if every target is met."""
    values, slowest_value = values_table()
    print(values.to_text(150))
    analyses, slowest_analysis = analysis_table()
    print(analyses.to_text(100))
    print(f"slowest value at 10^12: {slowest_value * 1e3:.2f} ms (target {VALUE_TARGET * 1e3:.0f} ms)")
    print(f"slowest analysis: {slowest_analysis:.2f} s (target {ANALYSIS_TARGET:.0f} s)")
    return 0 if slowest_value < VALUE_TARGET and slowest_analysis < ANALYSIS_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
