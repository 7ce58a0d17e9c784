"""Proposition 17: the congestion of cache-efficient patterns, by two explicit routings."""

from __future__ import annotations

import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.expressivity import gather_routing, lane_routing
from glmix_theory.expressivity.congestion_laws import lanes_bound, necklaces
from glmix_theory.expressivity.lanes import lane_of_word
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _gather(block: int = 0) -> str:
    """Token ``t`` of the block ``(p - a, p]`` walks to ``p`` and leaves for ``t + n`` at a lag between 1 and ``n``."""
    t, p, a, n, reach = z3.Ints("t p a n f")
    leave = for_all(
        [p - a < t, t <= p, a <= n, n <= reach],
        z3.And(t + n - p >= 1, t + n - p <= reach),
        "step t + n reads p: its lag lies in 1 … n ≤ f(K) (lifetime lemma)",
    )
    own = z3.Ints("q")[0]
    late = for_all(
        [own > n, p - a < own, own <= p, t >= p - a + 1, t <= n],
        t <= own - 1,
        "an output beyond n is no token's start: a - 1 walkers at most",
    )
    load, ends = z3.Ints("w e")
    total = for_all(
        [ends >= 0, ends <= 1, load >= 0, z3.If(ends == 1, load <= a - 1 + block, load <= a)],
        load + ends <= a,
        "walkers and end: at most a",
    )
    return f"{leave}; {late}; {total}"


def _lanes(width: int = 2) -> str:
    """Lane ``j``: the positions ``p = P·odd``, ``P = 2^j``, one every ``2P``; each is read up to its successor."""
    p, P, i, later = z3.Ints("p P i q")
    read = for_all(
        [P >= 1, i > p, i <= p + 2 * P], i - p <= width * P, "a position of lane j is read up to lag f(j + 1) = 2P"
    )
    latest = for_all(
        [P >= 1, later == p + 2 * P, i > p, i <= later],
        z3.And(i > p, i - p <= 2 * P),
        "so every step reads the latest position of each lane",
    )
    return f"{read}; {latest}: riding takes steps of 2P, leaving one hop"


def _climb(extra: int = 0) -> str:
    t, q, P, n = z3.Ints("t q P n")
    start = for_all(
        [P >= 1, q - P < t, t <= q, t >= 1, q > n, t <= n],
        t <= q - 1,
        "beyond n the output q is no start: P - 1 climbers and one end",
    )
    count, ends = z3.Ints("w e")
    total = for_all(
        [P >= 1, ends >= 0, ends <= 1 + extra, z3.If(ends >= 1, count <= P - 1, count <= P)],
        count + ends <= P,
        "climbers reach q from (q - P, q] only: with the end at most P = 2^j",
    )
    return f"{start}; {total}"


def _necklaces(equal: bool = True) -> str:
    """Two words of one necklace in one lane are equal: bit ``b`` of each is bit ``b + turn`` of the least rotation."""
    size, first, second, zero, times, bit = z3.Ints("J u v zero m b")
    turns = [size >= 1, first >= 0, first < size, second >= 0, second < size]
    same = for_all(
        [*turns, zero - first == zero - second + times * size, z3.Or(times == 0, times >= 1, times <= -1)],
        first == second,
        "equal lanes zero - turn modulo J in one necklace have equal turns",
    )
    least = z3.Function("least", z3.IntSort(), z3.IntSort())
    other = second if equal else second + 1
    word = for_all(
        [*turns, first == second],
        least(bit + first) == least(bit + other),
        "equal turns of one least rotation: equal words",
    )
    return f"{same}; {word}: each lane gets at most one word of each of the N(J) necklaces, and 1…1 has no zero"


def _asymptotics(power: int = 2) -> str:
    n = sympy.Symbol("n", positive=True)
    log = sympy.log(n) / sympy.log(2)
    lanes = log - power * sympy.log(log) / sympy.log(2)
    words = n / log**power
    # ⌈n/2^J⌉ (N(J) - 1) ≤ (n/2^J + 1)(2^J/J + 2·2^(J/2)): N(J) ≤ 2^J/J + the words of a shorter period
    load = (n / words + 1) * (words / lanes + 2 * sympy.sqrt(words)) + words / 2
    ratio = sympy.limit(sympy.expand(load * log / n), n, sympy.oo)
    require(ratio == 1, f"the bound exceeds n/log2 n by a factor that tends to {ratio}")
    return "with 2^J ≈ n/(log2 n)² the bound is (1 + o(1)) n/log2 n"


def _polynomial() -> str:
    g, a, before = z3.Ints("g a a_before")
    text = for_all(
        [
            g >= 1,
            before >= 1,
            before < 2 * g,
            z3.Or(z3.And(before >= g, a == before), z3.And(before < g, a < g + before)),
        ],
        a < 2 * g,
        "gaps that never decrease: a_k < 2 g_k",
    )
    return (
        f"{text}; so a_K = O(n^(1 - 1/d)), and the cut of at most #{{k : f(k) ≤ n}} = O(n^(1/d)) rows "
        "gives the same order below"
    )


def _routed() -> str:
    powers, squares = (glm.Mixer(recurrent=glm.CacheEfficient(f)) for f in (2**k, k**2 + 1))
    for n in (16, 64, 100, 256):
        require(lane_routing(powers, n).check() <= lanes_bound(n, 1), f"lanes fail at n = {n}")
        require(gather_routing(squares, n).check() <= 4 * n**0.5 + 4, f"gathering fails at n = {n}")
    for lanes in range(1, 13):
        chosen = [lane_of_word(word, lanes) for word in range(2**lanes - 1)]
        most = max(chosen.count(lane) for lane in range(lanes))
        require(most <= necklaces(lanes) - 1, f"{most} words of {lanes} bits share a lane")
    return "both routings checked path by path at n = 16, 64, 100, 256; lanes of all words of up to 12 bits"


PROPOSITION = Proposition(
    number=17,
    title="Congestion of cache-efficient patterns",
    statement=(
        "Copying n tokens through CacheEfficient(f) has congestion between n/cache and a_K, K the least "
        "index with f(K) ≥ n "
        "(if a_K ≤ n): Θ(n^(1-1/d)) for polynomials of degree d ≥ 2 with gaps that never decrease. For "
        "2^k it is at most "
        "⌈n/2^J⌉ (N(J) - 1) + 2^(J-1) for every J with 2^J ≤ n, N(J) counting binary necklaces: (1 + o(1)) n/log2 n."
    ),
    assumptions=(
        "the direct part is the diagonal",
        "the lifetime lemma of proposition 16, and proposition 6 for the lower bound",
    ),
    steps=(
        step("gathering: one exit per block", "smt", _gather),
        step("lanes of 2^k", "smt", _lanes),
        step("climbing t → t + lowbit(t)", "smt", _climb),
        step("lanes are balanced over necklaces", "smt", _necklaces),
        step("the leading constant for 2^k", "symbolic", _asymptotics),
        step("the order for polynomials", "smt", _polynomial),
        step("routings as certificates", "enumeration", _routed, illustration=True),
    ),
    mutations={
        "a walkers beyond n": lambda: _gather(block=1),
        "lanes read half as far": lambda: _lanes(width=1),
        "two ends at one output": lambda: _climb(extra=1),
        "turns differ by one": lambda: _necklaces(equal=False),
        "2^J ≈ n": lambda: _asymptotics(power=0),
    },
)
