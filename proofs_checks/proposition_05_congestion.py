"""Proposition 5: congestion is at most the distance of the copied lag, and at least pairs over any cut."""

from __future__ import annotations

import z3

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.expressivity import CertificateError, Cut, copy
from glmix_theory.expressivity.routing import shortest_by_lag
from proofs_checks._smt import for_all, impossible
from proofs_checks.framework import ProofFailure, Proposition, require, step


def _same_steps(last: int = 0) -> str:
    """With partial sums ``0 = o_0 < … < o_h = n`` output ``p`` is the m-th of path ``p - o_m`` only."""
    p, n, first, second, offset = z3.Ints("p n t u o")
    one = for_all(
        [p == first + offset, p == second + offset], first == second, "at most one path has p as its m-th output"
    )
    both = impossible(
        [p >= 0, p < n + last, p - n >= 0, n >= 1],
        "p is not the first output of one path (p < n) and the last of another (p ≥ n)",
    )
    return f"{one}; {both}: of the h + 1 places at most h occur, so at most h paths meet p"


def _cut(slack: int = 0) -> str:
    load, congestion, nodes, pairs = z3.Ints("L C c n")
    return for_all(
        [nodes >= 1, congestion >= 0, load >= pairs - slack, load <= congestion * nodes],
        congestion * nodes >= pairs,
        "every path meets the cut: n ≤ Σ load ≤ C·|cut|, so C ≥ ⌈n/|cut|⌉",
    )


def _counting() -> str:
    congestion, hops, n = z3.Ints("C h n")
    return for_all(
        [n >= 1, hops >= 1, n * (hops + 1) <= congestion * 2 * n],
        2 * congestion >= hops + 1,
        "n paths of h + 1 outputs share 2n outputs: C ≥ ⌈(h + 1)/2⌉",
    )


def _counted(missing: int = 0) -> str:
    for f in (2**k, k**2 + 1, 3**k):
        mixer = glm.Mixer(recurrent=glm.Offsets(f))
        for n in range(1, 60):
            routing = shortest_by_lag(mixer, copy(n))
            hops = next(iter(routing.paths)).hops
            require(routing.check() <= hops, f"{f}: {routing.bound} paths, {hops} hops at n = {n}")
    sparse = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
    nodes = sorted(("y", s) for s in sparse.recurrent.sources(40))[missing:]
    try:
        bound = Cut(sparse, copy(40), frozenset(nodes), tuple(range(40))).check()
    except CertificateError as error:
        raise ProofFailure(str(error)) from error
    return f"same-steps routings of 2^k, k² + 1, 3^k for n < 60; a cut of {len(nodes)} rows gives {bound} at n = 40"


PROPOSITION = Proposition(
    number=5,
    title="Congestion",
    statement=(
        "Copying n tokens by a translation-invariant recurrence has congestion at most the hops h of "
        "lag n, and at least "
        "⌈(h + 1)/2⌉. For any pattern it is at least ⌈pairs/|S|⌉ for every vertex set S that meets all "
        "paths of those pairs."
    ),
    assumptions=("the direct part of the translation-invariant mixer is the diagonal", "endpoints count"),
    steps=(
        step("the same steps for every pair", "smt", _same_steps),
        step("every cut bounds the congestion", "smt", _cut),
        step("equal weights on all outputs", "smt", _counting),
        step("the toolkit's routings and cuts", "enumeration", _counted, illustration=True),
    ),
    mutations={
        "first and last output may coincide": lambda: _same_steps(last=1),
        "one path avoids the cut": lambda: _cut(slack=1),
        "a cut with a row left out": lambda: _counted(missing=1),
    },
)
