"""Recurrences ``y_t = α_tt x_t + Σ β_ts y_s`` of order above one: the source paper's subject."""

from __future__ import annotations

import sympy

from glmix_theory.errors import check_length
from glmix_theory.mixers.entries.record import Citation, Entry, PaperValues
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import CacheEfficient, Dense, Diagonal, Lags, Offsets

SOURCE_PAPER = Citation(
    "Fagnou, Caillon, Delattre & Allauzen",
    2026,
    "Trading Complexity for Expressivity Through Structured Generalized Linear Token Mixing",
    arxiv="2605.31367",
)

_ONE = sympy.Integer(1)


def kth_order_recurrence(order: int = 4) -> Mixer:
    """Each output is its input plus a combination of the last ``order`` outputs.

    Claim: ``y_t = α_tt x_t + Σ_{1 ≤ j ≤ order} β_{t,t-j} y_{t-j}``; the cache is ``order`` rows and a
    step costs ``order + 1`` terms. Direct: the diagonal; recurrent: lags 1 to ``order``.

    Parameters
    ----------
    order : int
        How many past outputs each step reads, at least 1.

    Examples
    --------
    >>> kth_order_recurrence(order=2)
    Mixer(direct=Diagonal(), recurrent=Lags([1, 2]))

    Raises
    ------
    LengthError
        ``order < 1``.

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367; per channel, the H-LRU of Dubinin et al. 2026, arXiv:2602.12021.
    """
    lags = range(1, check_length(order, "order") + 1)
    return Mixer(direct=Diagonal(), recurrent=Lags(lags), name="kth_order_recurrence")


def dense_recurrence() -> Mixer:
    """Each output is its input plus a combination of all earlier outputs.

    Claim: ``y_t = α_tt x_t + Σ_{s<t} β_ts y_s``, that is ``M = (I-B)^{-1} A`` with ``A`` diagonal and
    ``B`` any strictly lower triangular matrix. Direct: the diagonal; recurrent: dense, strict.

    Examples
    --------
    >>> dense_recurrence()
    Mixer(direct=Diagonal(), recurrent=Dense().strict())

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367.
    """
    return Mixer(direct=Diagonal(), recurrent=Dense().strict(), name="dense_recurrence")


def exponential_recurrence() -> Mixer:
    """Each output reads the outputs 1, 2, 4, 8, … steps back.

    Claim: ``y_t = α_tt x_t + Σ_k β_{t,t-2^k} y_{t-2^k}``. Step cost Θ(log n); a lag ``m`` takes
    ``popcount(m)`` hops. Direct: the diagonal; recurrent: ``Offsets(2**k)``.

    Examples
    --------
    >>> exponential_recurrence().recurrent.sources(9)
    (1, 5, 7, 8)

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367.
    """
    return Mixer(direct=Diagonal(), recurrent=Offsets(2**k), name="exponential_recurrence")


def exponential_cache_efficient() -> Mixer:
    """The 2^k recurrence, rounded so that the cache is as small as the step cost.

    Claim: as :func:`exponential_recurrence`, with ``sources(t) ⊆ sources(t-1) ∪ {t-1}``; the cache is
    Θ(log n) rows. Direct: the diagonal; recurrent: ``CacheEfficient(2**k)``.

    Examples
    --------
    >>> exponential_cache_efficient().recurrent.sources(9)
    (3, 5, 7, 8)

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367.
    """
    return Mixer(direct=Diagonal(), recurrent=CacheEfficient(2**k), name="exponential_cache_efficient")


def quadratic_recurrence() -> Mixer:
    """Each output reads the outputs 1, 2, 5, 10, … (``k² + 1``) steps back.

    Claim: ``y_t = α_tt x_t + Σ_k β_{t,t-k²-1} y_{t-k²-1}``. Step cost Θ(√n); every lag takes at most 4
    hops (Lagrange). Direct: the diagonal; recurrent: ``Offsets(k**2 + 1)``.

    Examples
    --------
    >>> quadratic_recurrence().recurrent.sources(12)
    (2, 7, 10, 11)

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367.
    """
    return Mixer(direct=Diagonal(), recurrent=Offsets(k**2 + 1), name="quadratic_recurrence")


def quadratic_cache_efficient() -> Mixer:
    """The ``k² + 1`` recurrence, rounded so that the cache is as small as the step cost.

    Claim: as :func:`quadratic_recurrence`, with ``sources(t) ⊆ sources(t-1) ∪ {t-1}``; the cache is
    Θ(√n) rows. Direct: the diagonal; recurrent: ``CacheEfficient(k**2 + 1)``.

    Examples
    --------
    >>> quadratic_cache_efficient().recurrent.sources(12)
    (5, 8, 10, 11)

    References
    ----------
    Fagnou et al. 2026, arXiv:2605.31367.
    """
    return Mixer(direct=Diagonal(), recurrent=CacheEfficient(k**2 + 1), name="quadratic_cache_efficient")


ENTRIES = (
    Entry(
        name="kth_order_recurrence",
        title="k-th order recurrence",
        build=kth_order_recurrence,
        citation=SOURCE_PAPER,
        published={"step_cost": _ONE, "cache_size": _ONE, "distance": n, "congestion": n},
        table1=3,
        paper_values=PaperValues("Θ(k)", "Θ(k)", "⌈(n-1)/k⌉", "n/k up to rounding", 74.66, 41.12, 39.08),
    ),
    Entry(
        name="dense_recurrence",
        title="Dense recurrence",
        build=dense_recurrence,
        citation=SOURCE_PAPER,
        published={"step_cost": n, "cache_size": n, "distance": _ONE, "congestion": _ONE},
        table1=4,
        paper_values=PaperValues("Θ(n)", "Θ(n)", "1", "1", 100.0, 99.99, 99.80),
    ),
    Entry(
        name="exponential_recurrence",
        title="2^k recurrence",
        build=exponential_recurrence,
        citation=SOURCE_PAPER,
        published={
            "step_cost": sympy.log(n),
            "cache_size": n,
            "distance": sympy.log(n),
            "congestion": sympy.log(n),
        },
        table1=5,
        paper_values=PaperValues("Θ(log n)", "Θ(n)", "⌊log2 n⌋", "≤ popcount(n)", 92.63, 49.03, 34.85),
    ),
    Entry(
        name="exponential_cache_efficient",
        title="2^k recurrence, cache-efficient",
        build=exponential_cache_efficient,
        citation=SOURCE_PAPER,
        published={"step_cost": sympy.log(n), "cache_size": sympy.log(n)},
        table1=6,
        paper_values=PaperValues("Θ(log n)", "Θ(log n)", None, None, 75.47, 52.59, 38.63),
    ),
    Entry(
        name="quadratic_recurrence",
        title="k²+1 recurrence",
        build=quadratic_recurrence,
        citation=SOURCE_PAPER,
        published={"step_cost": sympy.sqrt(n), "cache_size": n, "distance": _ONE, "congestion": _ONE},
        table1=7,
        paper_values=PaperValues("Θ(√n)", "Θ(n)", "≤ 4", "≤ 4", 99.66, 53.61, 35.68),
    ),
    Entry(
        name="quadratic_cache_efficient",
        title="k²+1 recurrence, cache-efficient",
        build=quadratic_cache_efficient,
        citation=SOURCE_PAPER,
        published={"step_cost": sympy.sqrt(n), "cache_size": sympy.sqrt(n)},
        table1=8,
        paper_values=PaperValues("Θ(√n)", "Θ(√n)", None, None, 91.59, 54.56, 38.02),
    ),
)
