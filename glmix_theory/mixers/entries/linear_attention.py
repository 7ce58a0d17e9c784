"""Linear attention: the state ``S_t = G_t S_{t-1} + k_t v_tᵀ`` is read by the query, ``y_tᵀ = q_tᵀ S_t``."""

from __future__ import annotations

import sympy

from glmix_theory.mixers.entries.record import Citation, Entry
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import Diagonal, Fenwick, FenwickPrefix, Lags, Pattern, Window

_ONE = sympy.Integer(1)


def linear_attention(state: int = 16) -> Mixer:
    """Attention with a feature map in place of the exponential, so that it runs as a recurrence.

    Claim: ``S_t = S_{t-1} + φ(k_t) v_tᵀ``, ``y_tᵀ = φ(q_t)ᵀ S_t / φ(q_t)·z_t``, ``z_t = Σ_{s≤t} φ(k_s)``,
    so ``M[t, s] = φ(q_t)·φ(k_s) / Σ_{u≤t} φ(q_t)·φ(k_u)``. The normaliser is part of the readout; its
    running sum ``z_t`` is ``state`` more scalars to keep. Direct: the diagonal, a column per input
    (``φ(k_t)``); recurrent: lag 1 with coefficient 1; readout: the diagonal (``φ(q_t)``, normalised).

    Parameters
    ----------
    state : int
        Width of the feature map, at least 1.

    Examples
    --------
    >>> linear_attention(state=4)
    Mixer(direct=Diagonal(), recurrent=Lags([1]), readout=Diagonal(), coefficients='gated', state=4)

    References
    ----------
    Katharopoulos et al. 2020, arXiv:2006.16236.
    """
    return _first_order("linear_attention", state)


def retnet(state: int = 16) -> Mixer:
    """RetNet: linear attention that forgets at a fixed rate per head.

    Claim: ``S_t = γ S_{t-1} + k_t v_tᵀ``, ``y_tᵀ = q_tᵀ S_t``, so ``M[t, s] = γ^{t-s} q_t·k_s``; the
    rotary phases are part of ``q`` and ``k``. Direct: the diagonal, a column per input (``k_t``);
    recurrent: lag 1, one number; readout: the diagonal (``q_t``).

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> retnet(state=4).recurrent
    Lags([1])

    References
    ----------
    Sun et al. 2023, arXiv:2307.08621.
    """
    return _first_order("retnet", state, coefficients="fixed")


def gla(state: int = 16) -> Mixer:
    """Gated linear attention: a forget gate per key channel, made from the input.

    Claim: ``S_t = diag(a_t) S_{t-1} + k_t v_tᵀ``, ``y_tᵀ = q_tᵀ S_t``, so
    ``M[t, s] = Σ_j q_tj k_sj Π_{s<u≤t} a_uj``. Direct: the diagonal, a column per input (``k_t``);
    recurrent: lag 1, one decay per state row; readout: the diagonal (``q_t``).

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> gla(state=4).state
    4

    References
    ----------
    Yang et al. 2023, arXiv:2312.06635.
    """
    return _first_order("gla", state)


def rwkv6(state: int = 16) -> Mixer:
    """RWKV-6 (Finch): a decay per channel from the input, and a bonus for the current token.

    Claim: ``y_tᵀ = r_tᵀ (S_{t-1} + diag(u) k_t v_tᵀ)``, ``S_t = diag(w_t) S_{t-1} + k_t v_tᵀ``. The
    readout sees states only, and ``k_t v_tᵀ = S_t - diag(w_t) S_{t-1}``, so it reads the newest two:
    ``C[t, t] = r_t ⊙ u`` and ``C[t, t-1] = r_t ⊙ (1 - u ⊙ w_t)``. Direct: the diagonal, a column per
    input (``k_t``); recurrent: lag 1, one decay per state row (``w_t``); readout: ``Window(2)``.

    Parameters
    ----------
    state : int
        Width of a head, at least 1 (64 in the paper).

    Examples
    --------
    >>> rwkv6(state=4).readout
    Window(2)

    References
    ----------
    Peng et al. 2024, arXiv:2404.05892.
    """
    return _first_order("rwkv6", state, readout=Window(2))


