"""The oracle backend: dense matrices in fp64, written from the definitions and apart from the fast path."""

from __future__ import annotations

from dataclasses import replace

import torch

from glmix_theory.export.backend import EdgeValues, Mixed, Terms
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import EdgeTable, Structure

DIRECT, RECURRENT, READOUT = range(3)


def mask(table: EdgeTable, n: int, device: torch.device) -> torch.Tensor:
    """The edges among the first ``n`` positions as a boolean ``(n, n)`` tensor.

    >>> import glmix_theory as glm
    >>> mask(EdgeTable.of(glm.Lags([1]), 3), 3, torch.device("cpu")).int().tolist()
    [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    return _placed(torch.ones(table.number, dtype=torch.bool, device=device), table, n)


def masked_softmax(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis among allowed entries; rows without any are zero.

    >>> masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False] * 3])).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    shut = scores.masked_fill(~allowed, float("-inf"))
    top = shut.amax(dim=-1, keepdim=True).detach()
    weights = torch.exp(shut - torch.where(top.isinf(), 0.0, top))
    total = weights.sum(dim=-1, keepdim=True)
    return weights / torch.where(total == 0, 1.0, total)


def masked_signed(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """``sinh(s) / Σ cosh(s)`` over the last axis among allowed entries; rows without any are zero.

    It is the difference of two halves of one softmax over ``s`` and ``-s``.

    >>> masked_signed(torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([True, True, False])).tolist()
    [[0.5, -0.5, 0.0]]
    """
    both = masked_softmax(torch.cat([scores, -scores], dim=-1), torch.cat([allowed, allowed], dim=-1))
    positive, negative = both.chunk(2, dim=-1)
    return positive - negative


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """Dense coefficients of a kind and the mixer; see :func:`glmix_theory.export.functional.mix`."""
    if inputs.segments is not None:
        return _segments(structure, kind, inputs)
    solved = _expanded(structure, kind, inputs) if structure.state > 1 else _rows(structure, kind, inputs)
    return _result(structure, inputs.v, *solved)


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """The mixer for given edge values; see :func:`glmix_theory.export.functional.solve`."""
    alpha, beta, gamma, x = values
    n, state = x.shape[2], structure.state

    def dense(table: EdgeTable, numbers: torch.Tensor) -> torch.Tensor:
        moved = numbers.double().movedim(2, -1)
        return _placed(moved, table, n).movedim((-2, -1), (2, 3))  # (batch, heads, n, n, …)

    A, B = dense(structure.direct, alpha), dense(structure.recurrent, beta)
    C = None if gamma is None or structure.readout is None else dense(structure.readout, gamma)
    if state == 1:
        y = _solved(B, A @ x.double())
        return _result(structure, x, y if C is None else C @ y, y)
    assert C is not None
    if B.dim() == 5:
        B = B.expand(*B.shape[:4], state).diag_embed()
    y = _solved_matrices(B, torch.einsum("bhtsr,bhsw->bhtrw", A, x.double()))
    return _result(structure, x, torch.einsum("bhtsr,bhsrw->bhtw", C, y), y)


def _segments(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """One segment after another, each as a sequence of its own."""
    assert inputs.segments is not None
    v = inputs.v
    z, y = (
        v.new_zeros(v.shape),
        v.new_zeros(*v.shape[:3], *((structure.state,) if structure.state > 1 else ()), v.shape[3]),
    )
    counts = [0, 0, 0]
    for batch, start, stop in inputs.segments.tolist():
        rows = {name: getattr(inputs, name) for name in ("q", "k", "v", "gate", "write")}
        cut = {name: x[batch : batch + 1, :, start:stop] for name, x in rows.items() if x is not None}
        result = mix(_first(structure, stop - start), kind, replace(inputs, segments=None, **cut))
        counts = [count + terms for count, terms in zip(counts, result.terms)]
        z[batch, :, start:stop], y[batch, :, start:stop] = result.z[0], result.y[0]
    return Mixed(z, z if structure.readout is None else y, Terms(*counts))


def _first(structure: Structure, n: int) -> Structure:
    """The structure of the first ``n`` positions."""

    def first(table: EdgeTable) -> EdgeTable:
        inside = table.targets < n
        return EdgeTable(table.indptr[: n + 1], table.sources[inside], table.classes[inside])

    readout = None if structure.readout is None else first(structure.readout)
    return replace(structure, direct=first(structure.direct), recurrent=first(structure.recurrent), readout=readout)


def _rows(structure: Structure, kind: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and ``y`` with one row per position."""
    v = inputs.v.double()
    A, B, C = _coefficients(structure, kind, inputs)
    rows = A @ v
    if inputs.gate is not None and inputs.gate.shape[3] > 1:  # one gate per channel: A and B are the shares
        gate = inputs.gate.double()
        rows = torch.sigmoid(-gate) * rows
        B = torch.sigmoid(gate).mT.unsqueeze(4) * B.unsqueeze(2)  # (batch, heads, channels, n, n)
        rows = _with_known(structure, inputs, rows)
        y = _solved(B, rows.mT.unsqueeze(4)).squeeze(4).mT
    else:
        y = _solved(B, _with_known(structure, inputs, rows))
    return y if C is None else C @ y, y


