"""What is proved about the congestion of copying, for every ``n``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import sympy

from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.expressivity import cache_efficient_laws as laws
from glmix_theory.expressivity.lag_profile import sums_of_lags
from glmix_theory.expressivity.lag_theorems import infinite_lags
from glmix_theory.expressivity.source_classes import identity_lags
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient, Offsets

COUNTING = (
    "lower: a path of h hops passes h + 1 outputs, and the n paths share 2n outputs: at least ⌈(h + 1)/2⌉ of them "
    "pass some output, where h is the fewest hops of lag n"
)
SAME_STEPS = (
    "upper: every pair takes the same steps; an output is the m-th of at most one path, and first and last of no two: "
    "at most h paths (proposition 5)"
)
LIVE_CUT = "lower: every path crosses the rows live after step n - 1, so n ≤ congestion × cache (proposition 6)"
_ENUMERATED = 1 << 17


@dataclass(frozen=True)
class CongestionLaw:
    """Bounds of the copy congestion, or its exact value, at every ``n``."""

    evaluate: Callable[[int], Value]
    expr: sympy.Expr | None
    theta: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def congestion_law(mixer: Mixer) -> CongestionLaw | None:
    """The law of a mixer's copy congestion, or ``None`` where none is known here."""
    if mixer.readout is not None and not identity_lags(mixer.readout.lag_set):
        return None
    direct, recurrent = mixer.direct.lag_set, mixer.recurrent.lag_set
    if direct is not None and direct.all_from is not None and direct.all_from <= 1:
        return _exact(1, "every pair has its own direct edge x_t → y_(t+n), and endpoints count once")
    if direct is not None and recurrent is not None and recurrent.largest == -1:
        return _direct_only(mixer)
    if not identity_lags(direct):
        return None
    if isinstance(mixer.recurrent, CacheEfficient):
        return _cache_efficient(mixer.recurrent)
    if recurrent is None:
        return None
    if recurrent.all_from is not None and recurrent.all_from <= 1:
        return _exact(1, "y_(t+n) reads y_t, so an output is the start of one path or the end of one")
    if (
        isinstance(recurrent.largest, int)
        and recurrent.largest > 0
        and recurrent.count(recurrent.largest) == (recurrent.largest)
    ):
        return _order(recurrent.largest)
    if isinstance(mixer.recurrent, Offsets) and 1 in recurrent and recurrent.largest == math.inf:
        return _translation_invariant(mixer, mixer.recurrent)
    return None


def _exact(value: int, reason: str) -> CongestionLaw:
    return CongestionLaw(lambda _: value, sympy.Integer(value), sympy.Integer(1), "proved", (reason,))


def _direct_only(mixer: Mixer) -> CongestionLaw | None:
    lags = mixer.direct.lag_set
    assert lags is not None
    largest = lags.largest
    reason = "no recurrence: a pair (t, t + n) is joined by its own edge where n is a direct lag, or not at all"
    if isinstance(largest, int) and lags.count(largest) == largest + 1:
        return CongestionLaw(
            lambda length: 1 if length <= largest else sympy.oo,
            sympy.Piecewise((1, n <= largest), (sympy.oo, True)),
            sympy.oo,
            "proved",
            (f"{reason}; direct lags end at {largest}, so (0, n) is unreachable for n > {largest}",),
        )
    if largest is None:
        return None
    return CongestionLaw(
        lambda length: 1 if length in lags else sympy.oo,
        None,
        sympy.oo if isinstance(largest, int) else None,
        "proved",
        (f"{reason}; pair (0, n) is unreachable wherever n is no direct lag",),
    )