def log_linear_attention(state: int = 16, merged: bool = False) -> Mixer:
    """Log-linear attention: a Fenwick tree of states, each read with its own weight.

    Claim: ``y_tᵀ = Σ_ℓ λ_t^(ℓ) q_tᵀ Σ_{s in bucket ℓ of t} (Π_{s<u≤t} a_u) k_s v_sᵀ``. Bucket 0 of ``t``
    is ``t`` itself; the others partition ``0 … t-1``, one of size ``2^{ℓ-1}`` for every bit ``ℓ-1`` set in
    ``t``, nearest smallest. Tree nodes are the outputs of the recurrence: node ``i = t+1`` holds its own
    key and its children, that is ``(i - lowbit(i), i]``, each decayed up to ``t``. With ``c`` a child of
    ``t`` the own term is ``k_t v_tᵀ = Y_t - Σ_c β_tc Y_c``, so the readout
    ``C[t, t] = λ_t^(0) q_t``, ``C[t, c] = (λ_t^(c) - λ_t^(0)) β_tc q_t``, and plain ``λ β q_t`` on the rest
    of the prefix path of ``t - 1``, gives the claim exactly. Direct: the diagonal, a column per input
    (``k_t``); recurrent: ``Fenwick()``, one number (the decay); readout:
    ``FenwickPrefix() | Fenwick()``, that is ``t`` and the prefix path of ``t - 1``.

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.
    merged : bool
        Read ``0 … t`` as one prefix path, ``t`` inside its smallest bucket: readout ``FenwickPrefix()``,
        as many terms as ``t + 1`` has bits set. Cheaper, and another mixer unless ``λ_t^(0)`` equals the
        weights of the buckets merged with it.

    Examples
    --------
    >>> log_linear_attention(state=4).readout
    FenwickPrefix() | Fenwick()
    >>> log_linear_attention(state=4).readout.sources(7)
    (3, 5, 6, 7)

    References
    ----------
    Guo et al. 2025, arXiv:2506.04761.
    """
    return Mixer(
        direct=Diagonal(),
        recurrent=Fenwick(),
        readout=FenwickPrefix() if merged else FenwickPrefix() | Fenwick(),
        coefficients="gated",
        state=state,
        name="log_linear_attention",
    )


def _first_order(name: str, state: int, coefficients: str = "gated", readout: Pattern | None = None) -> Mixer:
    return Mixer(
        direct=Diagonal(),
        recurrent=Lags([1]),
        readout=readout or Diagonal(),
        coefficients=coefficients,
        state=state,
        name=name,
    )


_CONSTANT = {"step_cost": _ONE, "total_cost": n, "cache_size": _ONE}

ENTRIES = (
    Entry(
        name="linear_attention",
        title="Linear attention",
        build=linear_attention,
        citation=Citation(
            "Katharopoulos et al.",
            2020,
            "Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
            arxiv="2006.16236",
        ),
        published=_CONSTANT,
    ),
    Entry(
        name="retnet",
        title="RetNet",
        build=retnet,
        citation=Citation(
            "Sun et al.",
            2023,
            "Retentive Network: A Successor to Transformer for Large Language Models",
            arxiv="2307.08621",
        ),
        published=_CONSTANT,
    ),
    Entry(
        name="gla",
        title="Gated linear attention",
        build=gla,
        citation=Citation(
            "Yang et al.",
            2023,
            "Gated Linear Attention Transformers with Hardware-Efficient Training",
            arxiv="2312.06635",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="rwkv6",
        title="RWKV-6 (Finch)",
        build=rwkv6,
        citation=Citation(
            "Peng et al.",
            2024,
            "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence",
            arxiv="2404.05892",
        ),
        coefficient_kind="diagonal",
        published=_CONSTANT,
    ),
    Entry(
        name="log_linear_attention",
        title="Log-linear attention",
        build=log_linear_attention,
        citation=Citation("Guo et al.", 2025, "Log-Linear Attention", arxiv="2506.04761"),
        published={"step_cost": sympy.log(n), "total_cost": n * sympy.log(n), "cache_size": sympy.log(n)},
    ),
)
