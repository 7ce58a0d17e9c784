"""Delta rules: the state is corrected towards ``v_t`` at key ``k_t`` before the query reads it."""

from __future__ import annotations

import sympy

from glmix_theory.mixers.entries.record import Citation, Entry
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import Dense, Diagonal, Lags

_ONE = sympy.Integer(1)


def delta_net(state: int = 16) -> Mixer:
    """DeltaNet: linear attention that overwrites what its state holds at the current key.

    Claim: ``S_t = S_{t-1}(I - b_t k_t k_tᵀ) + b_t v_t k_tᵀ``, ``y_t = S_t q_t``, with ``b_t`` in (0, 1).
    Transposed, the state is ``state`` rows: ``A[t, t] = b_t k_t``, ``B[t, t-1] = I - b_t k_t k_tᵀ`` (a
    Householder block), ``C[t, t] = q_t``. Direct: the diagonal; recurrent: lag 1; readout: the diagonal.

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> delta_net(state=4)
    Mixer(direct=Diagonal(), recurrent=Lags([1]), readout=Diagonal(), coefficients='delta', state=4)

    References
    ----------
    Yang et al. 2024, arXiv:2406.06484; Schlag, Irie & Schmidhuber 2021, arXiv:2102.11174.
    """
    return _delta("delta_net", state)


def delta_net_ut() -> Mixer:
    """DeltaNet by its UT transform: the same map without a state, as a dense recurrence of numbers.

    Claim: ``U = (I + tril(diag(b) K Kᵀ, -1))^{-1} diag(b) V``, ``Y = tril(Q Kᵀ) U`` equals
    :func:`delta_net`. So ``A = diag(b)``, ``B[t, s] = -b_t k_t·k_s`` for ``s < t`` and
    ``C[t, s] = q_t·k_s`` for ``s ≤ t``: the parallel form, which reads all earlier rows. Direct: the
    diagonal; recurrent: dense, strict; readout: dense.

    Examples
    --------
    >>> delta_net_ut()
    Mixer(direct=Diagonal(), recurrent=Dense().strict(), readout=Dense(), coefficients='delta')

    References
    ----------
    Yang et al. 2024, arXiv:2406.06484.
    """
    return Mixer(
        direct=Diagonal(),
        recurrent=Dense().strict(),
        readout=Dense(),
        coefficients="delta",
        name="delta_net_ut",
    )


def gated_delta_net(state: int = 16) -> Mixer:
    """Gated DeltaNet: the delta rule on a state that first forgets, by one number per step.

    Claim: ``S_t = S_{t-1} a_t (I - b_t k_t k_tᵀ) + b_t v_t k_tᵀ``, ``y_t = S_t q_t``. Transposed:
    ``A[t, t] = b_t k_t``, ``B[t, t-1] = a_t (I - b_t k_t k_tᵀ)``, ``C[t, t] = q_t``. Direct: the
    diagonal; recurrent: lag 1; readout: the diagonal.

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> gated_delta_net(state=4).state
    4

    References
    ----------
    Yang, Kautz & Hatamizadeh 2024, arXiv:2412.06464.
    """
    return _delta("gated_delta_net", state)


def kimi_delta_attention(state: int = 16) -> Mixer:
    """Kimi delta attention: the delta rule on a state that first forgets, channel by channel.

    Claim: ``S_t = (I - b_t k_t k_tᵀ) diag(a_t) S_{t-1} + b_t k_t v_tᵀ``, ``y_tᵀ = q_tᵀ S_t``. So
    ``A[t, t] = b_t k_t``, ``B[t, t-1] = (I - b_t k_t k_tᵀ) diag(a_t)``, ``C[t, t] = q_t``. Direct: the
    diagonal; recurrent: lag 1; readout: the diagonal.

    Parameters
    ----------
    state : int
        Width of queries and keys, at least 1.

    Examples
    --------
    >>> kimi_delta_attention(state=4).state
    4

    References
    ----------
    Kimi Team 2025, arXiv:2510.26692.
    """
    return _delta("kimi_delta_attention", state)


def rwkv7(state: int = 16) -> Mixer:
    """RWKV-7 (Goose): a generalised delta rule with separate removal key, write key and decay.

    Claim: ``S_t = S_{t-1}(diag(w_t) - κ_t (a_t ⊙ κ_t)ᵀ) + v_t k_tᵀ``, ``y_t = S_t r_t``, with ``κ_t`` of
    unit length, ``w_t`` and ``a_t`` in (0, 1) per channel. Transposed: ``A[t, t] = k_t``,
    ``B[t, t-1] = diag(w_t) - (a_t ⊙ κ_t) κ_tᵀ``, ``C[t, t] = r_t``. The bonus for the current token is
    added after a normalisation, so it belongs to the layer. Direct: the diagonal; recurrent: lag 1;
    readout: the diagonal.

    Parameters
    ----------
    state : int
        Width of a head, at least 1 (64 in the paper).

    Examples
    --------
    >>> rwkv7(state=4).state
    4

    References
    ----------
    Peng et al. 2025, arXiv:2503.14456.
    """
    return _delta("rwkv7", state)


def _delta(name: str, state: int) -> Mixer:
    return Mixer(
        direct=Diagonal(),
        recurrent=Lags([1]),
        readout=Diagonal(),
        coefficients="delta",
        state=state,
        name=name,
    )


KIMI_LINEAR = Citation(
    "Kimi Team",
    2025,
    "Kimi Linear: An Expressive, Efficient Attention Architecture",
    arxiv="2510.26692",
)

_CONSTANT = {"step_cost": _ONE, "total_cost": n, "cache_size": _ONE}
_DELTA_NET = Citation(
    "Yang et al.",
    2024,
    "Parallelizing Linear Transformers with the Delta Rule over Sequence Length",
    arxiv="2406.06484",
)

ENTRIES = (
    Entry(
        name="delta_net",
        title="DeltaNet",
        build=delta_net,
        citation=_DELTA_NET,
        coefficient_kind="householder",
        published=_CONSTANT,
    ),
    Entry(
        name="delta_net_ut",
        title="DeltaNet, UT transform",
        build=delta_net_ut,
        citation=_DELTA_NET,
        published={"step_cost": n, "total_cost": n**2, "cache_size": n},
    ),
    Entry(
        name="gated_delta_net",
        title="Gated DeltaNet",
        build=gated_delta_net,
        citation=Citation(
            "Yang, Kautz & Hatamizadeh",
            2024,
            "Gated Delta Networks: Improving Mamba2 with Delta Rule",
            arxiv="2412.06464",
        ),
        coefficient_kind="householder",
        published=_CONSTANT,
    ),
    Entry(
        name="kimi_delta_attention",
        title="Kimi delta attention",
        build=kimi_delta_attention,
        citation=KIMI_LINEAR,
        coefficient_kind="householder",
        published=_CONSTANT,
    ),
    Entry(
        name="rwkv7",
        title="RWKV-7 (Goose)",
        build=rwkv7,
        citation=Citation(
            "Peng et al.",
            2025,
            'RWKV-7 "Goose" with Expressive Dynamic State Evolution',
            arxiv="2503.14456",
        ),
        coefficient_kind="dense block",
        published=_CONSTANT,
    ),
)
