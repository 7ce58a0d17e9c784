"""Proposition 6: congestion × cache ≥ n."""

from __future__ import annotations

import sympy
import z3

import glmix_theory as glm
from glmix_theory import expressivity as ex
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _crossing(strict: bool = True) -> str:
    """By induction along the path: while no edge crosses, every node stays before the cut."""
    position = z3.Function("position", z3.IntSort(), z3.IntSort())
    i, n = z3.Ints("i n")
    crosses = z3.And(position(i) <= n - 1, position(i + 1) >= (n if strict else n + 1))
    text = for_all(
        [position(i) <= n - 1, z3.Not(crosses)],
        position(i + 1) <= n - 1,
        "a path at a token before n that takes no crossing edge stays before n",
    )
    return f"{text}; path t starts at t ≤ n - 1 and ends at t + n ≥ n, so it takes an edge that crosses"


def _tail_is_live(horizon: int = 0) -> str:
    born, read, n = z3.Ints("born read n")
    live = z3.And(born <= n - 1, read > n - 1 + horizon)
    return for_all(
        [born <= n - 1, read >= n],
        live,
        "the tail of a crossing edge exists after step n - 1 and is read later: it is live",
    )


def _product(slack: int = 0) -> str:
    congestion, cache, live, n = z3.Ints("C S L n")
    return for_all(
        [n >= 1, congestion >= 1, live >= 1, live <= cache, congestion * live >= n - slack],
        congestion * cache >= n,
        "the live rows are a cut of at most cache-size many nodes: C·cache ≥ n",
    )


def _table() -> str:
    parts = []
    for name in ("exponential_cache_efficient", "quadratic_cache_efficient", "kth_order_recurrence", "attention"):
        mixer = glm.catalogue[name]
        cache = glm.analyze(mixer).cache_size
        for n in (1, 2, 7, 16, 64):
            found = ex.congestion_bounds(mixer, n)
            found.check()
            rows = cache.at(n)
            require(found.bounds.upper * rows >= n, f"{name}: {found.bounds.upper} × {rows} < {n}")
        parts.append(f"{name} {float(sympy.Rational(found.bounds.upper * rows, 64)):.2f} n")
    return f"certified upper bound × cache at n = 64: {', '.join(parts)}"


PROPOSITION = Proposition(
    number=6,
    title="Congestion × cache",
    statement=(
        "For copying n tokens, congestion × cache size ≥ n. So a cache of ⌈log2(n + 1)⌉ rows "
        "(cache-efficient 2^k) forces "
        "congestion n/⌈log2(n + 1)⌉ at least, and one of at most √n + 1 rows (cache-efficient k² + 1) n/(√n + 1)."
    ),
    assumptions=("the cache holds what a later step of the unbounded pattern reads, after step n - 1", "proposition 5"),
    steps=(
        step("every path crosses from before n to n or later", "smt", _crossing),
        step("the tail of the crossing edge is live", "smt", _tail_is_live),
        step("the product", "smt", _product),
        step("certified congestion times cache", "enumeration", _table, illustration=True),
    ),
    mutations={
        "crossing edges end after n": lambda: _crossing(strict=False),
        "live means read after step n": lambda: _tail_is_live(horizon=1),
        "one path avoids the live rows": lambda: _product(slack=1),
    },
)