def _with_known(structure: Structure, inputs: Inputs, rows: torch.Tensor) -> torch.Tensor:
    """The right-hand side with the given outputs of the known rows, which depend on nothing."""
    if inputs.outputs is None:
        return rows
    known = inputs.outputs.double() if structure.state > 1 else inputs.outputs[:, :, :, 0].double()
    return torch.cat([known, rows[:, :, structure.known :]], dim=2)


def _coefficients(
    structure: Structure, kind: str, inputs: Inputs
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Dense ``A``, ``B`` and ``C`` of every kind, ``(batch, heads, n, n)``."""
    n, device = structure.n, inputs.v.device
    masks = [mask(table, n, device) for table in structure.parts]
    joint = torch.cat(masks[:2], dim=1)

    def jointly(weights: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(weights[:2], dim=-1)

    gate = None if inputs.gate is None else inputs.gate.double()
    if kind == "fixed":
        weights = [_biases(structure, inputs, part).expand(*inputs.v.shape[:2], n, n) for part in range(len(masks))]
        joined = [jointly(weights), *weights[2:]]
        bounded = [weight / weight.abs().sum(dim=-1, keepdim=True).clamp(min=1) for weight in joined]
    else:
        assert inputs.q is not None
        assert inputs.k is not None
        q, k = inputs.q.double(), inputs.k.double()
        if kind == "delta":
            assert inputs.write is not None
            strength = torch.sigmoid(inputs.write.double())
            A = strength * masks[DIRECT]
            B = -strength * (k @ k.mT) * masks[RECURRENT]
            return A, B, (q @ k.mT) * masks[READOUT] if len(masks) == 3 else None
        plain = q @ k.mT / q.shape[3] ** 0.5
        scores = [plain + _biases(structure, inputs, part) for part in range(len(masks))]
        if kind == "signed":
            bounded = [masked_signed(jointly(scores), joint), *(masked_signed(scores[2], C) for C in masks[2:])]
        elif kind == "softmax":
            bounded = [masked_softmax(jointly(scores), joint), *(masked_softmax(scores[2], C) for C in masks[2:])]
        elif kind == "chacal" and len(masks) == 2:
            assert gate is not None
            log = torch.nn.functional.logsigmoid
            bounded = [masked_softmax(torch.cat([scores[0] + log(-gate), scores[1] + log(gate)], dim=-1), joint)]
        elif kind == "chacal":
            assert gate is not None
            own = torch.diagonal(plain, dim1=-2, dim2=-1).unsqueeze(-1)
            allowed = torch.cat([masks[1], torch.ones_like(masks[1][:, :1])], dim=-1)
            B = masked_softmax(torch.cat([scores[1], own], dim=-1), allowed)[..., :n] * torch.sigmoid(gate)
            C = masked_softmax(scores[2], masks[2]) * torch.sigmoid(-gate)
            return masked_softmax(scores[0], masks[0]), B, C
        else:
            assert kind == "gated"
            assert gate is not None
            A, B, *read = (masked_softmax(score, allowed) for score, allowed in zip(scores, masks))
            if gate.shape[3] == 1:
                A, B = A * torch.sigmoid(-gate), B * torch.sigmoid(gate)
            return A, B, read[0] if read else None
    A, B = bounded[0].chunk(2, dim=-1)
    return A, B, bounded[1] if len(bounded) > 1 else None


def _expanded(structure: Structure, kind: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and the matrices ``S`` under state expansion."""
    assert inputs.q is not None
    assert inputs.k is not None
    assert structure.readout is not None
    q, k, v, n = inputs.q.double(), inputs.k.double(), inputs.v.double(), structure.n
    shares = []
    for part, table in enumerate((structure.direct, structure.recurrent)):
        bias = _biases(structure, inputs, part).expand(v.shape[1], n, n)
        shares.append(masked_softmax(bias, mask(table, n, v.device)))
    if structure.read_once:
        shares[RECURRENT] = mask(structure.recurrent, n, v.device).double().expand_as(shares[RECURRENT])
    decay = _decays(structure, inputs)
    written, transitions = k, torch.eye(structure.state, dtype=torch.float64, device=v.device)
    if kind == "delta":
        assert inputs.write is not None
        strength = torch.sigmoid(inputs.write.double())
        written = strength * k
        transitions = transitions - strength.unsqueeze(4) * k.unsqueeze(4) * k.unsqueeze(3)
    transitions = transitions.expand(*k.shape, structure.state)
    writes = torch.einsum("bhsr,bhsw->bhsrw", written, v)
    rows = torch.einsum("hts,bhsrw->bhtrw", shares[DIRECT], writes)
    blocks = torch.einsum("bhtij,hts,bhtsj->bhtsij", transitions, shares[RECURRENT], decay)
    y = _solved_matrices(blocks, _with_known(structure, inputs, rows))
    factors = torch.exp(_biases(structure, inputs, READOUT)) * mask(structure.readout, n, v.device)
    reads = torch.einsum("bhtr,hts,bhtsr->bhtsr", q, factors.expand(v.shape[1], n, n), decay)
    return torch.einsum("bhtsr,bhsrw->bhtw", reads, y), y


def _decays(structure: Structure, inputs: Inputs) -> torch.Tensor:
    """``Π_{s<j≤t} a_j`` for all pairs, one factor after another: ``(batch, heads, n, n, r)``, 0 above the diagonal."""
    n, known, v = structure.n, structure.known, inputs.v
    shape = (*v.shape[:2], n, structure.state)
    if inputs.gate is None:
        before = torch.ones(n, n, dtype=torch.float64, device=v.device).tril()
        return before[:, :, None].expand(*v.shape[:2], n, n, structure.state)
    a = torch.sigmoid(inputs.gate.double()).expand(shape)
    row = torch.zeros(shape, dtype=torch.float64, device=v.device)
    if known:
        kept = torch.zeros_like(a[:, :, :known]) if inputs.kept is None else inputs.kept.double()
        row = torch.cat([kept.exp().expand_as(a[:, :, :known]), row[:, :, known:]], dim=2)
    rows = []
    place = torch.arange(n, device=v.device)[:, None]
    for t in range(n):
        if t >= known:
            row = torch.where(place == t, 1.0, row * a[:, :, t : t + 1])
        rows.append(row)
    return torch.stack(rows, dim=2)


def _biases(structure: Structure, inputs: Inputs, part: int) -> torch.Tensor:
    """The bias of all pairs of a part, ``(heads, n, n)``, 0 at the others; one 0 where there is none."""
    if inputs.bias is None or part >= len(structure.parts):
        return torch.zeros(1, 1, 1, dtype=torch.float64, device=inputs.v.device)
    table = structure.parts[part]
    classes = _placed(table.index("classes", inputs.v.device), table, structure.n)
    return inputs.bias[part].double()[:, classes] * mask(table, structure.n, inputs.v.device)


def _placed(values: torch.Tensor, table: EdgeTable, n: int) -> torch.Tensor:
    """Edge values ``(…, edges)`` at their places of zero matrices ``(…, n, n)``."""
    flat = values.new_zeros(*values.shape[:-1], n * n)
    cells = table.index("targets", values.device) * n + table.index("sources", values.device)
    return flat.index_copy(-1, cells, values).unflatten(-1, (n, n))


def _solved(B: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``(I - B)^{-1} rows`` by a dense triangular solve."""
    identity = torch.eye(B.shape[-1], dtype=torch.float64, device=B.device)
    return torch.linalg.solve_triangular(identity - B, rows, upper=False)


def _solved_matrices(blocks: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The same for ``blocks (batch, heads, n, n, r, r)`` and ``rows (batch, heads, n, r, width)``."""
    n, state = rows.shape[2:4]
    B = blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)  # rows (t, i), columns (s, j)
    return _solved(B, rows.flatten(2, 3)).unflatten(2, (n, state))


def _result(structure: Structure, x: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Mixed:
    counts = [part.number for part in structure.parts] + [0]
    outputs = y.to(x.dtype)
    if z is y and not structure.known:
        return Mixed(outputs, outputs, Terms(*counts[:3]))
    computed = torch.arange(structure.n, device=x.device)[:, None] >= structure.known
    return Mixed((z * computed).to(x.dtype), outputs, Terms(*counts[:3]))
