"""Proposition 19: one row read at a slowly growing lag keeps exactly that lag of rows alive."""

from __future__ import annotations

import sympy
import z3

import glmix_theory as glm
from glmix_theory import k, n
from glmix_theory.complexity.lifetimes import live_profile
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step

_p = z3.Function("p", z3.IntSort(), z3.IntSort())
_x, _y = z3.Ints("x y")


def _moves(rise: int = 1, fall: int = 0) -> str:
    """``p(t) = t - g(t)`` rises by 0 or 1, as ``g`` does; and ``0 ≤ p(t) ≤ t``."""
    t, g, following = z3.Ints("t g g_next")
    gain = following - g
    premises = [t >= 0, gain >= -fall, gain <= rise]
    move = (t + 1 - following) - (t - g)
    text = for_all(premises, z3.And(move >= 0, move <= 1), "p(t + 1) - p(t) is 0 or 1")
    inside = for_all([*premises, g >= 0, g <= t, following >= 0], following <= t + 1, "g(t) ≤ t, from g(0) = 0")
    return f"{text}; {inside}: the position read is one of 0 … t, and t itself only where g(t) = 0"


def _order(fall: int = 0) -> str:
    before, now, following = z3.Ints("p_x p_y p_next")
    base = for_all([now == before], before <= now, "base y = x")
    grown = for_all([before <= now, following - now >= -fall], before <= following, "step y → y + 1")
    return f"{base}; {grown}: p never decreases"


def _moving(move: int = 1) -> list[z3.BoolRef]:
    """What the first two steps prove of ``p``."""
    steps = z3.And(_p(_x + 1) - _p(_x) >= 0, _p(_x + 1) - _p(_x) <= move)
    each = z3.ForAll(_x, z3.Implies(_x >= 0, steps), patterns=[_p(_x + 1)])
    return [each, z3.ForAll([_x, _y], z3.Implies(z3.And(_x >= 0, _x <= _y), _p(_x) <= _p(_y)))]


def _none_skipped(move: int = 1, unbounded: bool = True) -> str:
    """From step ``c`` on every ``s ≥ p(c)`` is met: at the first ``u ≥ c`` with ``p(u) ≥ s``, as ``p`` is unbounded."""
    c, s, u, before = z3.Ints("c s u p_before")
    premises = [c >= 0, s >= _p(c), u >= c]
    if unbounded:
        premises += [_p(u) >= s, z3.Implies(u > c, z3.And(before == _p(u - 1), before < s, _p(u) <= before + move))]
    return for_all(premises, _p(u) == s, "the first u ≥ c with p(u) ≥ s has p(u) = s")


def _live(after: int = 1) -> str:
    """Row ``s ≤ t`` is read beyond step ``t`` exactly for ``s ≥ p(t+1)``; its reader ``u`` has ``g(u) = u - s ≥ 1``."""
    t, s, u = z3.Ints("t s u")
    only = for_all(
        [*_moving(), t >= 0, s >= 0, s <= t, u >= t + after, _p(u) == s], s >= _p(t + 1), "a row read later: s ≥ p(t+1)"
    )
    reader = for_all([t >= 0, s <= t, u >= t + 1, _p(u) == s], u - _p(u) >= 1, "its reader has a positive lag")
    return f"{only}; {reader}"


def _count(later: int = 1) -> str:
    t, g, g_next, count, p_next = z3.Ints("t g g_next count p_next")
    premises = [t >= 0, g_next >= g, g_next <= g + 1, p_next == t + 1 - g_next, count == t - p_next + 1]
    return for_all(premises, count == (g_next if later else g), "rows p(t+1) … t: t - p(t+1) + 1 = g(t+1) of them")


def _largest(fall: int = 0) -> str:
    t, last, g, top = z3.Ints("t n g_t1 g_n")
    premises = [t >= 0, t < last, z3.Implies(t + 1 <= last, g <= top + fall)]
    return for_all(premises, g <= top, "g never decreases: the largest of g(1) … g(n) is g(n)")


def _slower(slope: int = 1) -> str:
    """``p`` is unbounded where ``g(t) ~ a t`` with ``a < 1``, or ``g`` is slower than ``t``."""
    c, x = sympy.symbols("c x", positive=True)
    part = slope * c / (1 + c)  # with slope 1 every number between 0 and 1
    for lag in (part * x, sympy.log(x), sympy.sqrt(x) * sympy.log(x), x / sympy.log(x)):
        left = sympy.limit(sympy.simplify(x - lag), x, sympy.oo)
        require(left == sympy.oo, f"t - {lag} tends to {left}")
    return "t - g(t) exceeds every bound for g ~ c/(1 + c)·t and for g slower than t; a finite f has a bounded g"


def _counted() -> str:
    patterns = [glm.Delayed(f) for f in (2**k, k**2 + 1, 2 * k + 1, [1, 4, 6], sympy.sqrt(n) * sympy.log(n), k**2 + 3)]
    for pattern in patterns:
        live = live_profile(glm.Mixer(recurrent=pattern), 400)[0].tolist()
        require(live == [pattern.lag(t + 1) for t in range(400)], f"{pattern!r} keeps other rows than its lag")
    return f"{len(patterns)} patterns keep g(t+1) rows after every step t < 400"


PROPOSITION = Proposition(
    number=19,
    title="Delayed rows",
    statement=(
        "Let g(0) = 0, 0 ≤ g(t+1) - g(t) ≤ 1 and t - g(t) unbounded. A pattern whose step t reads the one position "
        "t - g(t) where g(t) ≥ 1 has step cost 1 and, after step t, exactly g(t+1) live rows: cache g(n) at n."
    ),
    assumptions=("g(t) = #{k : f(k) ≤ t} for a strictly increasing f ≥ 1 is such a g (proposition 13)",),
    steps=(
        step("the position read stays or moves on by one", "smt", _moves),
        step("it never goes back", "smt", _order),
        step("it skips none", "smt", _none_skipped),
        step("which rows are live", "smt", _live),
        step("how many", "smt", _count),
        step("the largest number", "smt", _largest),
        step("lags slower than t", "symbolic", _slower),
        step("live rows counted", "enumeration", _counted, illustration=True),
    ),
    mutations={
        "the lag may rise by 2": lambda: _moves(rise=2),
        "the lag may fall": lambda: _moves(fall=1),
        "the position may go back": lambda: _order(fall=1),
        "the position may skip one": lambda: _none_skipped(move=2),
        "the position may stay for ever": lambda: _none_skipped(unbounded=False),
        "the step itself counts as later": lambda: _live(after=0),
        "g(t) rows after step t": lambda: _count(later=0),
        "a lag of 2c/(1 + c)·t": lambda: _slower(slope=2),
        "the lag may fall again": lambda: _largest(fall=1),
    },
    argument=(
        "after step t the rows read again are those from p(t+1) on: earlier ones are behind for good, later ones are "
        "met, none being skipped; their number g(t+1) never decreases"
    ),
)
