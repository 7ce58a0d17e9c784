"""Proposition 16: the distance of cache-efficient patterns – exact for 2^k, bounded for every f with f(0) = 1."""

from __future__ import annotations

import numpy as np
import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.expressivity import distance_by_length
from glmix_theory.expressivity.cache_efficient_laws import (
    least_hops_to_span,
    most_hops_needed,
    power_of_two_distance,
)
from proofs_checks._smt import for_all, impossible
from proofs_checks.framework import Proposition, require, step


def _lifetime(gap: int = 0) -> str:
    """``Q = p`` is a multiple of ``a = a_j``; slot ``j`` at ``p + l`` holds the least multiple ≥ ``p + l - f(j)``."""
    p, lag, here, below, a = z3.Ints("p l f_j f_before a")
    chosen = [below < lag, lag <= here, a >= here - below - gap, a >= 1]
    text = for_all(
        chosen,
        z3.And(p - a < p + lag - here, p + lag - here <= p),
        "f(j-1) < l ≤ f(j) and a_j ≥ f(j) - f(j-1): a_j⌈(p + l - f(j))/a_j⌉ = p",
    )
    slot = z3.Int("q")
    beyond = impossible([slot >= p + lag - here, lag > here, slot == p], "at lags beyond f(j) slot j is past p")
    return f"{text}; {beyond}"


def _reads(scale: int = 2) -> str:
    """The reads of steps ``2c`` and ``2c - 1`` in terms of those of ``c``, one scale ``P = 2^j`` at a time."""
    i, c, P, Q = z3.Ints("i c P Q")
    half = [2 * c - 2 < i, i <= 2 * c, P >= 1]
    ceiling = for_all(
        [*half, c > Q - P, c <= Q],
        z3.And(scale * Q - scale * P < i, i <= scale * Q),
        "with c = ⌈i/2⌉ and Q = P⌈c/P⌉: 2P⌈i/2P⌉ = 2Q",
    )
    exists = for_all(
        [*half, i >= 1], (i > 2 * (2 * P)) == (c > 2 * P), "the slot with 2·2P < i exists exactly when 2P < c"
    )
    return f"{ceiling}; {exists}: steps 2c and 2c - 1 read 2·S_c, apart from their own odd neighbours"


def _neighbours() -> str:
    p, P, i, m = z3.Ints("p P i m")
    text = impossible([P >= 1, m == 2 * P * i, m == 2 * p - 1], "slots of scale 2P hold even positions only")
    return f"{text}: an odd position is read at lags 1 and 2 alone (slots 0 and 1)"


def _hop_recursion(extra: int = 1) -> str:
    """``h(2s-1, ·)``: leaving through the evens at once is best, by the chain of lag 1."""
    now, later, r = z3.Ints("h_s h_r r")
    return for_all(
        [r >= 0, now <= r + later],
        1 + now <= extra + r + later,
        "1 + h(s, c) ≤ 1 + r + h(s + r, c): leave the odd positions at once",
    )


def _induction(factor: int = 3) -> str:
    """``V = 2^(m-3)``: ``D(n) = m`` exactly on ``3·2^(m-2) < n ≤ 3·2^(m-1)``."""
    n, half, V, c, m = z3.Ints("n g V c m")
    upper = for_all(
        [V >= 1, factor * 2 * V < n, n <= factor * 4 * V, 2 * half - 1 <= n, n <= 2 * half],
        z3.And(half > 3 * V, half <= 6 * V),
        "⌈n/2⌉ of the m-th interval lies in the one before: D(n) ≤ 1 + D(⌈n/2⌉)",
    )
    lower = for_all([c == 3 * V + 1], 2 * c - 1 == factor * 2 * V + 1, "2c - 1 of c = 3V + 1 is 3·2V + 1")
    room = for_all([m + 1 <= 3 * V, V >= 1], m + 2 <= 6 * V, "c - 1 = 3·2^(m-2) ≥ m + 1 is kept (base 3 ≥ 3)")
    return f"{upper}; {lower}; {room}"


def _base(values: tuple[int, ...] = (0, 1, 1, 2, 2, 2)) -> str:
    counted = distance_by_length(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), 6).tolist()
    require(counted == list(values), f"D(1 … 6) = {counted}, not {list(values)}")
    require(glm.CacheEfficient(2**k).sources(3) == (1, 2), "step 4 (1-based) does not read 2 and 3 only")
    return "all pairs of the first six positions: D = 0, 1, 1, 2, 2, 2, and h(1, 4) = 2"


