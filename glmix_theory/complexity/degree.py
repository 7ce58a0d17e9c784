"""How many positions each step reads: the law of one pattern, closed where a proof is known.

Families state their facts through ``lag_set`` (translation-invariant ones) or as the cache-efficient
closed form; everything else is counted, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy

from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient, Pattern
from glmix_theory.patterns.index_functions import COUNT, prove_positive

_EXACT_WORK = 1 << 25
"""Pairs enumerated at most before a proved two-sided bound is returned instead of an exact count."""


@dataclass(frozen=True)
class DegreeLaw:
    """In-degrees of one pattern, as functions of the length.

    ``largest(n)`` is the largest in-degree of steps ``t < n``, ``total(n)`` their sum, both exact or
    :class:`Bounds`; the lower bound of ``largest`` is reached at step ``n-1``. ``monotone`` says the
    in-degree never decreases, so that maxima of several parts add up. ``largest_expr`` and
    ``total_expr`` hold for every ``n ≥ 1``; the ``*_scale`` expressions have the same Θ class as the
    exact values, also where those have no closed form.
    """

    largest: Callable[[int], Value]
    total: Callable[[int], Value]
    monotone: bool
    largest_expr: sympy.Expr | None
    total_expr: sympy.Expr | None
    largest_scale: sympy.Expr | None
    total_scale: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def degree_law(pattern: Pattern) -> DegreeLaw | None:
    """The law of a pattern, or ``None`` where none is known and in-degrees must be counted."""
    if isinstance(pattern, CacheEfficient):
        return _cache_efficient_law(pattern)
    lags = pattern.lag_set
    if lags is None:
        return None
    count = lags.count_expr
    lag_sum = lags.sum_expr
    total = None if count is None or lag_sum is None else sympy.expand(n * count - lag_sum)
    # Lags that no index of a known bound lists are only known as far as they are enumerated.
    known = lags.proved and lags.largest is not None
    name = repr(pattern)
    return DegreeLaw(
        largest=lambda length: lags.count(length - 1),
        total=lambda length: length * lags.count(length - 1) - lags.sum(length - 1),
        monotone=True,
        largest_expr=count,
        total_expr=total,
        largest_scale=count,
        total_scale=total,
        status="proved" if known else "checked",
        evidence=(
            f"{name} is translation-invariant: {lags.reason}",
            "step t reads one position for each lag ≤ t, so in-degrees never decrease and the largest "
            "below n is #{lags < n}" + (f" = {count}" if count is not None else " (counted exactly)"),
            "a lag l < n occurs at the steps t = l … n-1, that is n - l times; the total is Σ (n - l)"
            + (f" = {total}" if total is not None else " (summed exactly)"),
        ),
    )


def _cache_efficient_law(pattern: CacheEfficient) -> DegreeLaw:
    f = pattern.function
    count = f.count_expr
    sums = f.prefix_sum_expr
    total_expr = None if count is None or sums is None else sympy.expand(n * count - sums.subs(COUNT, count))
    disjoint = disjoint_slots(pattern)
    if disjoint is not None:
        return DegreeLaw(
            largest=lambda length: f.count(length - 1),
            total=lambda length: length * f.count(length - 1) - f.prefix_sum(f.count(length - 1)),
            monotone=True,
            largest_expr=count,
            total_expr=total_expr,
            largest_scale=count,
            total_scale=total_expr,
            status=f.status,
            evidence=(
                "THEORY proposition 7: S_i = { a_k ⌈(i - f(k))/a_k⌉ : f(k) < i } with i = t + 1",
                f.evidence,
                disjoint,
                "slot k reads at a lag in (f(k) - a_k, f(k)] = (f(k-1), f(k)] (proposition 8): no two slots "
                "coincide, so |S_i| = #{k : f(k) < i}" + (f" = {count} at i = n" if count is not None else ""),
            ),
        )
    ratio, reasons = bounded_overlap(pattern)

    def largest(length: int) -> Value:
        upper = f.count(length - 1)
        if length * max(upper, 1) <= _EXACT_WORK:
            return int(pattern.in_degrees(length).max())
        return Bounds(-(-upper // ratio) if ratio else 1, upper)

    def total(length: int) -> Value:
        number = f.count(length - 1)
        if length * max(number, 1) <= _EXACT_WORK:
            return int(pattern.in_degrees(length).sum())
        upper = length * number - f.prefix_sum(number)
        return Bounds(-(-upper // ratio) if ratio else length - 1, upper)

    return DegreeLaw(
        largest=largest,
        total=total,
        monotone=False,
        largest_expr=None,
        total_expr=None,
        largest_scale=count if ratio else None,
        total_scale=total_expr if ratio else None,
        status=f.status if ratio else "checked",
        evidence=(
            "THEORY proposition 7: S_i = { a_k ⌈(i - f(k))/a_k⌉ : f(k) < i } with i = t + 1; slots may "
            "coincide, so values are evaluated from this formula and |S_i| ≤ #{k : f(k) < i}",
            f.evidence,
            *reasons,
        ),
    )


def disjoint_slots(pattern: CacheEfficient) -> str | None:
    """A proof that ``a_k = f(k) - f(k-1)`` for every ``k ≥ 1``, or ``None``.

    Each gap must divide the next; then by induction ``a_{k+1} = a_k ⌈gap_{k+1}/a_k⌉ = gap_{k+1}``.
    """
    f = pattern.function
    if f.length is not None:
        exact = pattern.slots_disjoint_until(f.length)
        return f"a_k = f(k) - f(k-1) for each of the {f.length} slots, one by one" if exact else None
    if f.expr is None or f.status != "proved":
        return None
    ratio = sympy.simplify(f.gap.subs(k, k + 1) / f.gap)
    if ratio.is_integer and ratio.is_positive:
        return (
            f"(f(k+2) - f(k+1)) / (f(k+1) - f(k)) = {ratio} is an integer for every k ≥ 0, so by induction "
            "a_k = f(k) - f(k-1) for every k ≥ 1"
        )
    return None


def bounded_overlap(pattern: CacheEfficient) -> tuple[int | None, tuple[str, ...]]:
    """``(3, proof)`` when at least every third slot is distinct, so ``|S_i| ≥ #{k : f(k) < i}/3``.

    With gaps ``g_k = f(k) - f(k-1)`` that never decrease, ``a_k < 2 g_k`` by induction; where also
    ``g_{k-1} + g_{k-2} ≥ g_k - 1``, slot ``k`` reads nearer than ``f(k) - a_k ≥ f(k-3)``, so slots
    0, 3, 6, … never coincide.
    """
    f = pattern.function
    if f.expr is None or f.status != "proved":
        return None, ()
    gap = f.gap  # g_{k+1}
    rising = prove_positive(gap.subs(k, k + 1) - gap + 1, 16, "g_(k+2) - g_(k+1) + 1")
    spread = prove_positive(gap.subs(k, k + 1) + gap - gap.subs(k, k + 2) + 2, 16, "g_(k+2) + g_(k+1) - g_(k+3) + 2")
    if rising is None or spread is None:
        return None, ()
    return 3, (
        f"gaps g_k = f(k) - f(k-1) never decrease ({rising}); then a_k < 2 g_k: a_k = a_(k-1) ⌈g_k/a_(k-1)⌉ is "
        "a_(k-1) < 2 g_(k-1) ≤ 2 g_k, or below g_k + a_(k-1) ≤ 2 g_k",
        f"g_(k-1) + g_(k-2) ≥ g_k - 1 for k ≥ 3 ({spread}); so f(k) - a_k ≥ f(k) - 2 g_k + 1 ≥ f(k-3), and slots "
        "0, 3, 6, … never coincide: #{k : f(k) < i}/3 ≤ |S_i| ≤ #{k : f(k) < i}",
    )
