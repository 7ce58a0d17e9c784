"""What is proved about hops in cache-efficient patterns, for every index function ``f`` with ``f(0) = 1``.

Everything rests on one lemma. In 1-based positions ``i = t + 1``, slot ``k`` holds multiples of ``a_k``:

    *Lifetime.* If ``a_k`` divides ``p``, every step ``i`` with ``p < i ≤ p + f(k)`` reads ``p``; and no
    step after ``p + f(κ(p))`` does, where ``κ(p)`` is the largest ``k`` with ``a_k | p``.

For a lag ``l ≤ f(k)`` take the least ``j`` with ``f(j) ≥ l``. Then ``f(j) - a_j ≤ f(j-1) < l ≤ f(j)``, so the
multiple of ``a_j`` that slot ``j`` holds at ``i = p + l`` is ``p``. Conversely slot ``j`` reads at lags up to ``f(j)``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import sympy

from glmix_theory.notation import k
from glmix_theory.patterns import CacheEfficient
from glmix_theory.patterns.index_functions import prove_positive

_MOST_SLOTS = 1 << 21
_MOST_HOPS = 1 << 14

LIFETIME = (
    "lifetime lemma (1-based): if a_k divides p, every step in (p, p + f(k)] reads p, and no step beyond "
    "p + f(κ) does, κ the largest k with a_k | p: for a lag l ≤ f(k) the least j with f(j) ≥ l has "
    "f(j) - a_j ≤ f(j-1) < l ≤ f(j), so slot j holds p at step p + l"
)


def is_powers_of_two(pattern: CacheEfficient) -> bool:
    """Whether ``f(k) = 2^k``."""
    expr = pattern.function.expr
    return expr is not None and sympy.simplify(expr - 2**k) == 0


def power_of_two_distance(n: int) -> int:
    """Distance of ``CacheEfficient(2^k)``: ``2 + ⌊log2((n-1)/3)⌋`` for ``n ≥ 4``; 0, 1, 1 before.

    >>> [power_of_two_distance(n) for n in (1, 2, 3, 4, 6, 7, 64, 256, 1024, 4096)]
    [0, 1, 1, 2, 2, 3, 6, 8, 10, 12]
    """
    return min(n - 1, 1) if n <= 3 else 1 + ((n - 1) // 3).bit_length()


POWER_OF_TWO_DISTANCE = (
    "1-based, a step i reads exactly the latest position of each 2-adic valuation before i: slot k + 1 holds "
    "2^k(⌈i/2^k⌉ - 2). So step 2c reads 2·S_c and 2c-1; step 2c-1 reads 2·S_c and 2c-3; nothing else reads 2p-1 than "
    "2p and 2p+1 (S_c = sources of step c)",
    "halving: write h(s, i) for the hops. φ(i) = ⌈i/2⌉ maps each edge to an edge or a point, and 2·S_c is read "
    "by 2c and 2c-1: h(2s, i) = h(s, ⌈i/2⌉) for 2s < i",
    "an odd source leaves through 2s or after steps of 2: h(2s-1, 2c) = 1 + h(s, c) for s ≤ c and "
    "h(2s-1, 2c-1) = min(1 + h(s, c), c - s) for s < c, since h(s, c) ≤ r + h(s + r, c)",
    "so D(n) ≤ 1 + D(⌈n/2⌉); and with c = 3·2^(m-2) + 1 the pair (1, 2c-1) gives h(1, 2c-1) = min(1 + h(1, c), c-1): "
    "from h(1, 4) = 2, h(1, 3·2^(m-2) + 1) = m for every m ≥ 2",
    "D(n) = m exactly for 3·2^(m-2) < n ≤ 3·2^(m-1): both sides by induction from D(1 … 6) = 0, 1, 1, 2, 2, 2",
)


@lru_cache(maxsize=64)
def _slots(pattern: CacheEfficient, number: int) -> tuple[np.ndarray, np.ndarray]:
    """``f(k)`` and ``a_k`` for ``k < number``, int64."""
    offsets = pattern.function.up_to(pattern.function(number - 1)) if number else np.zeros(0, dtype=np.int64)
    periods = np.array([pattern.period(j) for j in range(number)], dtype=object)
    return offsets, periods.astype(np.int64)


def least_hops_to_span(pattern: CacheEfficient, n: int) -> int:
    """A proved lower bound of the distance at ``n``: the hops it takes to get from position 1 to ``n``.

    ``R_0 = 1`` and ``R_(h+1) = R_h + max{ f(k) : a_k ≤ R_h }``: a position ``p ≤ R_h`` is divisible by no
    ``a_k > p``, so nobody beyond ``p + f(k)`` with the largest ``a_k ≤ R_h`` reads it.

    >>> import glmix_theory as glm
    >>> [least_hops_to_span(glm.CacheEfficient(glm.k**2 + 1), 10**e) for e in (1, 3, 6, 12)]
    [3, 6, 7, 8]
    """
    reached, hops, index = 1, 0, 0
    length = pattern.function.length
    while reached < n:
        while (length is None or index + 1 < length) and pattern.period(index + 1) <= reached:
            if pattern.function(index) >= n:
                break
            if index >= _MOST_SLOTS >> 4:
                return hops + 1
            index += 1
        reached += pattern.function(index)
        hops += 1
    return hops


def most_hops_needed(pattern: CacheEfficient, n: int, exact: np.ndarray) -> int | None:
    """A proved upper bound of the distance at ``n``; ``exact[m-1]`` is the distance at ``m ≤ len(exact)``.

    From step ``i``, with lag ``L`` to go and ``f(k) ≤ L < f(k+1)``, slot ``k`` reads at a lag in
    ``(f(k) - a_k, f(k)]``, which leaves at most ``L - max(1, f(k) - a_k + 1)``. ``None`` where the slots below
    ``n`` are too many to list, or the bound is useless (beyond 16384 hops).

    >>> import glmix_theory as glm
    >>> most_hops_needed(glm.CacheEfficient(glm.k**2 + 1), 10**4, np.array([0, 1, 1, 2]))
    10
    """
    number = pattern.function.count(n - 1)
    if number > _MOST_SLOTS or n - 1 >= 1 << 62:
        return None
    offsets, periods = _slots(pattern, number)
    ends = np.append(offsets[1:] - 1, n - 1)  # the largest lag whose best slot is k
    rest = np.maximum.accumulate(ends - np.maximum(1, offsets - periods + 1)) if number else ends
    lag, hops = n - 1, 0
    while lag >= len(exact):
        if hops > _MOST_HOPS:
            return None
        slot = int(np.searchsorted(offsets, lag, side="right")) - 1
        own = lag - max(1, int(offsets[slot] - periods[slot]) + 1)
        lag = max(own, int(rest[slot - 1]) if slot else 0)
        hops += 1
    return hops + int(exact[lag])


def distance_class(pattern: CacheEfficient) -> tuple[sympy.Expr, tuple[str, ...]] | None:
    """The proved Θ class of the distance: ``log log n`` for polynomials of degree ≥ 2, ``log n`` for ``b^k``.

    >>> import glmix_theory as glm
    >>> distance_class(glm.CacheEfficient(glm.k**2 + 1))[0], distance_class(glm.CacheEfficient(3**glm.k))[0]
    (log(log(n)), log(n))
    """
    from glmix_theory.notation import n

    f = pattern.function
    if f.expr is None or f.status != "proved":
        return None
    if f.expr.is_polynomial(k) and sympy.degree(f.expr, k) >= 2:
        rising = prove_positive(f.gap.subs(k, k + 1) - f.gap + 1, 16, "g_(k+2) - g_(k+1) + 1")
        if rising is None:
            return None
        degree = sympy.degree(f.expr, k)
        return sympy.log(sympy.log(n)), (
            LIFETIME,
            f"gaps g_k = f(k) - f(k-1) never decrease ({rising}), so g_k ≤ a_k < 2 g_k",
            f"upper: with lag L to go the farthest slot within L leaves less than g_(k+1) + a_k = "
            f"O(L^(1 - 1/{degree})), so O(log log n) hops leave a constant",
            f"lower: among the positions 1 … R no a_k > R divides, so one hop leads no farther than R + f(k), "
            f"g_k ≤ R: O(R^({degree}/{degree - 1})); Ω(log log n) hops to span n",
        )
    base = geometric_base(f.expr)
    if base is not None:
        return sympy.log(n), (
            LIFETIME,
            f"f(k) = {base}^k has a_k = {base}^k - {base}^(k-1); with lag L to go, f(k) ≤ L < f(k+1), slot k covers "
            f"more than {base}^(k-1) ≥ L/{base}²: at most log n / log(1/(1 - 1/{base}²)) + O(1) hops",
            f"lower: among the positions 1 … R one hop leads no farther than R + f(k) with a_k ≤ R, f(k) ≤ "
            f"{base}/{base - 1} R: at least log n / log {sympy.Rational(2 * base - 1, base - 1)} hops",
        )
    return None


def geometric_base(expr: sympy.Expr | None) -> int | None:
    """``b`` where an index function is ``b^k``, else ``None``.

    >>> geometric_base(3**k), geometric_base(2**k + k)
    (3, None)
    """
    if expr is None:
        return None
    base = expr.subs(k, 1)
    if base.is_Integer and base >= 2 and sympy.simplify(expr - base**k) == 0:
        return int(base)
    return None
