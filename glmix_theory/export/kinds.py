"""The coefficient kinds: how α, β and γ are made from the inputs, and what bounds them.

Written for row ``t``; ``D``, ``R`` and ``C`` are its direct, recurrent and readout edges. The *score* of an
edge is ``s_e = q_t · k_s / √d + bias[part, head, class(e)]`` (the bias counts 0 where absent); ``σ`` is the
logistic function; ``a_t = σ(gate_t)``, ``b_t = σ(write_t)``. Sums over no edges are 0, and a row without
edges is 0.

With one row per position (``state = 1``):

========  =====================================================================================
softmax   α, β = one softmax of the scores over ``D ∪ R``; γ = softmax over ``C``.
chacal    Without a readout: α, β = one softmax over ``D ∪ R`` of ``s_e + log(1 - a_t)`` on ``D`` and
          ``s_e + log a_t`` on ``R``. With a readout: α = softmax over ``D``; β = ``a_t`` × softmax over ``R``
          and the own position (score ``q_t · k_t / √d``), whose share is left out;
          γ = ``(1 - a_t)`` × softmax over ``C``. ``a`` is ChaCAL's γ.
signed    α, β = ``sinh(s_e) / Σ_{D ∪ R} cosh(s)``; γ = ``sinh(s_e) / Σ_C cosh(s)``.
gated     α = ``(1 - a_t)`` × softmax over ``D``; β = ``a_t`` × softmax over ``R``; γ = softmax over ``C``.
          ``a_t`` may have one number per channel of the row.
fixed     α, β = ``w_e / max(1, Σ_{D ∪ R} |w|)`` with ``w_e = bias[part, head, class(e)]``;
          γ = ``w_e / max(1, Σ_C |w|)``.
delta     ``D`` the diagonal, ``R`` all earlier positions: α = ``b_t``; β = ``-b_t k_t · k_s``;
          γ = ``q_t · k_s`` (DeltaNet's UT transform).
========  =====================================================================================

With state expansion (``state = r > 1``) outputs are ``r × width`` matrices ``S_t``, ``q`` and ``k`` have width
``r``, and

``S_t = Σ_D share_e u_s v_sᵀ + E_t Σ_R share_e decay(t, s) ⊙ S_s``,  ``z_t = Σ_C exp(bias_e) q_tᵀ (decay(t, s) ⊙ S_s)``

* ``decay(t, s) = Π_{s<j≤t} a_j``, one number or one per state row; 1 without a gate;
* ``share_e`` = softmax of the bias over ``D``, and over ``R``; 1 on ``R`` where ``Structure.read_once``;
* gated, fixed: ``u_s = k_s``, ``E_t = I``;
* delta: ``u_s = b_s k_s``, ``E_t = I - b_t k_t k_tᵀ``.

"fixed" differs from "gated" there only in what a layer feeds it: gates that do not depend on the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from glmix_theory.errors import CoefficientError, PatternError, SymbolicError, nearest
from glmix_theory.mixers import COEFFICIENTS, Mixer
from glmix_theory.patterns import Dense, Diagonal

KINDS = COEFFICIENTS
"""Every kind; compiled kernels know a kind by its place here.