def _greedy() -> str:
    """Upper bound for every ``f``: the farthest slot within the lag."""
    lag, here, above, a, taken = z3.Ints("L f_k f_next a d")
    text = for_all(
        [here <= lag, lag < above, here - a < taken, taken <= here, taken >= 1],
        z3.And(lag - taken >= 0, lag - taken <= above - here + a - 2),
        "f(k) ≤ L < f(k+1): slot k leaves at most f(k+1) - f(k) + a_k - 2, and never passes the source",
    )
    d = sympy.Symbol("d", positive=True)
    exponent = sympy.simplify((d - 1) / d - (1 - 1 / d))
    require(exponent == 0, "the exponent of the remaining lag is wrong")
    return f"{text}; for degree d the rest is O(L^(1 - 1/d)), for b^k at most (1 - 1/b²)L: O(log log n), O(log n)"


def _spread() -> str:
    p, R, a, reach, largest = z3.Ints("p R a f F")
    text = for_all(
        [p >= 1, p <= R, a <= p, reach <= largest],
        p + reach <= R + largest,
        "a reader of p ≤ R by slot k needs a_k ≤ p, so it lies within R + max{f(k) : a_k ≤ R}",
    )
    return f"{text}: R_h + 1 hops span no more; Ω(log log n) for polynomials (R → O(R^(d/(d-1)))), Ω(log n) for b^k"


def _counted() -> str:
    for f in (2**k, k**2 + 1, 3**k, k * (k + 1) / 2 + 1):
        pattern = glm.CacheEfficient(f)
        exact = distance_by_length(glm.Mixer(recurrent=pattern), 2048)
        for n in range(1, 2049, 7):
            upper = most_hops_needed(pattern, n, np.asarray(exact[:16]))
            require(least_hops_to_span(pattern, n) <= exact[n - 1] <= upper, f"{f}: bounds fail at n = {n}")
            if f == 2**k:
                require(power_of_two_distance(n) == exact[n - 1], f"2^k: formula fails at n = {n}")
    return "exact all-pairs counts at n ≤ 2048 for 2^k (formula), k² + 1, 3^k and k(k+1)/2 + 1 (bounds)"


PROPOSITION = Proposition(
    number=16,
    title="Distance of cache-efficient patterns",
    statement=(
        "The recurrence CacheEfficient(2^k) has distance 2 + ⌊log2((n - 1)/3)⌋ for n ≥ 4 (0, 1, 1 before). For every f "
        "with f(0) = 1 the distance lies between the hops to span n by R → R + max{f(k) : a_k ≤ R} and the hops of the "
        "farthest slot within the lag: Θ(log log n) for polynomials of degree ≥ 2 with gaps that never "
        "decrease, Θ(log n) "
        "for b^k."
    ),
    assumptions=("the direct part is the diagonal", "the closed form of proposition 7, positions 1-based"),
    steps=(
        step("lifetime lemma", "smt", _lifetime),
        step("halving maps the reads onto themselves", "smt", _reads),
        step("odd positions are read by their neighbours only", "smt", _neighbours),
        step("an odd source leaves at once", "smt", _hop_recursion),
        step("induction on the intervals (3·2^(m-2), 3·2^(m-1)]", "smt", _induction),
        step("base", "symbolic", _base),
        step("upper bound for every f", "smt", _greedy),
        step("lower bound for every f", "smt", _spread),
        step("counts", "enumeration", _counted, illustration=True),
    ),
    mutations={
        "periods one below the gap": lambda: _lifetime(gap=1),
        "the scale is not doubled": lambda: _reads(scale=1),
        "leaving is free": lambda: _hop_recursion(extra=0),
        "intervals from 2^m": lambda: _induction(factor=4),
        "D(4) = 1": lambda: _base((0, 1, 1, 1, 2, 2)),
    },
    argument=(
        "halving gives h(2s, i) = h(s, ⌈i/2⌉) and h(2s-1, 2c) = 1 + h(s, c), h(2s-1, 2c-1) = min(1 + "
        "h(s, c), c - s); so "
        "D(n) ≤ 1 + D(⌈n/2⌉), and the pairs (1, 3·2^(m-2) + 1) attain m"
    ),
)
