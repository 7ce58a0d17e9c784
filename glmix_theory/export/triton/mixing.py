"""Mixers with one row per position: which kernels run for a coefficient kind, forward and backward.

The kernels know scores, statistics of a row and weights made of both. What a kind does with gates is a
function of the statistics, a few numbers a row: torch computes it here, and differentiates it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from glmix_theory.errors import DtypeError, ShapeError
from glmix_theory.export.availability import WIDEST
from glmix_theory.export.backend import EdgeValues, Mixed
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.packing import terms_of
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable, Structure
from glmix_theory.export.triton import launch, splitting
from glmix_theory.export.triton.launch import EXPONENTIAL, NOTHING, PLAIN, SCALED, SINH, Part, Slopes, Work

WEIGHTS = {
    "softmax": EXPONENTIAL,
    "chacal": EXPONENTIAL,
    "gated": EXPONENTIAL,
    "signed": SINH,
    "fixed": SCALED,
    "delta": PLAIN,
}
"""How a kind's weights come from its scores; see :mod:`glmix_theory.export.triton.tiles`."""


def work_of(structure: Structure, rows: torch.Tensor, segments: torch.Tensor | None, *widths: int) -> Work:
    """The shape of a call.

    Raises
    ------
    DtypeError
        fp64, which the kernels do not compute in.
    ShapeError
        Rows wider than :data:`~glmix_theory.export.availability.WIDEST`.
    """
    if rows.dtype == torch.float64:
        raise DtypeError(
            "backend 'triton' sums in fp32 and the tensors are torch.float64; use float32, or backend='torch'"
        )
    widest = max(rows.shape[-1], *widths, 0)
    if widest > WIDEST:
        raise ShapeError(f"backend 'triton' takes rows of at most {WIDEST} channels, not {widest}; use 'torch'")
    batch, heads, n, _ = rows.shape
    if segments is None:
        whole = remembered(structure, ("whole", batch, n, str(rows.device)), lambda: _whole(batch, n, rows.device))
        return Work(batch, heads, n, n, structure.known, whole, rows.device, rows.dtype)
    return Work(
        batch, heads, n, structure.n, structure.known, segments.to(rows.device), rows.device, rows.dtype, whole=False
    )


def _whole(batch: int, n: int, device: torch.device) -> torch.Tensor:
    return torch.tensor([[b, 0, n] for b in range(batch)], dtype=torch.int64).to(device)


# --- biases: the kernels look them up by lag ------------------------------------------------------------


def classes_by_lag(table: EdgeTable) -> np.ndarray:
    """The class of every lag below ``n``; 0 for lags without an edge.

    >>> import glmix_theory as glm
    >>> classes_by_lag(EdgeTable.of(glm.Offsets(2**glm.k), 6)).tolist()
    [0, 0, 1, 0, 2, 0]
    """
    classes = np.zeros(table.n, dtype=np.int64)
    lags = table.targets - table.sources
    classes[lags] = table.classes
    if not np.array_equal(classes[lags], table.classes):
        raise AssertionError("edges of one lag have different classes; EdgeTable says a class is its lag's")
    return classes


def _classes(table: EdgeTable, device: torch.device) -> torch.Tensor:
    return remembered(table, ("lag classes", str(device)), lambda: torch.from_numpy(classes_by_lag(table)).to(device))


def _by_lag(bias: torch.Tensor | None, number: int, table: EdgeTable) -> torch.Tensor | None:
    if bias is None:
        return None
    return bias[number].float()[:, _classes(table, bias.device)].contiguous()


# --- the kinds ------------------------------------------------------------------------------------------


