"""Proposition 13: a pattern for any staircase of costs."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

import sympy
import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step

_T = z3.Function("T", z3.IntSort(), z3.IntSort())
_x, _y = z3.Ints("x y")


def _rises(jump: int = 1) -> list[z3.BoolRef]:
    """``T(0) = 0`` and ``0 ≤ T(t+1) - T(t) ≤ jump``; and ``T`` is non-decreasing, which :func:`_monotone` proves."""
    one_step = z3.And(_T(_x + 1) - _T(_x) >= 0, _T(_x + 1) - _T(_x) <= jump)
    increments = z3.ForAll(_x, z3.Implies(_x >= 0, one_step), patterns=[_T(_x + 1)])
    order = z3.ForAll([_x, _y], z3.Implies(z3.And(_x >= 0, _x <= _y), _T(_x) <= _T(_y)))
    return [_T(0) == 0, increments, order]


def _first_reaching(f: z3.ArithRef, index: z3.ArithRef, offset: int = 1) -> list[z3.BoolRef]:
    """``f = min{ m ≥ 0 : T(m) ≥ index + 1 }``; it exists because ``T`` is unbounded."""
    earlier = z3.ForAll(_x, z3.Implies(z3.And(_x >= 0, _x < f), _T(_x) < index + offset))
    return [f >= 0, _T(f) >= index + offset, earlier]


def _monotone(least: int = 0) -> str:
    """``T(x) ≤ T(y)`` for ``x ≤ y``, by induction on ``y``."""
    before, now, following = z3.Ints("T_x T_y T_next")
    base = for_all([now == before], before <= now, "base y = x")
    return f"{base}; {for_all([before <= now, following - now >= least], before <= following, 'step y → y + 1')}"


def _reaches_exactly(jump: int = 1, at_zero: int = 0) -> str:
    """``T(f(k)) = k + 1``: the step before ``f(k)`` was at most ``k``, and one step adds at most 1."""
    index, f = z3.Ints("k f")
    before = z3.Int("T_before")
    premises = [index >= 0, f >= 0, _T(f) >= index + 1, _T(0) == at_zero]
    premises += [z3.Implies(f >= 1, z3.And(before == _T(f - 1), before <= index, _T(f) <= before + jump))]
    positive = for_all(premises, f >= 1, "f(k) ≥ 1, as T(0) = 0")
    return f"{positive}; {for_all([*premises, f >= 1], _T(f) == index + 1, 'T(f(k)) = k + 1')}"


def _increasing(jump: int = 1) -> str:
    """``f(k) < f(k + 1)``: where ``T`` is ``k + 1`` it has not reached ``k + 2``."""
    index, f, following = z3.Ints("k f f_next")
    if jump == 1:
        exact = [_T(f) == index + 1]  # the step before this one
    else:
        exact = [_T(f) >= index + 1, _T(f) <= index + jump]
    premises = [index >= 0, f >= 0, following >= 0, *exact, _T(following) >= index + 2]
    order = z3.Implies(following <= f, _T(following) <= _T(f))
    return for_all([*premises, order], f < following, "f(k) < f(k + 1)")


def _counts(offset: int = 1) -> str:
    """``f(k) ≤ t ⟺ k < T(t)``, so exactly the indices ``0 … T(t) - 1`` count."""
    index, f, t = z3.Ints("k f t")
    order = [z3.Implies(f <= t, _T(f) <= _T(t)), z3.Implies(z3.And(t >= 0, t < f), _T(t) < index + offset)]
    premises = [index >= 0, f >= 0, t >= 0, _T(f) >= index + offset, *order]
    return for_all(premises, (f <= t) == (index < _T(t)), "f(k) ≤ t ⟺ k < T(t)")


def _quantified() -> str:
    """The same at once, with ``T`` quantified over all staircases: nothing is assumed but its definition."""
    index, f, following, t = z3.Ints("k f f_next t")
    premises = [*_rises(), index >= 0, t >= 0, *_first_reaching(f, index), *_first_reaching(following, index + 1)]
    increasing = for_all(premises, f < following, "strictly increasing")
    return f"{increasing}; {for_all(premises, (f <= t) == (index < _T(t)), 'T(t) terms at step t')}"


def _starts_at_one(first: int = 1) -> str:
    """``f(0) = 1 ⟺ T(1) = 1``, the hypothesis of proposition 7."""
    f = z3.Int("f_0")
    premises = [*_rises(), *_first_reaching(f, z3.IntVal(0))]
    return for_all(premises, (f == 1) == (_T(1) == first), "f(0) = 1 ⟺ T(1) = 1")


def _rounding(slope: int = 1) -> str:
    """A target ``τ`` with slopes in ``[0, 1]`` and ``0 ≤ τ(0) < 1``: ``T = ⌊τ⌋`` is such a staircase, within 1."""
    now, following, start = z3.Reals("tau tau_next tau_0")
    rise = z3.ToInt(following) - z3.ToInt(now)
    staircase = for_all(
        [now >= 0, following - now >= 0, following - now <= slope], z3.And(rise >= 0, rise <= 1), "⌊τ⌋ rises by 0 or 1"
    )
    near = z3.And(now - z3.ToReal(z3.ToInt(now)) >= 0, now - z3.ToReal(z3.ToInt(now)) < 1)
    zero = for_all([start >= 0, start < 1], z3.ToInt(start) == 0, "T(0) = 0")
    return f"{staircase}; {for_all([now >= 0], near, '0 ≤ τ - T < 1')}; {zero}"


def _examples() -> str:
    """Staircases whose ``f`` is known, built from their definition and counted by the toolkit."""
    square: Callable[[int], int] = isqrt
    cases: tuple[tuple[Callable[[int], int], sympy.Expr], ...] = (
        (lambda t: t.bit_length(), 2**k),
        (square, (k + 1) ** 2),
        (lambda t: 1 + isqrt(t - 1) if t else 0, k**2 + 1),
        (lambda t: t, k + 1),
        (lambda t: t // 3, 3 * (k + 1)),
    )
    for target, formula in cases:
        values = [target(t) for t in range(2000)]
        f = [next(m for m, value in enumerate(values) if value >= index + 1) for index in range(values[-1])]
        expected = [int(formula.subs(k, index)) for index in range(min(10, len(f)))]
        require(f[:10] == expected, f"the staircase of {formula} gives f = {f[:10]}")
        pattern = glm.Offsets(f)
        wrong = next((t for t in range(2000) if pattern.in_degree(t) != values[t]), None)
        require(wrong is None, f"the pattern for {formula} misses its target at t = {wrong}")
    return f"{len(cases)} staircases give 2^k, (k+1)², k²+1, k+1 and 3(k+1); in-degree = T(t) at every t < 2000"


PROPOSITION = Proposition(
    number=13,
    title="Any complexity",
    statement=(
        "For every T: N → N with T(0) = 0, unbounded, 0 ≤ T(t+1) - T(t) ≤ 1, the function f(k) = min{m : T(m) ≥ k+1} "
        "is strictly increasing, positive, and Offsets(f) has exactly T(t) terms at step t. f(0) = 1 exactly when "
        "T(1) = 1. A real target with slopes in [0, 1] that starts in [0, 1) is within 1 of the staircase ⌊τ⌋."
    ),
    assumptions=("T is unbounded, so the minimum exists",),
    steps=(
        step("T is non-decreasing", "smt", _monotone),
        step("T(f(k)) = k + 1 and f(k) ≥ 1", "smt", _reaches_exactly),
        step("f is strictly increasing", "smt", _increasing),
        step("exactly T(t) terms at step t", "smt", _counts),
        step("both again, for all staircases at once", "smt", _quantified),
        step("f(0) = 1 exactly when T(1) = 1", "smt", _starts_at_one),
        step("smooth targets", "smt", _rounding),
        step("known staircases", "enumeration", _examples, illustration=True),
    ),
    mutations={
        "T may fall": lambda: _monotone(least=-1),
        "T may jump by 2": lambda: _increasing(jump=2),
        "T may jump by 2, value reached": lambda: _reaches_exactly(jump=2),
        "T(0) = 1": lambda: _reaches_exactly(at_zero=1),
        "f(k) = min{m : T(m) ≥ k}": lambda: _counts(offset=0),
        "f(0) = 1 when T(1) = 0": lambda: _starts_at_one(first=0),
        "slopes up to 2": lambda: _rounding(slope=2),
    },
    argument=(
        "T(f(k)) = k + 1 makes f strictly increasing; f(k) ≤ t exactly for k < T(t), so T(t) indices count; with "
        "T(1) = 1 proposition 7 applies to f and gives a cache of at most T(t + 1) rows after step t"
    ),
)
