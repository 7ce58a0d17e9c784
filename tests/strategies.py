"""Hypothesis strategies that draw a pattern together with its brute-force definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import sympy
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from tests import brute_force

FORMULAS: dict[sympy.Expr, Callable[[int], int]] = {
    2**k: lambda j: 2**j,
    k**2 + 1: lambda j: j * j + 1,
    k + 1: lambda j: j + 1,
    2 * k + 1: lambda j: 2 * j + 1,
    k * (k + 1) / 2 + 1: lambda j: j * (j + 1) // 2 + 1,
    3**k: lambda j: 3**j,
    k**3 + 1: lambda j: j**3 + 1,
    k**2 + k + 1: lambda j: j * j + j + 1,
    2**k + k: lambda j: 2**j + j,
    sympy.floor(3 * k / 2) + 1: lambda j: 3 * j // 2 + 1,
    k + 4: lambda j: j + 4,
    3 * 2**k: lambda j: 3 * 2**j,
    2 * k**2 + 3: lambda j: 2 * j * j + 3,
    sympy.factorial(k + 1): lambda j: math.factorial(j + 1),
}
"""Index functions and the same functions in plain Python."""

MOVING_ON = {f: g for f, g in FORMULAS.items() if g(9) - g(8) > 1 or g(10) - g(9) > 1}
"""Those with gaps above 1 for ever: ``Delayed(f)`` leaves every position behind."""


@dataclass(frozen=True)
class Drawn:
    """A pattern and its brute-force definition; fails print as the pattern."""

    pattern: glm.Pattern
    reference: brute_force.Reference

    def __repr__(self) -> str:
        return repr(self.pattern)


def increasing_lists(first: int | None = None, largest_gap: int = 9) -> st.SearchStrategy[list[int]]:
    """Strictly increasing lists of positive integers, starting with ``first`` if given."""

    def accumulate(gaps: list[int]) -> list[int]:
        values = [first] if first is not None else []
        for gap in gaps:
            values.append((values[-1] if values else 0) + gap)
        return values

    gaps = st.lists(st.integers(1, largest_gap), min_size=0 if first else 1, max_size=7)
    return gaps.map(accumulate)


def formulas() -> st.SearchStrategy[tuple[sympy.Expr, Callable[[int], int]]]:
    """An index function as a formula, with the same function in plain Python."""
    return st.sampled_from(list(FORMULAS.items()))


def formulas_from_one() -> st.SearchStrategy[tuple[sympy.Expr, Callable[[int], int]]]:
    """Those with ``f(0) = 1``."""
    return st.sampled_from([item for item in FORMULAS.items() if item[1](0) == 1])


def edges(largest: int = 40) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Causal pairs ``(t, s)``."""
    pair = st.integers(0, largest).flatmap(lambda t: st.tuples(st.just(t), st.integers(0, t)))
    return st.lists(pair, max_size=30)


def translation_invariant() -> st.SearchStrategy[Drawn]:
    """Families given by their lags."""
    small = st.integers(1, 7)
    lags = st.lists(st.integers(0, 20), max_size=5)
    return st.one_of(
        increasing_lists().map(lambda f: Drawn(glm.Offsets(f), brute_force.offsets(f))),
        formulas().map(lambda f: Drawn(glm.Offsets(f[0]), brute_force.offsets(f[1]))),
        formulas().map(lambda f: Drawn(glm.Offsets(f[1]), brute_force.offsets(f[1]))),
        lags.map(lambda members: Drawn(glm.Lags(members), brute_force.lags(members))),
        small.map(lambda w: Drawn(glm.Window(w), brute_force.window(w))),
        small.map(lambda s: Drawn(glm.Strided(s), brute_force.strided(s))),
        st.builds(lambda: Drawn(glm.Empty(), brute_force.empty())),
        st.builds(lambda: Drawn(glm.Diagonal(), brute_force.diagonal())),
        st.builds(lambda: Drawn(glm.Dense(), brute_force.dense())),
    )


def cache_efficient() -> st.SearchStrategy[Drawn]:
    """``CacheEfficient`` of random lists and of formulas with ``f(0) = 1``."""
    lists = increasing_lists(first=1)
    return st.one_of(
        lists.map(lambda f: Drawn(glm.CacheEfficient(f), brute_force.cache_efficient(f))),
        formulas_from_one().map(lambda f: Drawn(glm.CacheEfficient(f[0]), brute_force.cache_efficient(f[1]))),
    )