@dataclass
class Statistics:
    """Logarithms of the sums over each part, and what else normalisers are made from; fp32."""

    direct: torch.Tensor
    recurrent: torch.Tensor
    readout: torch.Tensor | None = None
    gate: torch.Tensor | None = None
    """Logits ``(batch, heads, n)``; none where there is one per channel."""
    own: torch.Tensor | None = None
    """Score of the own position, where the kind counts it."""

    def given(self) -> dict[str, torch.Tensor]:
        """Those that are there, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def normalisers(kind: str, statistics: Statistics) -> dict[str, torch.Tensor]:
    """What the weights of each part subtract in the exponent, gates included.

    For example a gated mixer's ``β = a · exp(s - log Σ_R exp(s))`` has the normaliser ``log Σ_R exp(s) - log a``.
    """
    direct, recurrent, readout = statistics.direct, statistics.recurrent, statistics.readout
    own, kept, left = statistics.own, None, None
    if statistics.gate is not None:
        kept, left = logsigmoid(statistics.gate), logsigmoid(-statistics.gate)
    if kind in ("softmax", "signed"):
        direct = recurrent = torch.logaddexp(direct, recurrent)
    elif kind == "fixed":
        direct = recurrent = torch.logaddexp(direct, recurrent).clamp(min=0.0)
        readout = None if readout is None else readout.clamp(min=0.0)
    elif kind == "chacal" and own is None:
        assert kept is not None
        assert left is not None
        joint = torch.logaddexp(direct + left, recurrent + kept)
        direct, recurrent = joint - left, joint - kept
    elif own is not None:
        assert kept is not None
        assert left is not None
        recurrent = torch.logaddexp(recurrent, own) - kept
        readout = None if readout is None else readout - left
    elif kept is not None:
        assert left is not None
        direct, recurrent = direct - left, recurrent - kept
    found = {"direct": direct, "recurrent": recurrent}
    return found if readout is None else found | {"readout": readout}


def _finite(statistic: torch.Tensor) -> torch.Tensor:
    """Rows without a sum get 0: their weights are masked, and nothing overflows on the way."""
    return torch.where(statistic <= NOTHING / 2, 0.0, statistic)


class Call:
    """One mixer call: its parts, and the steps that forward and backward share."""

    def __init__(self, structure: Structure, kind: str, inputs: Inputs) -> None:
        self.structure, self.kind, self.inputs = structure, kind, inputs
        q, k, gate = inputs.q, inputs.k, inputs.gate
        deep = 0 if q is None else q.shape[-1]
        self.work = work_of(structure, inputs.v, inputs.segments, deep)
        self.scale = deep**-0.5 if deep and kind != "delta" else 1.0
        self.kept = gate.float().sigmoid().contiguous() if gate is not None and gate.shape[-1] > 1 else None
        """``a``, where there is one number per channel."""
        self.strength = None if inputs.write is None else inputs.write.float().sigmoid()
        """``b``, of the delta rule."""
        if kind == "fixed":
            q = k = None
        left = [q, q, q]
        if self.strength is not None and k is not None:
            left[1] = (-self.strength * k).to(k.dtype)
        biases = [_by_lag(inputs.bias, number, table) for number, table in enumerate(structure.parts)]
        self.parts = [
            Part(table, WEIGHTS[kind], left[number], k, self.scale, biases[number])
            for number, table in enumerate(structure.parts)
        ]

    @property
    def has_readout(self) -> bool:
        """Whether there is a part ``C``."""
        return len(self.parts) == 3

    @property
    def chain(self) -> bool:
        """Whether every position reads exactly the output before it, so that its share of the past is 1."""
        table, first = self.structure.recurrent, max(1, self.structure.known)
        return table.number == max(0, table.n - first) and bool((table.targets - table.sources == 1).all())

    def statistics(self) -> tuple[torch.Tensor, Statistics]:
        """The mean of the inputs over the direct edges, and the statistics that are known before ``Y``."""
        inputs, work = self.inputs, self.work
        mean, direct = launch.attend(self.parts[0], work, inputs.v)
        _, recurrent = launch.attend(self.parts[1], work)
        assert mean is not None
        found = Statistics(direct, recurrent)
        if inputs.gate is not None and self.kept is None:
            found.gate = inputs.gate[..., 0].float()
        if self.kind == "chacal" and self.has_readout:
            assert inputs.q is not None
            assert inputs.k is not None
            found.own = (inputs.q.float() * inputs.k.float()).sum(-1) * self.scale
        return mean, found

    def read(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean of the outputs over the readout edges, and their statistic."""
        mean, statistic = launch.attend(self.parts[2], self.work, y)
        assert mean is not None
        return mean, statistic


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """The mixer; see :class:`glmix_theory.export.backend.Backend`."""
    call = Call(structure, kind, inputs)
    work, v = call.work, inputs.v
    y = work.empty(v.shape[-1])
    if structure.known:
        assert inputs.outputs is not None
        y[:, :, : structure.known] = inputs.outputs[:, :, :, 0]
    recurrent = call.parts[1]
    statistics = None
    if call.strength is not None:
        rows, factor = v.contiguous(), call.strength[..., 0].contiguous()
    else:
        rows, statistics = call.statistics()
        found = normalisers(kind, statistics)
        factor = torch.exp(statistics.direct - found["direct"])
        recurrent = recurrent.with_(normaliser=_finite(found["recurrent"]))
        if call.kept is not None:
            rows = (1 - call.kept) * rows
    if call.kept is not None and call.chain:
        launch.scan(work, call.kept, rows, y)
    else:
        inverse = launch.invert(recurrent, work, v.shape[-1], inverse=call.kept is None)
        splitting.solve(recurrent, work, inverse, rows, factor, call.kept, y)
    if not call.has_readout:
        z = rounded = y.to(v.dtype)
    else:
        z, statistic = call.read(y)
        if statistics is not None:
            statistics.readout = statistic
            z *= torch.exp(statistic - normalisers(kind, statistics)["readout"])[..., None]
        z, rounded = z.to(v.dtype), y.to(v.dtype)
    return Mixed(z, rounded, terms_of(structure, inputs.segments))


