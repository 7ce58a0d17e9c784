"""How many distinct positions a step of a cache-efficient pattern reads."""

from __future__ import annotations

import sympy

from glmix_theory.complexity.laws import LISTED_AT_MOST, Law, degree_sequence, monotone_law
from glmix_theory.complexity.quantity import Bounds, Value
from glmix_theory.complexity.slot_runs import SlotRuns
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient
from glmix_theory.patterns.growth import Growth, constant_growth


def cache_efficient_degrees(pattern: CacheEfficient) -> Law:
    """The law of ``|S_i|``: the count of ``f`` where slots are disjoint, else exact run by run.

    >>> cache_efficient_degrees(CacheEfficient(k**2 + 1)).peak(10**12)
    711110
    """
    f = pattern.function
    count = f.counting_expr
    statement = "proposition 7: S_i = { a_k ⌈(i - f(k))/a_k⌉ : f(k) < i } with i = t + 1"
    disjoint = disjoint_slots(pattern)
    growth = f.growth
    if disjoint is not None:
        sums = f.summing_expr
        return monotone_law(
            lambda t: f.count(t),
            lambda length: length * f.count(length - 1) - f.prefix_sum(f.count(length - 1)),
            pattern.in_degrees,
            count,
            None if count is None or sums is None else sympy.expand(n * count - sums),
            None if growth is None else growth[0],
            f.status,
            (
                statement,
                f.evidence,
                disjoint,
                "slot k reads at a lag in (f(k) - a_k, f(k)] = (f(k-1), f(k)] (proposition 8): no two slots "
                "coincide, so |S_i| = #{k : f(k) < i}" + (f" = {count} at i = n" if count is not None else ""),
                *(() if growth is None else (growth[1],)),
            ),
            degree_sequence(pattern, pattern.periodicity),
        )
    runs = SlotRuns(pattern)

    def value(exact: int | None, kind: str, length: int) -> Value:
        if exact is not None:
            return exact
        if length <= LISTED_AT_MOST:
            degrees = pattern.in_degrees(length)
            return int(degrees.max() if kind == "peak" else degrees.sum())
        number = f.count(length - 1)
        return Bounds(1, number) if kind == "peak" else Bounds(length - 1, length * number - f.prefix_sum(number))

    rate, reason = _overlap_growth(pattern)
    return Law(
        listed=pattern.in_degrees,
        peak=lambda length: value(runs.largest(length), "peak", length),
        prefix=lambda length: value(runs.total(length), "prefix", length),
        at=lambda t: found if (found := runs.distinct(t + 1)) is not None else len(pattern.sources(t)),
        growth=rate,
        prefix_growth=None if rate is None else rate.summed().but(None),
        linear=degree_sequence(pattern, pattern.periodicity),
        status=f.status,
        evidence=(
            statement,
            f.evidence,
            "slots coincide; a run p … q of slots with one period a holds ⌈(i - f(p))/a⌉ - ⌈(i - f(q))/a⌉ + 1 distinct "
            "values (gaps are at most a, so no multiple is skipped), and the first slot p of a run equals slot p-1 "
            "exactly if (f(p) - i) mod a_p ≥ f(p) - f(p-1); summed and maximised run by run, exactly at any n",
            runs.ratio_evidence,
            *reason,
        ),
    )


def _overlap_growth(pattern: CacheEfficient) -> tuple[Growth | None, tuple[str, ...]]:
    """Growth of the number of distinct slots, for gaps that never fall below ``1/D`` of an earlier one."""
    f = pattern.function
    if f.length is not None:
        return constant_growth(1).but(None), (f"1 ≤ |S_i| ≤ {f.length} for i ≥ 2",)
    if f.growth is None or f.gap_ratio is None:
        return None, ()
    bound = f.gap_ratio[0]
    return f.growth[0].but(None), (
        f"slot k differs from slot k-1 at g_k = f(k) - f(k-1) of any a_k consecutive i, and a_k < {2 * bound} g_k; so "
        f"Σ_(i ≤ n) |S_i| ≥ Σ (n - f(k))/{4 * bound} over f(k) ≤ n/{2 * bound + 1}, which is at least "
        f"n/{6 * bound} #{{k : f(k) ≤ n/{2 * bound + 1}}}: with |S_i| ≤ #{{k : f(k) < i}} the total over n and the "
        "maximum are of the class of the count",
        f.growth[1],
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
