"""Decoding on a CUDA device: the slot plan as tables on the device, one launch a step.

``GLMixer.step`` runs it wherever the Triton backend is chosen. So far it has only been run interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton

from glmix_theory.complexity.slots import SlotPlan, Steps
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.kinds import KINDS
from glmix_theory.export.stepping import Rule, lag_classes
from glmix_theory.export.triton import decode_kernels, launch
from glmix_theory.export.triton.launch import Work
from glmix_theory.export.triton.mixing import WEIGHTS

WINDOW = 256
"""Steps that tables are made for at once, at most."""

WINDOW_TERMS = 1 << 20
"""About as many terms are in them at most, 8 MiB: a dense mixer would otherwise need half as much as its cache."""


@dataclass(frozen=True, eq=False)
class DeviceSteps:
    """Consecutive steps of a slot plan as tables on a device, and where each sequence and head stands in them.

    A launch reads from the device which of the steps it takes, and counts it, so every launch has the same
    arguments and a CUDA graph that captured one repeats it for the steps that follow, up to ``steps.stop``.

    Parameters
    ----------
    steps : Steps
        The steps.
    tables : tuple of int32 tensors
        Limits, slots and lag classes of the reads of each part; slots to write inputs and outputs to.
    position : int32 tensor (batch · heads,)
        Steps that each program has taken.
    """

    steps: Steps
    tables: tuple[torch.Tensor, ...]
    position: torch.Tensor

    @classmethod
    def of(cls, plan: SlotPlan, start: int, stop: int, programs: int, device: torch.device) -> DeviceSteps:
        """The tables of some steps; the first launch takes step ``start``.

        Parameters
        ----------
        plan : SlotPlan
            Of the mixer.
        start, stop : int
            The steps, ``start < stop``; their tables take 8 bytes a term.
        programs : int
            Batch elements times heads.
        device : torch.device
            Of the cache.
        """
        steps = plan.steps(start, stop)
        mixer = plan.mixer
        tables: list[np.ndarray] = []
        patterns = (mixer.direct, mixer.recurrent, mixer.readout)
        for pattern, reads in zip(patterns, (steps.direct, steps.recurrent, steps.readout)):
            if pattern is None or reads is None:
                tables += [np.zeros(0)] * 3
                continue
            targets = start + np.repeat(np.arange(stop - start), np.diff(reads.indptr))
            tables += [reads.indptr, reads.slots, lag_classes(pattern, targets, reads.sources)]
        tables += [steps.input_slots, steps.output_slots]
        # One spare entry each: no table is empty, and a kernel may form the address after the last.
        placed = tuple(torch.from_numpy(np.append(t, 0).astype(np.int32)).to(device) for t in tables)
        return cls(steps, placed, torch.zeros(programs, dtype=torch.int32, device=device))

    @classmethod
    def ahead(cls, plan: SlotPlan, start: int, programs: int, device: torch.device) -> DeviceSteps:
        """As :meth:`of`, the next :data:`WINDOW` steps, fewer where they have many terms."""
        terms = sum(len(sources) for sources in plan.mixer.sources(start).values())
        number = max(1, min(WINDOW, WINDOW_TERMS // max(1, terms)))
        return cls.of(plan, start, start + number, programs, device)


def step(
    rule: Rule,
    steps: DeviceSteps,
    own: Inputs,
    storage: torch.Tensor,
    decays: torch.Tensor,
    total: torch.Tensor,
    z: torch.Tensor,
) -> None:
    """One position of every sequence and head: read the slots, mix, write ``z`` and the new rows.

    Parameters
    ----------
    rule : Rule
        Of the layer.
    steps : DeviceSteps
        Advanced by one, on the device. There are as many launches as steps at most: the caller counts.
    own : Inputs
        Of the new position, ``n = 1``, contiguous.
    storage, decays, total : tensors
        Of the cache, changed in place; ``(slots, batch, heads, rows, width)``, and fp64 sums of ``log a``.
    z : tensor (batch, heads, width)
        The result, in its dtype.
    """
    batch, heads, _, width = own.v.shape
    work = Work(batch, heads, 1, 1, 0, steps.position, storage.device, storage.dtype)
    nothing = storage

    def given(tensor: torch.Tensor | None) -> torch.Tensor:
        return nothing if tensor is None else tensor.contiguous()

    gate_width = 0 if own.gate is None else own.gate.shape[-1]
    classes = 0 if own.bias is None else own.bias.shape[2]
    inputs = (given(own.v), given(own.q), given(own.k), given(own.gate), gate_width, given(own.write))
    shared = (steps.position, *steps.tables, *inputs, given(own.bias), classes)
    slot_size = storage.stride(0)
    options: dict[str, Any] = {
        "HAS_BIAS": own.bias is not None,
        "HAS_GATE": own.gate is not None,
        "BLOCK_M": 16 if launch.INTERPRETED else 32,
        "BLOCK_W": max(16, triton.next_power_of_2(width)),
    }
    if rule.projected.expanded:
        state = rule.projected.state
        deep = max(16, triton.next_power_of_2(state))
        launch.run(
            decode_kernels.state_step, work, (batch * heads,), *shared, storage, slot_size,
            decays if rule.decays else total, decays.stride(0) if rule.decays else 0, total, rule.decays,
            z, heads, state, width, HAS_WRITE=own.write is not None, HAS_SUMS=rule.decays > 0, SOLE=rule.read_once,
            BLOCK_R=deep, num_warps=max(4, min(16, deep * options["BLOCK_W"] // 1024)), **options,
        )  # fmt: skip
        return
    kind = rule.projected.kind
    launch.run(
        decode_kernels.row_step, work, (batch * heads,), *shared, storage, slot_size, storage.shape[3],
        z, heads, width, width**-0.5, KIND=KINDS.index(kind), WEIGHT=WEIGHTS[kind], HAS_KEY=own.k is not None,
        HAS_READOUT=rule.mixer.readout is not None, num_warps=4, **options,
    )  # fmt: skip