def mix_backward(structure: Structure, kind: str, inputs: Inputs, y: torch.Tensor, dz: torch.Tensor) -> Inputs:
    """Gradients of the inputs; see :class:`glmix_theory.export.backend.Backend`.

    With ``Λ = (I - B)^{-T} Cᵀ dZ``, an edge of ``A`` has the gradient ``λ_t · v_s``, one of ``B`` ``λ_t · y_s`` and
    one of ``C`` ``dz_t · y_s``; a normaliser has minus the sum of weight times gradient over its row, which
    is a product of two rows, as in flash attention's backward.
    """
    call = Call(structure, kind, inputs)
    if call.strength is not None:
        return _delta_backward(call, y, dz)
    work, v, q, k = call.work, inputs.v, inputs.q, inputs.k
    mean, statistics = call.statistics()
    read = None
    if call.has_readout:
        read, statistics.readout = call.read(y)
    leaves = {name: value.requires_grad_() for name, value in statistics.given().items()}
    with torch.enable_grad():
        found = normalisers(kind, statistics)
    used = {name: value.detach() for name, value in found.items()}
    raw = {name: leaves[name].detach() for name in used}
    parts = dict(zip(used, call.parts))
    parts = {name: part.with_(normaliser=_finite(used[name])) for name, part in parts.items()}

    adjoint = launch.spread(parts["readout"], work, dz) if call.has_readout else _sequences_only(dz, inputs.segments)
    if call.kept is not None and call.chain:
        launch.scan_adjoint(work, call.kept, adjoint)
    else:
        inverse = launch.invert(parts["recurrent"], work, v.shape[-1], inverse=call.kept is None)
        splitting.solve_adjoint(parts["recurrent"], work, inverse, call.kept, adjoint)

    rows = {"direct": v, "recurrent": y, "readout": y}
    shares = mean * torch.exp(raw["direct"] - used["direct"])[..., None]
    gate = None
    if call.kept is None:
        gradients = {"direct": adjoint, "recurrent": adjoint, "readout": dz}
        means = {"direct": shares, "recurrent": y - shares}
    else:
        gradients = {"direct": (1 - call.kept) * adjoint, "recurrent": call.kept * adjoint, "readout": dz}
        past, _ = launch.attend(parts["recurrent"], work, y)
        assert past is not None
        means = {"direct": shares, "recurrent": past}
        gate = adjoint * (past - shares) * call.kept * (1 - call.kept)
    if read is not None:
        means["readout"] = read * torch.exp(raw["readout"] - used["readout"])[..., None]
    falls = [-(gradients[name] * means[name]).sum(-1) for name in used]
    slopes = dict(zip(leaves, torch.autograd.grad(list(found.values()), list(leaves.values()), falls)))

    dq, dk = (None if tensor is None else work.zeros(tensor.shape[-1]) for tensor in (q, k))
    bias = None if inputs.bias is None else torch.zeros_like(inputs.bias, dtype=torch.float32)
    for number, (name, part) in enumerate(parts.items()):
        by_lag = None if part.bias is None else torch.zeros_like(part.bias)
        ready = part.with_(statistic=_finite(raw[name]), slope=slopes[name].contiguous())
        launch.differentiate(ready, work, gradients[name], rows[name], Slopes(dq, dk, by_lag, None))
        if bias is not None and by_lag is not None:
            bias[number].index_add_(1, _classes(part.table, work.device), by_lag)
    if "own" in slopes:
        assert q is not None
        assert k is not None
        assert dq is not None
        assert dk is not None
        slope = slopes["own"][..., None] * call.scale
        dq, dk = dq + slope * k, dk + slope * q
    if "gate" in slopes:
        gate = slopes["gate"][..., None]
    return Inputs(launch.spread(parts["direct"], work, gradients["direct"]), dq, dk, gate, bias=bias)


