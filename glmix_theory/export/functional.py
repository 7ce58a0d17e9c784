"""The functional core: any mixer, any coefficient kind, any backend, behind two functions."""

from __future__ import annotations

from typing import NamedTuple

import torch

from glmix_theory.errors import CoefficientError, check_length
from glmix_theory.export.backend import EdgeValues, Mixed
from glmix_theory.export.backends import BACKENDS, choose_backend
from glmix_theory.export.inputs import Inputs, check_alike, check_inputs, check_rows
from glmix_theory.export.kinds import check_kind, check_mixer
from glmix_theory.export.operators import (
    check_values,
    run_mix,
    run_solve,
    structure_for,
    through_operator,
)
from glmix_theory.export.packing import terms_of
from glmix_theory.export.segments import segments_of
from glmix_theory.export.structure import EdgeTable, structure_of
from glmix_theory.mixers import Mixer


class Edges(NamedTuple):
    """The pairs of each part as int64 tensors ``(targets, sources)``, in the order of edge values."""

    direct: tuple[torch.Tensor, torch.Tensor]
    recurrent: tuple[torch.Tensor, torch.Tensor]
    readout: tuple[torch.Tensor, torch.Tensor] | None


def edges(mixer: Mixer, n: int, device: torch.device | str = "cpu") -> Edges:
    """Which pair ``(t, s)`` each edge value of :func:`solve` belongs to.

    Claim: the order is that of ``pattern.to_csr(n)``: by target ``t``, then by source ``s``.

    Examples
    --------
    >>> import glmix_theory as glm
    >>> targets, sources = edges(glm.Mixer(recurrent=glm.Lags([1, 2])), 4).recurrent
    >>> targets.tolist(), sources.tolist()
    ([1, 2, 2, 3, 3], [0, 0, 1, 1, 2])

    Raises
    ------
    LengthError
        ``n < 1`` or not an integer.
    """
    structure, device = structure_of(mixer, check_length(n)), torch.device(device)

    def pairs(table: EdgeTable) -> tuple[torch.Tensor, torch.Tensor]:
        return table.index("targets", device), table.index("sources", device)

    readout = None if structure.readout is None else pairs(structure.readout)
    return Edges(pairs(structure.direct), pairs(structure.recurrent), readout)


