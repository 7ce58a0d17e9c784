"""State space models: first-order recurrences with a scalar or diagonal decay."""

from __future__ import annotations

import sympy

from glmix_theory.errors import check_length
from glmix_theory.mixers.entries.record import Citation, Entry, PaperValues
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import Diagonal, Lags

_ONE = sympy.Integer(1)


def diagonal_ssm() -> Mixer:
    """A first-order recurrence: each output is its input plus a gated copy of the output before.

    Claim: ``y_t = α_tt x_t + β_{t,t-1} y_{t-1}``, so ``M[t, s] = α_ss Π_{s<u≤t} β_{u,u-1}``: one channel
    of a diagonal state space model. Direct: the diagonal; recurrent: lag 1.

    Examples
    --------
    >>> diagonal_ssm()
    Mixer(direct=Diagonal(), recurrent=Lags([1]), coefficients='gated')

    References
    ----------
    Gupta, Gu & Berant 2022, arXiv:2203.14343.
    """
    return Mixer(direct=Diagonal(), recurrent=Lags([1]), coefficients="gated", name="diagonal_ssm")


def s4d(pairs: int = 8) -> Mixer:
    """S4D: a time-invariant state space model per channel, its complex state matrix diagonal.

    Claim: ``h_t = Λ h_{t-1} + b x_t``, ``y_t = 2 Re(c·h_t)``, ``Λ = exp(ΔA)`` diagonal with one entry of
    every conjugate pair, so ``M[t, s] = 2 Re Σ_j c_j λ_j^{t-s} b_j``. Over the reals a pair
    ``λ = a + ib`` is two state rows and the 2 × 2 block ``[[a, -b], [b, a]]``. The skip term ``D x_t`` is
    left to the layer. Direct: the diagonal, a column per input (``b``); recurrent: lag 1; readout: the
    diagonal, a row per output (``c``).

    Parameters
    ----------
    pairs : int
        Conjugate pairs per channel, at least 1; the state is twice as many rows (32 pairs in the paper).

    Examples
    --------
    >>> s4d(pairs=2).state
    4

    References
    ----------
    Gu, Gupta, Goel & Ré 2022, arXiv:2206.11893.
    """
    return _state_space("s4d", 2 * check_length(pairs, "pairs"), coefficients="fixed")


def s5() -> Mixer:
    """S5, one complex channel of its state: a time-invariant first-order recurrence, projected outside.

    Claim: ``h_t = Λ h_{t-1} + B̄ u_t`` with ``Λ`` diagonal. The multi-input map ``B̄`` and the output map
    mix channels, not tokens, so the layer does them before and after; what is left is, per state channel,
    ``h_t = λ h_{t-1} + x_t``. Over the reals that is two rows with the block ``[[a, -b], [b, a]]`` for
    ``λ = a + ib``, and a readout that weighs the two. Direct: the diagonal; recurrent: lag 1; readout:
    the diagonal.

    Examples
    --------
    >>> s5().state
    2

    References
    ----------
    Smith, Warrington & Linderman 2022, arXiv:2208.04933.
    """
    return _state_space("s5", 2, coefficients="fixed")


def lru() -> Mixer:
    """The linear recurrent unit, one complex channel: S5 with a stable, normalised parametrisation.

    Claim: ``h_t = λ h_{t-1} + √(1-|λ|²) x_t``, ``λ = exp(-exp(ν) + iθ)``, so ``|λ| < 1`` by construction;
    ``y_t`` is a real combination of ``Re h_t`` and ``Im h_t``. Two real rows with a rotation block, as
    :func:`s5`. Direct: the diagonal; recurrent: lag 1; readout: the diagonal.

    Examples
    --------
    >>> lru() == s5()
    True

    References
    ----------
    Orvieto et al. 2023, arXiv:2303.06349.
    """
    return _state_space("lru", 2, coefficients="fixed")


def mamba(state: int = 16) -> Mixer:
    """Mamba (S6), one channel: a diagonal state space model whose coefficients depend on the input.

    Claim: ``h_t = exp(Δ_t a) ⊙ h_{t-1} + Δ_t b_t x_t``, ``y_t = c_t·h_t``, so
    ``M[t, s] = Σ_j c_tj exp(a_j Σ_{s<u≤t} Δ_u) Δ_s b_sj``. ``Δ`` differs from channel to channel, so a
    layer is one mixer of width 1 per channel. The skip term ``D x_t`` is left to the layer. Direct: the
    diagonal, a column per input (``Δ_t b_t``); recurrent: lag 1, one decay per state row; readout: the
    diagonal, a row per output (``c_t``).

    Parameters
    ----------
    state : int
        State rows per channel, at least 1 (16 in the paper).

    Examples
    --------
    >>> mamba(state=4).recurrent
    Lags([1])

    References
    ----------
    Gu & Dao 2023, arXiv:2312.00752.
    """
    return _state_space("mamba", state)