def _sequences_only(dz: torch.Tensor, segments: torch.Tensor | None) -> torch.Tensor:
    """A copy of the gradient, fp32 and contiguous; 0 outside the sequences."""
    if segments is None:
        return dz.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    inside = torch.zeros(dz.shape[0], 1, dz.shape[2], 1, dtype=torch.bool)
    for batch, start, stop in segments.tolist():
        inside[batch, :, start:stop] = True
    return torch.where(inside.to(dz.device), dz, 0.0).float().contiguous()


def _delta_backward(call: Call, y: torch.Tensor, dz: torch.Tensor) -> Inputs:
    """For the delta rule's UT transform: ``Y = b V + B Y``, where ``B`` has the scores of ``-b k`` with ``k``."""
    inputs, work = call.inputs, call.work
    v, q, k, strength = inputs.v, inputs.q, inputs.k, call.strength
    assert q is not None
    assert k is not None
    assert strength is not None
    recurrent = call.parts[1]
    adjoint = launch.spread(call.parts[2], work, dz) if call.has_readout else _sequences_only(dz, inputs.segments)
    splitting.solve_adjoint(recurrent, work, launch.invert(recurrent, work, v.shape[-1]), None, adjoint)
    left, right, queries = (work.zeros(k.shape[-1]) for _ in range(3))
    launch.differentiate(recurrent, work, adjoint, y, Slopes(left, right, None, None))
    if call.has_readout:
        launch.differentiate(call.parts[2], work, dz, y, Slopes(queries, right, None, None))
    writing = (adjoint * v).sum(-1, keepdim=True) - (left * k).sum(-1, keepdim=True)
    return Inputs(strength * adjoint, queries, right - strength * left, write=writing * strength * (1 - strength))


# --- given coefficients ---------------------------------------------------------------------------------


def _given_parts(structure: Structure, values: EdgeValues) -> tuple[Work, list[Part]]:
    work = work_of(structure, values.x, None)
    given = (values.alpha, values.beta, values.gamma)
    parts = [
        Part(table, PLAIN, values=value.contiguous())
        for table, value in zip(structure.parts, given)
        if value is not None
    ]
    return work, parts


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """The mixer for given coefficients; see :class:`glmix_theory.export.backend.Backend`."""
    work, parts = _given_parts(structure, values)
    x = values.x
    rows, _ = launch.attend(parts[0], work, x)
    assert rows is not None
    y = work.empty(x.shape[-1])
    inverse = launch.invert(parts[1], work, x.shape[-1])
    splitting.solve(parts[1], work, inverse, rows, work.ones(), None, y)
    z = rounded = y.to(x.dtype)
    if len(parts) == 3:
        read, _ = launch.attend(parts[2], work, y)
        assert read is not None
        z = read.to(x.dtype)
    return Mixed(z, rounded, terms_of(structure, None))


def solve_backward(structure: Structure, values: EdgeValues, y: torch.Tensor, dz: torch.Tensor) -> EdgeValues:
    """Gradients of the coefficients and rows; see :class:`glmix_theory.export.backend.Backend`."""
    work, parts = _given_parts(structure, values)
    x = values.x
    adjoint = launch.spread(parts[2], work, dz) if len(parts) == 3 else _sequences_only(dz, None)
    splitting.solve_adjoint(parts[1], work, launch.invert(parts[1], work, x.shape[-1]), None, adjoint)
    found = []
    for part, gradient, rows in zip(parts, (adjoint, adjoint, dz), (x, y, y)):
        assert part.values is not None
        into = torch.zeros_like(part.values, dtype=torch.float32)
        launch.differentiate(part, work, gradient, rows, Slopes(None, None, None, into))
        found.append(into)
    alpha, beta, *gamma = found
    return EdgeValues(alpha, beta, gamma[0] if gamma else None, launch.spread(parts[0], work, adjoint))