def delayed() -> st.SearchStrategy[Drawn]:
    """``Delayed`` of random lists and formulas; lags of about ``n/2`` wait too long to look ahead for."""
    quick = [(f, g) for f, g in MOVING_ON.items() if g(10) > 50]
    return st.one_of(
        increasing_lists().map(lambda f: Drawn(glm.Delayed(f), brute_force.delayed(f))),
        st.sampled_from(quick).map(lambda f: Drawn(glm.Delayed(f[0]), brute_force.delayed(f[1]))),
        st.sampled_from(quick).map(lambda f: Drawn(glm.Delayed(f[1]), brute_force.delayed(f[1]))),
    )


def families() -> st.SearchStrategy[Drawn]:
    """Any family, without operations."""
    small = st.integers(1, 7)
    return st.one_of(
        translation_invariant(),
        cache_efficient(),
        delayed(),
        small.map(lambda b: Drawn(glm.Blocks(b), brute_force.blocks(b))),
        small.map(lambda g: Drawn(glm.GlobalTokens(g), brute_force.global_tokens(g))),
        st.builds(lambda: Drawn(glm.Fenwick(), brute_force.fenwick())),
        st.builds(lambda: Drawn(glm.FenwickPrefix(), brute_force.fenwick_prefix())),
        edges().map(lambda pairs: Drawn(glm.Explicit(pairs), brute_force.explicit(pairs))),
    )


def _combined(leaves: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    pairs = st.tuples(leaves, leaves)
    return st.one_of(
        pairs.map(lambda two: Drawn(two[0].pattern | two[1].pattern, _reference("union", *two))),
        pairs.map(lambda two: Drawn(two[0].pattern & two[1].pattern, _reference("intersection", *two))),
        pairs.map(lambda two: Drawn(two[0].pattern - two[1].pattern, _reference("difference", *two))),
        pairs.map(lambda two: Drawn(two[0].pattern @ two[1].pattern, _reference("composition", *two))),
        leaves.map(lambda one: Drawn(one.pattern.strict(), brute_force.strict(one.reference))),
        st.tuples(leaves, st.integers(0, 9)).map(
            lambda two: Drawn(two[0].pattern.shift(two[1]), brute_force.shift(two[0].reference, two[1]))
        ),
        st.tuples(leaves, st.integers(1, 4)).map(
            lambda two: Drawn(two[0].pattern.blocked(two[1]), brute_force.blocked(two[0].reference, two[1]))
        ),
    )


def _reference(operation: str, left: Drawn, right: Drawn) -> brute_force.Reference:
    return getattr(brute_force, operation)(left.reference, right.reference)


def patterns(max_leaves: int = 4) -> st.SearchStrategy[Drawn]:
    """Any family under any nesting of operations."""
    return st.recursive(families(), _combined, max_leaves=max_leaves)


def lag_patterns(max_leaves: int = 4) -> st.SearchStrategy[Drawn]:
    """Translation-invariant families under union, intersection, difference, two hops, shift, strict."""
    return st.recursive(translation_invariant(), _combined, max_leaves=max_leaves).filter(
        lambda drawn: drawn.pattern.lag_set is not None
    )


@dataclass(frozen=True)
class DrawnMixer:
    """A mixer and the brute-force definitions of its parts, by the rows they read."""

    mixer: glm.Mixer
    reads: dict[str, list[brute_force.Reference]]

    def __repr__(self) -> str:
        return repr(self.mixer)


def mixers(max_leaves: int = 3) -> st.SearchStrategy[DrawnMixer]:
    """Mixers of drawn patterns; the recurrent part is made strict, the readout may be absent."""

    def build(direct: Drawn, recurrent: Drawn, readout: Drawn | None, state: int) -> DrawnMixer:
        mixer = glm.Mixer(
            direct.pattern, recurrent.pattern.strict(), None if readout is None else readout.pattern, state=state
        )
        outputs = [brute_force.strict(recurrent.reference)]
        if readout is not None:
            outputs.append(readout.reference)
        return DrawnMixer(mixer, {"input": [direct.reference], "output": outputs})

    part = patterns(max_leaves)
    return st.builds(build, part, part, st.none() | part, st.integers(1, 3))