def mamba2(state: int = 16) -> Mixer:
    """Mamba-2 (SSD): a state space model whose decay is one number per head and step.

    Claim: ``h_t = a_t h_{t-1} + b_t x_tᵀ``, ``y_tᵀ = c_tᵀ h_t``, so ``M = L ⊙ (C Bᵀ)`` with
    ``L[t, s] = Π_{s<u≤t} a_u``: a matrix of semiseparable rank ``state``. Direct: the diagonal, a column
    per input (``b_t``, with ``Δ_t`` in it); recurrent: lag 1, a scalar; readout: the diagonal (``c_t``).

    Parameters
    ----------
    state : int
        State rows per head, at least 1 (64 to 256 in the paper).

    Examples
    --------
    >>> mamba2(state=4).state
    4

    References
    ----------
    Dao & Gu 2024, arXiv:2405.21060.
    """
    return _state_space("mamba2", state)


def rg_lru() -> Mixer:
    """The real-gated linear recurrent unit of Griffin, one channel: a gated first-order recurrence.

    Claim: ``h_t = a_t h_{t-1} + √(1-a_t²) i_t x_t`` with gates ``a_t``, ``i_t`` made from the input, so
    ``M[t, s] = √(1-a_s²) i_s Π_{s<u≤t} a_u``. The gates differ from channel to channel: one mixer of
    width 1 per channel. Direct: the diagonal; recurrent: lag 1.

    Examples
    --------
    >>> rg_lru()
    Mixer(direct=Diagonal(), recurrent=Lags([1]), coefficients='gated')

    References
    ----------
    De et al. 2024, arXiv:2402.19427.
    """
    return Mixer(direct=Diagonal(), recurrent=Lags([1]), coefficients="gated", name="rg_lru")


def _state_space(name: str, state: int, coefficients: str = "gated") -> Mixer:
    return Mixer(
        direct=Diagonal(),
        recurrent=Lags([1]),
        readout=Diagonal(),
        coefficients=coefficients,
        state=state,
        name=name,
    )


GRIFFIN = Citation(
    "De et al.",
    2024,
    "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
    arxiv="2402.19427",
)

_CONSTANT = {"step_cost": _ONE, "total_cost": n, "cache_size": _ONE}

ENTRIES = (
    Entry(
        name="diagonal_ssm",
        title="Diagonal SSM (first-order recurrence)",
        build=diagonal_ssm,
        citation=Citation(
            "Gupta, Gu & Berant",
            2022,
            "Diagonal State Spaces are as Effective as Structured State Spaces",
            arxiv="2203.14343",
        ),
        coefficient_kind="diagonal",
        published={**_CONSTANT, "distance": n, "congestion": n},
        table1=2,
        paper_values=PaperValues("Θ(1)", "Θ(1)", "Θ(n)", "n", 42.98, 32.53, 27.17),
    ),
    Entry(
        name="s4d",
        title="S4D",
        build=s4d,
        citation=Citation(
            "Gu, Gupta, Goel & Ré",
            2022,
            "On the Parameterization and Initialization of Diagonal State Space Models",
            arxiv="2206.11893",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="s5",
        title="S5",
        build=s5,
        citation=Citation(
            "Smith, Warrington & Linderman",
            2022,
            "Simplified State Space Layers for Sequence Modeling",
            arxiv="2208.04933",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="lru",
        title="LRU",
        build=lru,
        citation=Citation(
            "Orvieto et al.",
            2023,
            "Resurrecting Recurrent Neural Networks for Long Sequences",
            arxiv="2303.06349",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="mamba",
        title="Mamba",
        build=mamba,
        citation=Citation(
            "Gu & Dao",
            2023,
            "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
            arxiv="2312.00752",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="mamba2",
        title="Mamba-2 (SSD)",
        build=mamba2,
        citation=Citation(
            "Dao & Gu",
            2024,
            "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
            arxiv="2405.21060",
        ),
        published=_CONSTANT,
    ),
    Entry(
        name="rg_lru",
        title="RG-LRU",
        build=rg_lru,
        citation=GRIFFIN,
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
)