def _order(order: int) -> CongestionLaw:
    return CongestionLaw(
        lambda length: -(-length // order),
        sympy.ceiling(n / order),
        n,
        "proved",
        (
            f"lower: no hop skips {order} outputs, so all n paths meet the {order} outputs n - {order} … n - 1 "
            f"(or n ≤ {order}): one carries at least ⌈n/{order}⌉",
            f"upper: path t takes steps of {order} and a last one of n mod {order}. With n = {order}q + r an output "
            f"p < n lies on the paths p, p - {order}, …, at most q + 1 of them and q if r = 0; an output "
            f"p = n + j on the end of path j and on at most q (q - 1 if r = 0) others: ⌈n/{order}⌉",
        ),
    )


def _translation_invariant(mixer: Mixer, pattern: Offsets) -> CongestionLaw | None:
    theorem = infinite_lags(pattern.function)
    if laws.geometric_base(pattern.function.expr) == 2:
        hops: Callable[[int], int | None] = lambda length: length.bit_count()  # noqa: E731
        reason = (
            "⌈(h + 1)/2⌉ ≤ congestion ≤ h = popcount(n), the fewest powers of two that sum to n: proved for every n"
        )
        status = "proved"
    else:

        def hops(length: int) -> int | None:
            if length > _ENUMERATED:
                return None
            return int(sums_of_lags(pattern.function.up_to(length), length + 1)[length])

        reason = f"h = the fewest values of f that sum to n, counted exactly for n ≤ {_ENUMERATED}"
        status = "checked" if theorem is None else theorem.status

    def evaluate(length: int) -> Value:
        fewest = hops(length)
        if fewest is None:
            worst = theorem.evaluate(length + 1) if theorem is not None else length
            return Bounds(1, worst.upper if isinstance(worst, Bounds) else worst)
        lower = -(-(fewest + 1) // 2)
        return lower if lower == fewest else Bounds(lower, fewest)

    constant = theorem is not None and theorem.theta == 1
    grounds = theorem.evidence if constant and theorem is not None else ()
    return CongestionLaw(
        evaluate, None, sympy.Integer(1) if constant else None, status, (reason, COUNTING, SAME_STEPS, *grounds)
    )


def necklaces(size: int) -> int:
    """Binary words of ``size`` letters up to rotation.

    >>> [necklaces(j) for j in range(1, 9)]
    [2, 3, 4, 6, 8, 14, 20, 36]
    """
    return sum(int(sympy.totient(d)) * 2 ** (size // d) for d in sympy.divisors(size)) // size


def lanes_bound(length: int, lanes: int) -> int:
    """The proved load of :func:`~glmix_theory.expressivity.lanes.lane_routing` with that many lanes."""
    return -(-length // 2**lanes) * (necklaces(lanes) - 1) + 2 ** (lanes - 1)


def best_lanes(length: int) -> int:
    """The number of lanes with the least :func:`lanes_bound`; 0 when none is below ``length``.

    >>> best_lanes(4096), lanes_bound(4096, 7)
    (7, 672)
    """
    options = [(lanes_bound(length, lanes), lanes) for lanes in range(1, length.bit_length())]
    least = min(options, default=(length, 0))
    return least[1] if least[0] < length else 0


def gather_period(pattern: CacheEfficient, length: int) -> int | None:
    """``a_K`` with the least ``K``, ``f(K) ≥ n``: the block that :func:`gather_routing` collects in; or ``None``."""
    function = pattern.function
    index = function.count(length - 1)
    if function.length is not None and index >= function.length:
        return None
    if index > 1 << 21:
        return None
    return pattern.period(index)


def cache_rows(pattern: CacheEfficient, length: int) -> int:
    """Rows live after step ``n - 1``: exactly what step ``n`` reads."""
    if pattern.slots_disjoint_until(min(pattern.function.count(length), 64)) and laws.geometric_base(
        pattern.function.expr
    ):
        return pattern.function.count(length)
    return len(pattern.sources(length))


def cache_efficient_bounds(pattern: CacheEfficient, length: int) -> Bounds:
    """The proved bounds of the copy congestion of ``Mixer(recurrent=pattern)``.

    >>> import glmix_theory as glm
    >>> cache_efficient_bounds(glm.CacheEfficient(glm.k**2 + 1), 4096)
    Bounds(lower=90, upper=192)
    """
    lower = -(-length // cache_rows(pattern, length))
    upper = length
    period = gather_period(pattern, length)
    if period is not None:
        upper = min(upper, max(period, 1))
    if laws.is_powers_of_two(pattern) and best_lanes(length):
        upper = min(upper, lanes_bound(length, best_lanes(length)))
    return Bounds(lower, upper)


GATHER = (
    "upper (gather): let a = a_K, f(K) ≥ n. The inputs of each block (p - a, p], a | p, walk to p by steps of 1; "
    "p is read by step t + n directly (lifetime lemma: lag ≤ n ≤ f(K)). An output up to n lies on paths of its own "
    "block only, at most a; one beyond n on at most a - 1 of them, and on the end of one path: congestion ≤ a_K"
)
LANES = (
    "upper (lanes): the outputs of 2-adic valuation j form a lane with steps of 2^(j+1), and each step reads the "
    "latest output of every lane. For any J with 2^J ≤ n: path t climbs t → t + lowbit(t) → … to a lane j < J where "
    "bit j of t is 0 (0-based), rides it, and leaves to t + n in one hop; the 1…1 words ride their own lane",
    "a climb puts at most 2^j paths on an output of lane j, endpoint included; choosing the lane of each J-bit word "
    "equivariantly under rotation gives every lane at most one word of each necklace: N(J) - 1 words, each ⌈n/2^J⌉ "
    "times",
    "so congestion ≤ ⌈n/2^J⌉ (N(J) - 1) + 2^(J-1), and with 2^J ≈ n/(log2 n)² that is (1 + o(1)) n/log2 n: the cut "
    "bound n/⌈log2(n + 1)⌉ is attained up to lower order",
)


def _cache_efficient(pattern: CacheEfficient) -> CongestionLaw:
    expr = pattern.function.expr
    scale, why = None, ""
    if laws.is_powers_of_two(pattern):
        scale = n / sympy.log(n)
    elif expr is not None and expr.is_polynomial(k) and (laws.distance_class(pattern) is not None):
        degree = sympy.degree(expr, k)
        scale = n ** (1 - sympy.Rational(1, degree))
        why = (
            f"a_K < 2 g_K with gaps that never decrease: O(n^(1 - 1/{degree})); the cache is at most "
            f"#{{k : f(k) ≤ n}} = O(n^(1/{degree})), so n/cache is of the same order"
        )
    notes = LANES if laws.is_powers_of_two(pattern) else ()
    return CongestionLaw(
        lambda length: _narrow(cache_efficient_bounds(pattern, length)),
        None,
        scale,
        "proved",
        tuple(filter(None, (LIVE_CUT, laws.LIFETIME, GATHER, *notes, why))),
    )


def _narrow(bounds: Bounds) -> Value:
    return bounds.lower if bounds.lower == bounds.upper else bounds
