"""Proposition 14: a recurrence of order 2m - 1 composes permutations of m items."""

from __future__ import annotations

import random

import z3

from glmix_theory.expressivity import PermutationTracker, tracked_items
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _lags(order: int = -1) -> str:
    m, b, r, q = z3.Ints("m b r q")
    lag = (b * m + r) - ((b - 1) * m + q)
    return for_all(
        [m >= 1, b >= 1, r >= 0, r < m, q >= 0, q < m],
        z3.And(lag >= 1, lag <= 2 * m + order),
        "step bm + r reads (b-1)m + q at a lag between 1 and 2m - 1",
    )


def _composition(inverse_is_left: bool = True) -> str:
    integers = z3.IntSort()
    move, back = z3.Function("move", integers, integers), z3.Function("back", integers, integers)
    before, after = z3.Function("before", integers, integers), z3.Function("after", integers, integers)
    item, place = z3.Ints("i r")
    inverse = back(move(item)) == item if inverse_is_left else back(item) == move(item)
    rule = z3.ForAll([place], after(place) == before(back(place)))
    return for_all(
        [inverse, rule],
        after(move(item)) == before(item),
        "what was at i is at π(i) after the block: π acts, and blocks compose",
    )


def _barrington() -> str:
    chosen = random.Random(1)
    word = [tuple(chosen.sample(range(5), 5)) for _ in range(60)]
    tracker = PermutationTracker(word)
    places = list(range(5))  # place of each item
    for permutation in word:
        places = [permutation[place] for place in places]
    items = tracker.run().tolist()
    require([items.index(item) for item in range(5)] == places, "the mixer's product of permutations is wrong")
    require(tracked_items(tracker.mixer) == 5, "order 9 does not track five items")
    return (
        "Barrington 1989: the word problem of the non-solvable group S5 is NC¹-complete; m = 5 has order 9. "
        "A word of 60 permutations is multiplied by the mixer"
    )


PROPOSITION = Proposition(
    number=14,
    title="State tracking",
    statement=(
        "A recurrence of order 2m - 1 with one-hot, input-dependent β composes permutations of m items in one layer: "
        "y_(bm+r) = y_((b-1)m+π^-1(r)). For m = 5, order 9, it solves the NC¹-complete word problem of S5."
    ),
    assumptions=("one permutation is spelled over m positions", "Barrington's theorem for the last sentence"),
    steps=(
        step("the lags lie in 1 … 2m - 1", "smt", _lags),
        step("a block applies its permutation", "smt", _composition),
        step("the word problem of S5", "cited", _barrington),
    ),
    mutations={
        "order 2m - 2": lambda: _lags(order=-2),
        "π in the place of its inverse": lambda: _composition(inverse_is_left=False),
    },
)
