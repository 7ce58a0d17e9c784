"""Proposition 18: a step reads only rows that were live before it, so the cache bounds the step cost."""

from __future__ import annotations

import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step


def _live(wait: int = 1) -> str:
    """By the definition of *live*: existing after step ``c``, and read at a step beyond ``c``."""
    reads = z3.Function("reads", z3.IntSort(), z3.IntSort(), z3.BoolSort())
    t, s, u = z3.Ints("t s u")
    moment = t - wait

    def live(row: z3.ArithRef, after: z3.ArithRef) -> z3.BoolRef:
        return z3.And(row <= after, z3.Exists(u, z3.And(u > after, reads(u, row))))

    return for_all([s >= 0, s < t, reads(t, s)], live(s, moment), "a row s < t that step t reads is live after t - 1")


def _per_position(readout: bool, copies: int) -> str:
    """Terms at one position ``s < t`` against its live rows: ``x`` for the input, ``y`` for the output."""
    a, b, c, x, y = z3.Ints("a b c x y")
    bits = [z3.And(bit >= 0, bit <= 1) for bit in (a, b, c, x, y)]
    premises = [*bits, a <= x, b <= y, c <= y] + ([] if readout else [c == 0])
    what = "with a readout" if readout else "without"
    return for_all(
        premises, a + b + c <= copies * (x + y), f"{what}: at most {copies} terms per live row of a position"
    )


def _summed(copies: int, drop: int = 0) -> str:
    """Sums over the positions ``0 … m - 1``: induction on ``m``."""
    terms, rows, more_terms, more_rows = z3.Ints("terms rows terms_s rows_s")
    base = for_all([terms == 0, rows == 0], terms <= copies * rows, "m = 0")
    premises = [terms <= copies * rows, more_terms <= copies * more_rows + drop, more_terms >= 0, more_rows >= 0]
    grown = for_all(premises, terms + more_terms <= copies * (rows + more_rows), "m → m + 1")
    return f"{base}; {grown}"


def _bound(readout: bool, copies: int, own: int, strict: bool = True, positive: bool = True) -> str:
    """With the step's own position: ``A`` and ``C`` may read it, ``B`` may not; then the largest over ``t < n``."""
    cost, earlier, live, a, b, c, t, r, cache = z3.Ints("cost earlier live a b c t r cache")
    bits = [z3.And(bit >= 0, bit <= 1) for bit in (a, b, c)]
    premises = [*bits, earlier >= 0, live >= 0, t >= 0, r >= (1 if positive else 0), cache >= r * live, cache >= 0]
    premises += [earlier <= copies * live, z3.Implies(t == 0, earlier == 0), cost == earlier + a + b + c]
    premises += ([b == 0] if strict else []) + ([] if readout else [c == 0])
    what = "with a readout" if readout else "without a readout"
    return for_all(premises, cost <= copies * cache + own, f"{what}: step cost ≤ {copies}·cache + {own}")


def _attained() -> str:
    """Both bounds are equalities for bands, so neither can be sharpened."""
    for w in range(1, 7):
        band = glm.Lags(range(1, w + 1))
        plain = glm.Mixer(recurrent=band)
        read = glm.Mixer(recurrent=band, readout=glm.Window(w + 1))
        for n in (w + 1, w + 2, 50):
            values = [(m.step, m.cache) for m in (_counts(plain, n), _counts(read, n))]
            require(values == [(w + 1, w), (2 * w + 2, w)], f"w = {w}, n = {n}: step cost and cache are {values}")
    for f in (2**k, k**2 + 1):
        for pattern in (glm.CacheEfficient(f), glm.Offsets(f), glm.Delayed(f)):
            found = _counts(glm.Mixer(recurrent=pattern), 300)
            require(found.cache >= found.step - 1, f"{pattern!r}: {found}")
    return "equality for windows of 1 … 6 with and without a readout; six patterns obey it at n = 300"


class _counts:  # noqa: N801 – read as a function
    """Step cost and cache size at ``n``, as the toolkit has them."""

    def __init__(self, mixer: glm.Mixer, n: int) -> None:
        self.step = glm.complexity.step_cost(mixer).at(n)
        self.cache = glm.complexity.cache_size(mixer).at(n)

    def __repr__(self) -> str:
        return f"step cost {self.step}, cache {self.cache}"


PROPOSITION = Proposition(
    number=18,
    title="Step cost and cache",
    statement=(
        "At every n, step cost ≤ 2·cache + 2 for every mixer, and step cost ≤ cache + 1 without a readout. So a step "
        "cost Θ(T), T unbounded, needs a cache Ω(T); both bounds are attained."
    ),
    assumptions=(
        "patterns are causal and the recurrent one is strict",
        "the cache counts input rows once and output rows once, whether B or C reads them, each times r ≥ 1",
        "rows live after a step t - 1 < n count for the cache at n",
    ),
    steps=(
        step("what a step reads was live before it", "smt", _live),
        step("terms per live row, with a readout", "smt", lambda: _per_position(readout=True, copies=2)),
        step("terms per live row, without a readout", "smt", lambda: _per_position(readout=False, copies=1)),
        step("summed over positions, with a readout", "smt", lambda: _summed(copies=2)),
        step("summed over positions, without a readout", "smt", lambda: _summed(copies=1)),
        step("the bound with a readout", "smt", lambda: _bound(readout=True, copies=2, own=2)),
        step("the bound without a readout", "smt", lambda: _bound(readout=False, copies=1, own=1)),
        step("attained by windows", "enumeration", _attained, illustration=True),
    ),
    mutations={
        "live after the step itself": lambda: _live(wait=0),
        "one term per row in spite of a readout": lambda: _per_position(readout=True, copies=1),
        "a position may have a term more": lambda: _summed(copies=2, drop=1),
        "nothing added for the step's own row": lambda: _bound(readout=False, copies=1, own=0),
        "one term for the step's own rows": lambda: _bound(readout=True, copies=2, own=1),
        "the recurrence reads itself": lambda: _bound(readout=False, copies=1, own=1, strict=False),
        "no row per cached position": lambda: _bound(readout=False, copies=1, own=1, positive=False),
    },
    argument=(
        "after step t - 1 the rows that step t reads at positions s < t are live, so their number is at most cache/r; "
        "each carries at most one term, or two where B and C both read an output; the step's own position adds a "
        "direct and a readout term. The largest over t < n gives the claim"
    ),
)
