"""Proposition 12: the longest chain of dependent outputs."""

from __future__ import annotations

import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._blocks import matrices, same, times
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _level(smallest: int = 0, shift: int = 0) -> str:
    """``level(t) = ⌊t/m⌋ + 1`` by strong induction on ``t``, where ``t = q·m + r``.

    A source lies at lag ``m + extra``, and the one at lag ``m`` exists for ``t ≥ m``; ``smallest`` lets lags
    go below ``m``.
    """
    m, t, q, r, source, quotient, remainder = z3.Ints("m t q r s u v")
    divided = [m >= 1, t == q * m + r, r >= 0, r < m, t >= 0]
    base = for_all([*divided, t < m], q + 1 + shift == 1, "base t < m: no source, level 1 = ⌊t/m⌋ + 1")
    sources = [
        source >= 0,
        source <= t - m + smallest,
        source == quotient * m + remainder,
        remainder >= 0,
        remainder < m,
    ]
    upper = for_all([*divided, *sources], quotient + 1 <= q, "no source s ≤ t - m has a level above ⌊t/m⌋")
    exact = [source == t - m, source >= 0, source == quotient * m + remainder, remainder >= 0, remainder < m]
    lower = for_all([*divided, *exact], quotient + 1 == q, "the source t - m has level ⌊t/m⌋")
    return f"{base}; {upper}; {lower}"


def _largest(rounded: str = "up") -> str:
    """``⌊(n - 1)/m⌋ + 1 = ⌈n/m⌉``, and for ``m = 1`` it is ``n``."""
    m, n, q, r, c = z3.Ints("m n q r c")
    quotient = [m * (c - 1) < n, n <= m * c] if rounded == "up" else [m * c <= n, n < m * (c + 1)]
    premises = [m >= 1, n >= 1, n - 1 == q * m + r, r >= 0, r < m, *quotient]
    text = for_all(premises, c == q + 1, "⌊(n - 1)/m⌋ + 1 = ⌈n/m⌉")
    return f"{text}; {for_all([*premises, m == 1], c == n, 'for m = 1 it is n')}"


def _blocks(sign: int = 1) -> str:
    """Blocking: two blocks are solved one after the other, each by its own inverse, whatever lies inside."""
    B, C, R, S, E, A, F = matrices("B C R S E A F")  # R, S invert 1 - B, 1 - C; E couples, A and F are direct parts
    relations = {R * B: R - 1, B * R: R - 1, S * C: S - 1, C * S: S - 1}
    first = R * A
    second = S * (F + sign * E * first)
    product = times([[1 - B, 0], [-E, 1 - C]], [[first], [second]])
    text = same(product, [[A], [F]], relations, "two blocks")
    return (
        f"{text}: (1 - B)·[Y_1, Y_2] = [A_1, A_2] with Y_1 = R·A_1, Y_2 = S·(A_2 + E·Y_1); ⌈n/b⌉ block solves follow "
        "each other instead of n steps"
    )


def _counted() -> str:
    """The toolkit's depth, for smallest lags 1 … 6 and the cache-efficient pattern."""
    for m in range(1, 7):
        mixer = glm.Mixer(recurrent=glm.Lags([m, m + 2, 3 * m + 1]))
        levels: list[int] = []
        for t in range(200):
            levels.append(1 + max((levels[s] for s in mixer.recurrent.sources(t)), default=0))
            want = -(-(t + 1) // m)
            have = glm.analyze(mixer).depth.at(t + 1) if t in (0, 1, 57, 199) else max(levels)
            require(max(levels) == have == want, f"{mixer!r}: depth {max(levels)} at n = {t + 1}, not {want}")
    for f in (2**k, k**2 + 1):
        newest = all(t - 1 in glm.CacheEfficient(f).sources(t) for t in range(1, 300))
        require(newest, f"CacheEfficient({f}) does not always read t - 1")
    return "smallest lags 1 … 6 at n ≤ 200; cache-efficient patterns read t - 1 at every t < 300"


PROPOSITION = Proposition(
    number=12,
    title="Depth",
    statement=(
        "A recurrence whose smallest lag is f(0) = m, present at every t ≥ m, has depth ⌈n/m⌉; for f(0) = 1 that is n, "
        "so no schedule by levels runs two outputs at once, while b×b diagonal blocks leave ⌈n/b⌉ dependent solves."
    ),
    assumptions=(
        "level(t) = 1 + the largest level of its sources, 1 without sources; depth is the largest level of t < n",
        "translation-invariant patterns, and cache-efficient ones with f(0) = 1, which read t - 1 (proposition 7)",
    ),
    steps=(
        step("level(t) = ⌊t/m⌋ + 1", "smt", _level),
        step("the largest level below n is ⌈n/m⌉", "smt", _largest),
        step("blocks are solved one after the other", "symbolic", _blocks),
        step("the toolkit's depth", "enumeration", _counted, illustration=True),
    ),
    mutations={
        "depth ⌊n/m⌋": lambda: _largest(rounded="down"),
        "a lag below f(0)": lambda: _level(smallest=1),
        "level(t) = ⌊t/m⌋ + 2": lambda: _level(shift=1),
        "wrong sign between blocks": lambda: _blocks(sign=-1),
    },
    argument="strong induction on t, and levels ⌊t/m⌋ + 1 do not decrease with t, so the last one is the largest",
)
