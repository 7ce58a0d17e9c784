"""Resolvents ``(I - γA)^{-1}``: attention or a graph, followed along paths of every length."""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from glmix_theory.errors import check_length
from glmix_theory.mixers.entries.record import Citation, Entry
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import Blocks, Dense, Diagonal, Explicit, Lags, Strided

_ONE = sympy.Integer(1)


def chacal() -> Mixer:
    """ChaCAL: softmax attention followed along chains of every length, discounted by γ per link.

    Claim: ``Y = (1-γ) A (I - γA)^{-1} V``, ``A`` a causal softmax matrix with its diagonal and
    ``0 ≤ γ < 1``. With ``D = diag(1 - γA_tt)``: direct ``(1-γ) D^{-1} A``, recurrent ``γ D^{-1} A_strict``,
    and every joint row sums to 1. Direct: dense; recurrent: dense, strict.

    Examples
    --------
    >>> chacal()
    Mixer(direct=Dense(), recurrent=Dense().strict(), coefficients='chacal')

    References
    ----------
    Fagnou et al. 2024, arXiv:2410.05565.
    """
    return Mixer(direct=Dense(), recurrent=Dense().strict(), coefficients="chacal", name="chacal")


def chacal_strict() -> Mixer:
    """ChaCAL without the diagonal inside the inverse: chains of distinct tokens, then one attention.

    Claim: ``Y = (1-γ) A (I - γA_strict)^{-1} V``; another mixer than :func:`chacal`, since ``A`` and
    ``A_strict`` do not commute. ``A`` comes last, so it is a readout: direct ``1-γ`` on the diagonal,
    recurrent ``γ A_strict``, readout ``A``. Direct: the diagonal; recurrent: dense, strict; readout:
    dense.

    Examples
    --------
    >>> chacal_strict()
    Mixer(direct=Diagonal(), recurrent=Dense().strict(), readout=Dense(), coefficients='chacal')

    References
    ----------
    Fagnou et al. 2024, arXiv:2410.05565.
    """
    return Mixer(
        direct=Diagonal(),
        recurrent=Dense().strict(),
        readout=Dense(),
        coefficients="chacal",
        name="chacal_strict",
    )


def block_chacal(block: int = 16) -> Mixer:
    """Block-ChaCAL: the resolvent exact inside blocks, and a reduced system between them.

    Claim: ``Y = (1-γ) A (I - γA)^{-1} V`` with ``A`` a softmax over a block-sparse pattern ``P``: every
    position reads its own block up to itself and the last position before the block; the last position
    of a block also reads the last position of every earlier block. Direct and recurrent part have about
    ``n·block/2 + n + (n/block)²/2`` terms each, the published ``Θ(n^{4/3})`` at ``block = n^{1/3}``. The
    publication works with a down-sampled system between blocks; here the summary of a block is the output
    at its last position, as causal decoding needs, which is this project's choice. Direct: ``P`` with
    the diagonal; recurrent: ``P`` without.

    Parameters
    ----------
    block : int
        Block length, at least 1.

    Examples
    --------
    >>> mixer = block_chacal(block=4)
    >>> mixer.recurrent.sources(10), mixer.recurrent.sources(11)
    ((7, 8, 9), (3, 7, 8, 9, 10))

    References
    ----------
    Zhao, Caillon, Fagnou & Allauzen 2026, arXiv:2605.22476.
    """
    check_length(block, "block")
    enter = Lags([1]) - Blocks(block)  # from the first position of a block to the last one before it
    between_ends = Strided(block) & (Dense() @ enter)  # both positions are the last of their block
    between = Blocks(block) @ enter | between_ends
    return Mixer(
        direct=Blocks(block) | between,
        recurrent=Blocks(block).strict() | between,
        coefficients="chacal",
        name="block_chacal",
    )


def chimera(edges: Iterable[tuple[int, int]] | None = None, state: int = 16) -> Mixer:
    """Chimera on a directed acyclic graph: a state space model along the graph's paths.

    Claim: ``Y = ((I - G)^{-1} ⊙ Q Kᵀ) V`` with ``G`` the weighted adjacency matrix of the graph, its
    nodes in topological order: ``S_t = Σ_{s→t} G_ts S_s + k_t v_tᵀ``, ``y_tᵀ = q_tᵀ S_t``. On a line it
    is Mamba-2. Direct: the diagonal, a column per input (``k_t``); recurrent: the graph, one number per
    edge; readout: the diagonal (``q_t``).

    Parameters
    ----------
    edges : iterable of pairs of ints, optional
        ``(t, s)`` with ``s < t`` for every edge ``s → t``. Default: a 4 × 4 grid in reading order, where
        every pixel reads its left and its upper neighbour. The graph is finite: later positions read
        nothing.
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> chimera().recurrent.sources(5), chimera().recurrent.sources(4)
    ((1, 4), (0,))
    >>> chimera(edges=[(1, 0), (2, 0), (3, 1), (3, 2)], state=4).recurrent.sources(3)
    (1, 2)

    References
    ----------
    Lahoti et al. 2025, arXiv:2510.12111.
    """
    return Mixer(
        direct=Diagonal(),
        recurrent=Explicit(grid_edges(4, 4) if edges is None else edges),
        readout=Diagonal(),
        coefficients="gated",
        state=state,
        name="chimera",
    )


def grid_edges(height: int, width: int) -> list[tuple[int, int]]:
    """Pairs ``(t, s)`` of a grid in reading order: ``s`` is the left or the upper neighbour of ``t``.

    >>> grid_edges(2, 2)
    [(1, 0), (2, 0), (3, 2), (3, 1)]
    """
    left = [(t, t - 1) for t in range(height * width) if t % width]
    upper = [(t, t - width) for t in range(width, height * width)]
    return sorted(left + upper, key=lambda edge: (edge[0], -edge[1]))


_CHACAL = Citation(
    "Fagnou, Caillon, Delattre & Allauzen",
    2024,
    "Chain and Causal Attention for Efficient Entity Tracking",
    arxiv="2410.05565",
)

ENTRIES = (
    Entry(
        name="chacal",
        title="ChaCAL",
        build=chacal,
        citation=_CHACAL,
        published={"step_cost": n, "total_cost": n**2, "cache_size": n, "distance": _ONE},
    ),
    Entry(
        name="chacal_strict",
        title="ChaCAL, strict inverse",
        build=chacal_strict,
        citation=_CHACAL,
        published={"step_cost": n, "total_cost": n**2, "cache_size": n, "distance": _ONE},
    ),
    Entry(
        name="block_chacal",
        title="Block-ChaCAL",
        build=block_chacal,
        citation=Citation(
            "Zhao, Caillon, Fagnou & Allauzen",
            2026,
            "Structured-Sparse Attention for Entity Tracking with Subquadratic Sequence Complexity",
            arxiv="2605.22476",
        ),
        published={"total_cost": n**2},
    ),
    Entry(
        name="chimera",
        title="Chimera on a 4 × 4 grid",
        build=chimera,
        citation=Citation(
            "Lahoti, Marwah, Puduppully & Gu",
            2025,
            "Chimera: State Space Models Beyond Sequences",
            arxiv="2510.12111",
        ),
        published={"step_cost": _ONE, "total_cost": n},
    ),
)
