"""State expansion: coefficients as edge values made by torch, then the kernels that step through the states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import triton

from glmix_theory.export.backend import EdgeValues, Mixed
from glmix_theory.export.coefficients import DIRECT, READOUT, RECURRENT, Scores
from glmix_theory.export.expansion import _decay_sums, _shares
from glmix_theory.export.inputs import DIFFERENTIABLE, Inputs
from glmix_theory.export.layout import BLOCK
from glmix_theory.export.packing import mix_segments, terms_of
from glmix_theory.export.remembering import remembered
from glmix_theory.export.structure import EdgeTable, Structure
from glmix_theory.export.triton import launch, state_kernels
from glmix_theory.export.triton.launch import Work
from glmix_theory.export.triton.mixing import work_of


def mix(structure: Structure, kind: str, inputs: Inputs) -> Mixed:
    """The mixer with state expansion; see :class:`glmix_theory.export.backend.Backend`."""
    z, y = _mixed(structure, kind, inputs)
    return Mixed(z.to(inputs.v.dtype), y.to(inputs.v.dtype), terms_of(structure, inputs.segments))


def mix_backward(structure: Structure, kind: str, inputs: Inputs, dz: torch.Tensor) -> Inputs:
    """Gradients of the inputs. The states are made once more: they are kept in fp32 for their own gradients."""
    with torch.enable_grad():
        leaves = inputs.map(lambda tensor: tensor.detach().requires_grad_())
        z, _ = _mixed(structure, kind, leaves)
        names = [name for name in DIFFERENTIABLE if getattr(leaves, name) is not None]
        found = torch.autograd.grad(z, [getattr(leaves, name) for name in names], dz.float(), allow_unused=True)
    return replace(Inputs(found[names.index("v")]), **dict(zip(names, found)))


def _mixed(structure: Structure, kind: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    if inputs.segments is None:
        return _sequence(structure, kind, inputs)

    def run(part: Structure, moved: Inputs) -> Mixed:
        return Mixed(*_sequence(part, kind, moved), terms_of(part, None))

    return mix_segments(structure, inputs, run)


def _sequence(structure: Structure, kind: str, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """``z`` and the states, fp32, of whole batch elements; differentiable."""
    work = work_of(structure, inputs.v, None, structure.state)
    scores = Scores(structure, inputs, BLOCK)
    q, k, v = (scores.rows(name) for name in ("q", "k", "v"))
    device = work.device
    strength = scores.rows("write").sigmoid() if kind == "delta" else None
    written = k if strength is None else strength * k
    readout = structure.readout
    assert readout is not None
    shares = _shares(scores, DIRECT, structure.direct, sole=False)
    alpha = shares[..., None] * written.index_select(1, structure.direct.index("sources", device))
    beta = _shares(scores, RECURRENT, structure.recurrent, structure.read_once)[..., None]
    gamma = q.index_select(1, readout.index("targets", device))
    bias = scores.bias(READOUT, readout)
    if bias is not None:
        gamma = gamma * bias.exp().repeat(scores.batch, 1)[..., None]
    if inputs.gate is not None:
        sums = _decay_sums(structure, inputs).unflatten(0, (len(q), -1)).mT
        beta = beta * _decays(sums, structure.recurrent)
        gamma = gamma * _decays(sums, readout)
    outputs = None if inputs.outputs is None else inputs.outputs.flatten(0, 1)
    z, y = _States.apply(alpha, beta, gamma, v, None if strength is None else k, strength, structure, work, outputs)
    shape = inputs.v.shape[:2]
    return z.unflatten(0, shape), y.unflatten(0, shape)


def _decays(sums: torch.Tensor, table: EdgeTable) -> torch.Tensor:
    """``exp`` of the ``log a`` from source to target: fp64 ``(groups, n, g)`` to fp32 ``(groups, edges, g)``."""
    at = [sums.index_select(1, table.index(name, sums.device)) for name in ("targets", "sources")]
    return torch.exp(at[0] - at[1]).float()


def solve(structure: Structure, values: EdgeValues) -> Mixed:
    """The mixer with state expansion for given coefficients."""
    alpha, beta, gamma, x = _grouped(values)
    work = work_of(structure, values.x, None, structure.state)
    z, y = _forward(alpha, beta, gamma, x, None, None, structure, work, None)
    shape, dtype = values.x.shape[:2], values.x.dtype
    return Mixed(z.unflatten(0, shape).to(dtype), y.unflatten(0, shape).to(dtype), terms_of(structure, None))


def solve_backward(structure: Structure, values: EdgeValues, y: torch.Tensor, dz: torch.Tensor) -> EdgeValues:
    """Gradients of given coefficients and rows."""
    alpha, beta, gamma, x = _grouped(values)
    work = work_of(structure, values.x, None, structure.state)
    states, slope = (tensor.flatten(0, 1).float().contiguous() for tensor in (y, dz))
    found = _backward(alpha, beta, gamma, x, None, None, states, slope, structure, work)
    return EdgeValues(*(gradient.view(value.shape) for gradient, value in zip(found, values) if value is not None))  # type: ignore[union-attr]


def _grouped(values: EdgeValues) -> tuple[torch.Tensor, ...]:
    assert values.gamma is not None
    return tuple(tensor.flatten(0, 1).float().contiguous() for tensor in values if tensor is not None)


class _States(torch.autograd.Function):
    """The states and what is read from them, differentiable in edge values, rows, keys and strengths."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        tensors: Any = [None if tensor is None else tensor.contiguous() for tensor in arguments[:6]]
        ctx.structure, ctx.work = arguments[6:8]
        z, y = _forward(*tensors, *arguments[6:])
        ctx.save_for_backward(*tensors, y)
        ctx.mark_non_differentiable(y)
        return z, y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        arguments: Any = (*ctx.saved_tensors, gradients[0].contiguous(), ctx.structure, ctx.work)
        found = _backward(*arguments)
        return (*found, None, None, None)


