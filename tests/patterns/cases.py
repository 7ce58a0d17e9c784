"""Named patterns with their brute-force definitions: one at least per family, checked by every test here."""

from __future__ import annotations

import sympy

import glmix_theory as glm
from glmix_theory import k, n
from tests import brute_force as brute
from tests.strategies import FORMULAS, MOVING_ON, Drawn

RANDOM_EDGES = [(t, s) for t in range(0, 240, 5) for s in (t * t % (t + 1), t // 2, t - t % 5)]


def _some_pairs(t: int, s: int) -> bool:
    return (t * s + t) % 3 == 1


FAMILIES: dict[str, Drawn] = {
    "empty": Drawn(glm.Empty(), brute.empty()),
    "diagonal": Drawn(glm.Diagonal(), brute.diagonal()),
    "dense": Drawn(glm.Dense(), brute.dense()),
    "lags": Drawn(glm.Lags([5, 0, 2, 5, 40]), brute.lags([0, 2, 5, 40])),
    "lags, contiguous": Drawn(glm.Lags([3, 4, 5]), brute.lags([3, 4, 5])),
    "lags, none": Drawn(glm.Lags([]), brute.lags([])),
    "window 1": Drawn(glm.Window(1), brute.window(1)),
    "window 9": Drawn(glm.Window(9), brute.window(9)),
    "strided 1": Drawn(glm.Strided(1), brute.strided(1)),
    "strided 7": Drawn(glm.Strided(7), brute.strided(7)),
    "blocks 1": Drawn(glm.Blocks(1), brute.blocks(1)),
    "blocks 6": Drawn(glm.Blocks(6), brute.blocks(6)),
    "global tokens": Drawn(glm.GlobalTokens(4), brute.global_tokens(4)),
    "fenwick": Drawn(glm.Fenwick(), brute.fenwick()),
    "fenwick prefix": Drawn(glm.FenwickPrefix(), brute.fenwick_prefix()),
    "explicit": Drawn(glm.Explicit(RANDOM_EDGES), brute.explicit(RANDOM_EDGES)),
    "explicit, none": Drawn(glm.Explicit([]), brute.empty()),
    "predicate": Drawn(glm.Predicate(_some_pairs), brute.membership(_some_pairs)),
    "offsets of a list": Drawn(glm.Offsets([1, 4, 6, 50]), brute.offsets([1, 4, 6, 50])),
    "offsets of no list": Drawn(glm.Offsets([]), brute.empty()),
    "offsets of a callable": Drawn(glm.Offsets(lambda j: j**2 + 2), brute.offsets(lambda j: j**2 + 2)),
    "delayed by a list": Drawn(glm.Delayed([1, 4, 6, 50]), brute.delayed([1, 4, 6, 50])),
    "delayed by √n": Drawn(glm.Delayed(sympy.sqrt(n)), brute.delayed(lambda j: j * j + 1)),
    "cache-efficient list": Drawn(
        glm.CacheEfficient([1, 3, 4, 9, 10, 30]), brute.cache_efficient([1, 3, 4, 9, 10, 30])
    ),
    **{f"offsets of {f}": Drawn(glm.Offsets(f), brute.offsets(g)) for f, g in FORMULAS.items()},
    **{f"delayed by {f}": Drawn(glm.Delayed(f), brute.delayed(g)) for f, g in MOVING_ON.items()},
    **{
        f"cache-efficient {f}": Drawn(glm.CacheEfficient(f), brute.cache_efficient(g))
        for f, g in FORMULAS.items()
        if g(0) == 1
    },
}
"""Every family whose future is known exactly, except the predicate."""


def _powers() -> brute.Reference:
    return brute.offsets(lambda j: 2**j)


def _squares() -> brute.Reference:
    return brute.offsets(lambda j: j * j + 1)


LAG_OPERATIONS: dict[str, Drawn] = {
    "window | lags": Drawn(glm.Window(4) | glm.Lags([3, 9, 30]), brute.union(brute.window(4), brute.lags([3, 9, 30]))),
    "2^k | window": Drawn(glm.Offsets(2**k) | glm.Window(5), brute.union(_powers(), brute.window(5))),
    "window | k²+1": Drawn(glm.Window(3) | glm.Offsets(k**2 + 1), brute.union(brute.window(3), _squares())),
    "2^k | k²+1": Drawn(glm.Offsets(2**k) | glm.Offsets(k**2 + 1), brute.union(_powers(), _squares())),
    "dense - window": Drawn(glm.Dense() - glm.Window(6), brute.difference(brute.dense(), brute.window(6))),
    "k²+1 - lags": Drawn(
        glm.Offsets(k**2 + 1) - glm.Lags([1, 3, 10]), brute.difference(_squares(), brute.lags([1, 3, 10]))
    ),
    "window - 2^k": Drawn(glm.Window(20) - glm.Offsets(2**k), brute.difference(brute.window(20), _powers())),
    "k²+1 - 2^k": Drawn(glm.Offsets(k**2 + 1) - glm.Offsets(2**k), brute.difference(_squares(), _powers())),
    "k²+1 - dense": Drawn(glm.Offsets(k**2 + 1) - glm.Dense(), brute.empty()),
    "k²+1 & dense shifted": Drawn(
        glm.Offsets(k**2 + 1) & glm.Dense().shift(12),
        brute.intersection(_squares(), brute.shift(brute.dense(), 12)),
    ),
    "2^k & k²+1": Drawn(glm.Offsets(2**k) & glm.Offsets(k**2 + 1), brute.intersection(_powers(), _squares())),
    "window & strided": Drawn(glm.Window(30) & glm.Strided(4), brute.intersection(brute.window(30), brute.strided(4))),
    "2^k shifted": Drawn(glm.Offsets(2**k).shift(7), brute.shift(_powers(), 7)),
    "k²+1 shifted": Drawn(glm.Offsets(k**2 + 1).shift(1), brute.shift(_squares(), 1)),
    "strided shifted": Drawn(glm.Strided(5).shift(3), brute.shift(brute.strided(5), 3)),
    "(window | 2^k) shifted": Drawn(
        (glm.Window(3) | glm.Offsets(2**k)).shift(4), brute.shift(brute.union(brute.window(3), _powers()), 4)
    ),
    "dense strict": Drawn(glm.Dense().strict(), brute.strict(brute.dense())),
    "strided strict": Drawn(glm.Strided(3).strict(), brute.strict(brute.strided(3))),
    "(strided | 2^k) strict": Drawn(
        (glm.Strided(10) | glm.Offsets(2**k)).strict(), brute.strict(brute.union(brute.strided(10), _powers()))
    ),
    "2^k @ window": Drawn(glm.Offsets(2**k) @ glm.Window(2), brute.composition(_powers(), brute.window(2))),
    "lags @ lags": Drawn(
        glm.Lags([1, 5]) @ glm.Lags([0, 7]), brute.composition(brute.lags([1, 5]), brute.lags([0, 7]))
    ),
    "2^k blocked 1": Drawn(glm.Offsets(2**k).blocked(1), _powers()),
}
"""Operations on translation-invariant families that are translation-invariant again."""


OPERATIONS: dict[str, Drawn] = {
    **LAG_OPERATIONS,
    "blocks | 2^k": Drawn(glm.Blocks(5) | glm.Offsets(2**k), brute.union(brute.blocks(5), _powers())),
    "blocks & strided": Drawn(glm.Blocks(9) & glm.Strided(2), brute.intersection(brute.blocks(9), brute.strided(2))),
    "dense - blocks": Drawn(glm.Dense() - glm.Blocks(8), brute.difference(brute.dense(), brute.blocks(8))),
    "globals - later globals": Drawn(
        glm.GlobalTokens(3) - glm.GlobalTokens(3).shift(9),
        brute.difference(brute.global_tokens(3), brute.shift(brute.global_tokens(3), 9)),
    ),
    "globals shifted": Drawn(glm.GlobalTokens(2).shift(5), brute.shift(brute.global_tokens(2), 5)),
    "blocks @ fenwick": Drawn(glm.Blocks(4) @ glm.Fenwick(), brute.composition(brute.blocks(4), brute.fenwick())),
    "(blocks @ blocks) shifted": Drawn(
        (glm.Blocks(4) @ glm.Blocks(6)).shift(5),
        brute.shift(brute.composition(brute.blocks(4), brute.blocks(6)), 5),
    ),
    "2^k slots | delayed": Drawn(
        glm.CacheEfficient(2**k) | glm.Delayed(k**2 + 1),
        brute.union(brute.cache_efficient(lambda j: 2**j), brute.delayed(lambda j: j * j + 1)),
    ),
    "delayed | 2^k": Drawn(
        glm.Delayed(k**2 + 1) | glm.Offsets(2**k), brute.union(brute.delayed(lambda j: j * j + 1), _powers())
    ),
    "lags | delayed": Drawn(
        glm.Lags([1, 2, 3]) | glm.Delayed(2**k), brute.union(brute.lags([1, 2, 3]), brute.delayed(lambda j: 2**j))
    ),
    "delayed blocked": Drawn(glm.Delayed(2**k).blocked(3), brute.blocked(brute.delayed(lambda j: 2**j), 3)),
    "cache-efficient strict": Drawn(glm.CacheEfficient(2**k).strict(), brute.cache_efficient(lambda j: 2**j)),
    "cache-efficient blocked": Drawn(
        glm.CacheEfficient(2**k).blocked(3), brute.blocked(brute.cache_efficient(lambda j: 2**j), 3)
    ),
    "2^k blocked 4": Drawn(glm.Offsets(2**k).blocked(4), brute.blocked(_powers(), 4)),
    "explicit shifted": Drawn(glm.Explicit(RANDOM_EDGES).shift(11), brute.shift(brute.explicit(RANDOM_EDGES), 11)),
    "globals blocked strict": Drawn(
        glm.GlobalTokens(2).blocked(3).strict(), brute.strict(brute.blocked(brute.global_tokens(2), 3))
    ),
}
"""Operations of every kind."""

CASES: dict[str, Drawn] = {**FAMILIES, **OPERATIONS}
"""Everything, by a readable name."""