def mix(
    mixer: Mixer,
    q: torch.Tensor | None,
    k: torch.Tensor | None,
    v: torch.Tensor,
    coefficients: str | None = None,
    backend: str = "auto",
    *,
    gate: torch.Tensor | None = None,
    write: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    cu_seqlens: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mixer with coefficients made from queries, keys, gates and biases, applied to values.

    Claim: ``Z = C (I-B)^{-1} A V`` with α, β and γ of the coefficient kind (their formulas are the table
    of :mod:`glmix_theory.export.kinds`). With ``"softmax"``, every row ``t`` has one softmax over the
    scores ``q_t · k_s / √d`` of its direct and recurrent edges together, and one over its readout edges.
    A row without edges gives 0. Causal: a change at positions ``≥ t`` leaves the outputs before ``t`` alone.

    Parameters
    ----------
    mixer : Mixer
        Patterns and state expansion.
    q, k : tensor (batch, heads, n, d)
        Queries of the targets, keys of the sources; ``d = r`` under state expansion ``r``. ``None`` for
        ``"fixed"`` without state expansion.
    v : tensor (batch, heads, n, width)
        Rows to mix, same dtype and device.
    coefficients : str, optional
        Coefficient kind; the mixer's own (``"softmax"`` unless it says otherwise) by default.
    backend : str
        ``"auto"``, or a name in :data:`BACKENDS`.
    gate : tensor (batch, heads, n, 1) or one number per channel or state row, optional
        Logits of what is kept of the past.
    write : tensor (batch, heads, n, 1), optional
        Logits of the delta rule's strength.
    bias : tensor (3, heads, LAG_CLASSES), optional
        Per part, head and lag class.
    mask : bool tensor (batch, n), optional
        True at real positions; padding on either side, which then gives 0 and is read by nobody.
    cu_seqlens : integer tensor (sequences + 1,), optional
        Ends of sequences packed into a batch of 1, from 0 to ``n``; none reads another.

    Returns
    -------
    tensor (batch, heads, n, width)
        Differentiable in ``q``, ``k``, ``v``, ``gate``, ``write`` and ``bias``.

    Raises
    ------
    ShapeError, DtypeError, DeviceError, LengthError
        Tensors that do not fit each other, or a mask or lengths that are not sequences.
    CoefficientError
        A coefficient kind that does not apply to the mixer; a tensor it needs or does not take.
    UnknownNameError
        An unknown backend.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
    >>> q = k = torch.zeros(1, 1, 4, 2)
    >>> mix(mixer, q, k, torch.ones(1, 1, 4, 2))[0, 0, :, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]

    References
    ----------
    Fagnou et al., arXiv:2605.31367; propositions 1 and 11.
    """
    check_rows("v", v)
    segments = segments_of(v.shape[0], v.shape[2], mask, cu_seqlens)
    inputs = Inputs(v, q, k, gate, write, bias, segments)
    kind, name = _checked(mixer, inputs, coefficients, backend)
    if through_operator(name):
        return run_mix(mixer, kind, name, inputs)[0]
    return BACKENDS[name].mix(structure_for(mixer, v.shape[2], segments), kind, inputs).z


def mixed(mixer: Mixer, inputs: Inputs, coefficients: str | None = None, backend: str = "auto") -> Mixed:
    """As :func:`mix`, with the recurrence's outputs and the number of terms that were applied.

    >>> import torch, glmix_theory as glm
    >>> x = torch.zeros(1, 1, 4, 2)
    >>> mixed(glm.Mixer(recurrent=glm.Lags([1])), Inputs(x, x, x)).terms
    Terms(direct=4, recurrent=3, readout=0)
    """
    kind, name = _checked(mixer, inputs, coefficients, backend)
    structure = structure_for(mixer, inputs.v.shape[2], inputs.segments)
    if through_operator(name):
        return Mixed(*run_mix(mixer, kind, name, inputs), terms_of(structure, inputs.segments))
    return BACKENDS[name].mix(structure, kind, inputs)


def _checked(mixer: Mixer, inputs: Inputs, coefficients: str | None, backend: str) -> tuple[str, str]:
    """The coefficient kind and the backend's name, once everything fits."""
    kind = check_kind(mixer, coefficients)
    check_inputs(mixer, kind, inputs)
    widest = max(inputs.v.shape[3], 0 if inputs.q is None else inputs.q.shape[3])
    return kind, choose_backend(backend, inputs.v.device, inputs.v.dtype, widest)


def solve(
    mixer: Mixer,
    alpha: torch.Tensor,
    beta: torch.Tensor | None,
    x: torch.Tensor,
    gamma: torch.Tensor | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """The mixer for coefficients computed elsewhere, given as one number per edge.

    Claim: ``Z = C (I-B)^{-1} A X``, where the values fill ``A``, ``B`` and ``C`` in the order of
    ``pattern.to_csr(n)``; :func:`edges` lists the pairs.

    Parameters
    ----------
    mixer : Mixer
        Patterns and state expansion ``r``.
    alpha : tensor (batch, heads, direct edges), or (…, r) with state expansion
        Values of ``A``: with state expansion a column for each edge.
    beta : tensor (batch, heads, recurrent edges), or (…, 1), (…, r), (…, r, r) with state expansion
        Values of ``B``: a number, one decay per state row, or a block. May be ``None`` when there are no
        recurrent edges.
    x : tensor (batch, heads, n, d)
        Rows to mix.
    gamma : tensor (batch, heads, readout edges), or (…, r) with state expansion, optional
        Values of ``C``; given exactly when the mixer has a readout.
    backend : str
        ``"auto"``, or a name in :data:`BACKENDS`.

    Returns
    -------
    tensor (batch, heads, n, d)
        Differentiable in ``alpha``, ``beta``, ``gamma`` and ``x``.

    Raises
    ------
    CoefficientError
        Edge values of a wrong shape, or missing, or needless; state expansion without a readout.
    ShapeError, DtypeError, DeviceError, UnknownNameError
        As for :func:`mix`.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.Lags([1]))
    >>> alpha, beta = torch.ones(1, 1, 3), torch.full((1, 1, 2), 0.5)
    >>> solve(mixer, alpha, beta, torch.ones(1, 1, 3, 1)).flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    check_mixer(mixer)
    check_rows("x", x)
    state = mixer.state
    if state > 1 and mixer.readout is None:
        raise CoefficientError(f"state = {state} without a readout has matrices as outputs; glm.Diagonal() reads them")
    if beta is None:
        beta = x.new_zeros(*x.shape[:2], 0, *((1,) if state > 1 else ()))
    if (gamma is None) != (mixer.readout is None):
        has = "has no readout, so takes no" if mixer.readout is None else "has a readout, so needs"
        raise CoefficientError(f"this mixer {has} gamma")
    check_alike(x=x, alpha=alpha, beta=beta, **({} if gamma is None else {"gamma": gamma}))
    name = choose_backend(backend, x.device, x.dtype, max(x.shape[3], state))
    if through_operator(name):
        return run_solve(mixer, name, alpha, beta, gamma, x)
    structure, values = structure_of(mixer, x.shape[2]), EdgeValues(alpha, beta, gamma, x)
    check_values(structure, values)
    return BACKENDS[name].solve(structure, values).z