# --- launches -------------------------------------------------------------------------------------------


def _forward(
    alpha: torch.Tensor,
    beta: torch.Tensor,
    gamma: torch.Tensor,
    x: torch.Tensor,
    key: torch.Tensor | None,
    strength: torch.Tensor | None,
    structure: Structure,
    work: Work,
    outputs: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    groups, n, width = x.shape
    y, z = x.new_empty(groups, n, structure.state, width), x.new_zeros(groups, n, width)
    if outputs is not None:
        y[:, : structure.known] = outputs
    options = _options(structure, beta, key, work, width, groups)
    launch.run(
        state_kernels.states, work, (groups, -(-width // options["BLOCK_W"])),
        *_tables(structure, work.device), alpha, beta, gamma, *_numbers(structure),
        x, _or(key, x), _or(strength, x), y, z, n, structure.known, structure.state, width, **options,
    )  # fmt: skip
    return z, y


def _backward(
    alpha: torch.Tensor,
    beta: torch.Tensor,
    gamma: torch.Tensor,
    x: torch.Tensor,
    key: torch.Tensor | None,
    strength: torch.Tensor | None,
    y: torch.Tensor,
    dz: torch.Tensor,
    structure: Structure,
    work: Work,
) -> tuple[torch.Tensor | None, ...]:
    groups, n, width = x.shape
    adjoint, dx = torch.zeros_like(y), torch.zeros_like(x)
    tables, numbers = _tables(structure, work.device), _numbers(structure)
    options = _options(structure, beta, key, work, width, groups)
    launch.run(
        state_kernels.states_adjoint, work, (groups, -(-width // options["BLOCK_W"])),
        *tables, alpha, beta, gamma, *numbers, _or(key, x), _or(strength, x), dz, adjoint, dx,
        n, structure.state, width, **options,
    )  # fmt: skip
    into = [torch.zeros_like(tensor) for tensor in (alpha, beta, gamma)]
    dkey, dstrength = (None if tensor is None else torch.empty_like(tensor) for tensor in (key, strength))
    options |= {"BLOCK_W": max(16, triton.next_power_of_2(width))}
    del options["CHAIN"]
    options["num_warps"] = _warps(options)
    launch.run(
        state_kernels.edge_gradients, work, (groups * n,),
        *tables, beta, *numbers, x, _or(key, x), _or(strength, x), y, dz, adjoint, *into,
        _or(dkey, x), _or(dstrength, x), n, structure.state, width, **options,
    )  # fmt: skip
    return (*into, dx, dkey, dstrength)


def _or(tensor: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    return other if tensor is None else tensor


def _numbers(structure: Structure) -> tuple[int, ...]:
    return tuple(part.number for part in structure.parts)


def _tables(structure: Structure, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Row limits and sources of each part, int64 on the device."""

    def make() -> tuple[torch.Tensor, ...]:
        arrays = [array for part in structure.parts for array in (part.indptr, part.sources)]
        return tuple(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays)

    tables: tuple[torch.Tensor, ...] = remembered(structure, ("rows", str(device)), make)
    return tables


def chain(structure: Structure) -> bool:
    """Whether every step reads the output just before it at most, and only its own output is read out.

    >>> import glmix_theory as glm
    >>> from glmix_theory.export.structure import structure_of
    >>> chain(structure_of(glm.catalogue["gla"], 5)), chain(structure_of(glm.catalogue["log_linear_attention"], 5))
    (True, False)
    """
    recurrent, readout = structure.recurrent, structure.readout
    previous = bool((recurrent.targets - recurrent.sources == 1).all())
    return previous and readout is not None and bool((readout.targets == readout.sources).all())


def _options(
    structure: Structure, beta: torch.Tensor, key: torch.Tensor | None, work: Work, width: int, groups: int
) -> dict[str, Any]:
    kind = 3 if beta.dim() == 4 else 2 if beta.shape[2] > 1 else 1
    options = {
        "BETA": kind,
        "HAS_KEY": key is not None,
        "CHAIN": chain(structure),
        "BLOCK_R": max(16, triton.next_power_of_2(structure.state)),
        "BLOCK_W": launch.width_of(work, width, groups),
    }
    return options | {"num_warps": _warps(options)}


def _warps(options: dict[str, Any]) -> int:
    """A warp for each 16 × 64 numbers of a state, so that a few such matrices fit in registers."""
    return max(4, min(16, options["BLOCK_R"] * options["BLOCK_W"] // 1024))
