"""Proposition 8: a cache-efficient pattern never reads farther back than the one it approximates."""

from __future__ import annotations

import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step
from proofs_checks.proposition_07_cache_efficient import slot


def _bounds(below: int = 0, above: int = 0) -> str:
    """``f(k) - a_k < i - v_k(i) ≤ f(k)``."""
    a, f, i, p = z3.Ints("a f i p")
    premises = [a >= 1, f >= 1, i > f, *slot(p, a, i, f)]
    lag = i - p * a
    return for_all(premises, z3.And(f - a + below < lag, lag <= f - above), "f(k) - a_k < lag ≤ f(k)")


def _attained(widened: int = 0) -> str:
    """Every lag in ``(f(k) - a_k, f(k)]`` occurs, once in every ``a_k`` consecutive steps: at ``i ≡ lag mod a_k``."""
    a, f, lag, m, p, i = z3.Ints("a f lag m p i")
    premises = [a >= 1, f >= a, f - a - widened < lag, lag <= f, m >= 1, i == lag + a * m, i > f, *slot(p, a, i, f)]
    return for_all(premises, i - p * a == lag, "at i = lag + m·a the lag is exactly this one")


def _positive(first_period: int = 1) -> str:
    """Lags are at least 1, from ``a_k ≤ f(k)``: by induction on ``k``, with ``a_0 = 1`` or ``a_0 = f(0)``."""
    a, f, gap, following, lag = z3.Ints("a f gap a_next lag")
    first = [z3.Or(a == first_period, a == f), f >= 1]
    base = for_all(first, a <= f, "base a_0 ≤ f(0)")
    induct = for_all([a >= 1, gap >= 1, a <= f, following < gap + a], following <= f + gap, "step a_(k+1) ≤ f(k+1)")
    return f"{base}; {induct}; {for_all([a <= f, f - a < lag], lag >= 1, 'so lag ≥ 1')}"


def _measured() -> str:
    """The toolkit's sources, for four index functions and a list."""
    functions = (2**k, k**2 + 1, 3**k, k * (k + 1) / 2 + 1, [1, 4, 6, 13, 14, 40])
    for f in functions:
        pattern, exact = glm.CacheEfficient(f), glm.Offsets(f)
        for t in range(300):
            lags = [t - s for s in pattern.sources(t)]
            bounds = [(g - pattern.period(j), g) for j, g in enumerate(map(int, exact.function.up_to(t)))]
            known = all(any(low < lag <= high for low, high in bounds) for lag in lags)
            require(known, f"{pattern!r} at t = {t} reads lags {lags}, outside the intervals {bounds}")
    return f"{len(functions)} index functions, every source at t < 300 lies in some (f(k) - a_k, f(k)]"


PROPOSITION = Proposition(
    number=8,
    title="Lag bound",
    statement=(
        "Slot k reads at a lag in (f(k) - a_k, f(k)], every lag there is attained, and all are at least 1: a "
        "cache-efficient pattern never reads farther back than Offsets(f)."
    ),
    assumptions=("f: N → N_{>0} strictly increasing; slots and periods as in proposition 7, or with a_0 = f(0)",),
    steps=(
        step("the lag lies in the interval", "smt", _bounds),
        step("every lag of the interval is attained", "smt", _attained),
        step("lags are positive", "smt", _positive),
        step("the toolkit's sources", "enumeration", _measured, illustration=True),
    ),
    mutations={
        "lag < f(k)": lambda: _bounds(above=1),
        "lag > f(k) - a_k + 1": lambda: _bounds(below=1),
        "lag f(k) - a_k attained too": lambda: _attained(widened=1),
        "a_0 = 2 whatever f(0)": lambda: _positive(first_period=2),
    },
    argument="v_k(i) is the multiple of a_k in [i - f(k), i - f(k) + a_k), so i minus it lies in (f(k) - a_k, f(k)]",
)