numba keeps compiled kernels by the date of their own file: after a change here delete ``kernels/__pycache__``.
"""

EXPANDED = ("gated", "fixed", "delta")
"""Kinds that a mixer with state expansion can have."""


@dataclass(frozen=True)
class Stability:
    """What bounds a coefficient kind.

    Parameters
    ----------
    row_sum : float or None
        Bound on ``Σ|α| + Σ|β|`` of every row, so on ``‖Y‖_∞ / ‖X‖_∞`` (proposition 11); ``None`` where
        the bound is on the state instead.
    statement : str
        The bound in words, with its conditions.
    """

    row_sum: float | None
    statement: str


STABILITY: dict[str, Stability] = {
    "softmax": Stability(1.0, "rows of (A | B) are non-negative and sum to 1, so M is row-stochastic and ‖M‖_∞ = 1"),
    "chacal": Stability(
        1.0,
        "without a readout rows of (A | B) are non-negative and sum to 1; with one, ‖B‖_∞ ≤ γ and the readout "
        "carries 1 - γ, so ‖M‖_∞ ≤ 1 for γ constant along the sequence",
    ),
    "signed": Stability(1.0, "rows of (A | B) have Σ|α| + Σ|β| ≤ 1 with either sign, so ‖M‖_∞ ≤ 1"),
    "gated": Stability(1.0, "rows of (A | B) are non-negative and sum to at most 1, so ‖M‖_∞ ≤ 1"),
    "fixed": Stability(1.0, "rows of (A | B) have Σ|α| + Σ|β| ≤ 1 with either sign, so ‖M‖_∞ ≤ 1"),
    "delta": Stability(
        None,
        "for unit keys E_t = I - b_t k_t k_tᵀ is a contraction, so each write v_s stays at most |v_s| in any state",
    ),
}
"""The bound of each kind with one row per position; see :func:`stability` for a mixer's own."""

_EXPANDED_STABILITY = Stability(
    None,
    "decays are at most 1 and shares sum to 1 (or one walk at most joins two outputs), so for keys of length "
    "at most 1 each row of S_t is at most Σ_s |v_s|; a norm after the readout fixes the scale",
)


def stability(mixer: Mixer, kind: str | None = None) -> Stability:
    """The bound that holds for a mixer with coefficients of a kind (its own by default).

    >>> import glmix_theory as glm
    >>> stability(glm.catalogue["attention"]).row_sum
    1.0
    """
    kind = check_kind(mixer, kind)
    return STABILITY[kind] if mixer.state == 1 or kind == "delta" else _EXPANDED_STABILITY


def check_kind(mixer: Mixer, kind: str | None = None) -> str:
    """The coefficient kind to use (the mixer's own unless given), or an error if it does not apply.

    >>> import glmix_theory as glm
    >>> check_kind(glm.Mixer())
    'softmax'
    >>> check_kind(glm.Mixer(coefficients="delta"))
    Traceback (most recent call last):
    glmix_theory.errors.CoefficientError: coefficients 'delta' with one row per position are the UT transform \
    of a dense recurrence: direct=Diagonal() and recurrent=Dense().strict() are needed, or state above 1
    """
    check_mixer(mixer)
    kind = mixer.coefficients if kind is None else kind
    if kind not in COEFFICIENTS:
        raise CoefficientError(f"coefficients = {kind!r} is not a known kind; {nearest(str(kind), list(COEFFICIENTS))}")
    if mixer.state > 1:
        if kind not in EXPANDED:
            known = ", ".join(map(repr, EXPANDED))
            raise CoefficientError(
                f"coefficients {kind!r} are scores between rows, and state = {mixer.state} has matrices; "
                f"one of {known} is needed, or state=1"
            )
        if mixer.readout is None:
            raise CoefficientError(
                f"state = {mixer.state} without a readout has matrices as outputs; readout=glm.Diagonal() reads them"
            )
    elif kind == "delta" and (mixer.direct, mixer.recurrent) != (Diagonal(), Dense().strict()):
        raise CoefficientError(
            "coefficients 'delta' with one row per position are the UT transform of a dense recurrence: "
            "direct=Diagonal() and recurrent=Dense().strict() are needed, or state above 1"
        )
    return kind


def check_mixer(mixer: object) -> None:
    """Refuse what is not a mixer of numbers."""
    if not isinstance(mixer, Mixer):
        raise PatternError(
            f"{mixer!r} is a {type(mixer).__name__}; a glm.Mixer is needed, for example "
            "glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Offsets(2**glm.k))"
        )
    if mixer.free_symbols:
        names = ", ".join(sorted(str(symbol) for symbol in mixer.free_symbols))
        raise SymbolicError(
            f"{mixer!r} depends on {names}; a layer needs numbers: give them first, for example with .subs(symbol, 16)"
        )
