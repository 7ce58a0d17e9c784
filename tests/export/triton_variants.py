"""Compile the Triton kernels for sm_90 without a device, and print what each needs: one JSON line a kernel.

A script, because a process either interprets Triton or compiles it. The backend itself runs, on CPU tensors,
with every launch replaced by a compilation; so what compiles here is what a device would be given.
``--all`` takes every combination of dtype, head and kind; otherwise each occurs with a few of the others.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget

import glmix_theory as glm
from glmix_theory.export.backend import EdgeValues
from glmix_theory.export.decode import Cache
from glmix_theory.export.inputs import Inputs, gate_widths, tensors_of
from glmix_theory.export.projections import Projected
from glmix_theory.export.stepping import Rule
from glmix_theory.export.structure import LAG_CLASSES, structure_of
from glmix_theory.export.triton import BACKEND, decode, launch, splitting

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
N = 200
PLAIN = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
FIRST = glm.Mixer(recurrent=glm.Lags([1]))
READ = glm.Mixer(direct=glm.Window(3), recurrent=glm.CacheEfficient(2**glm.k), readout=glm.Window(3))
DENSE = glm.Mixer(recurrent=glm.Dense().strict(), readout=glm.Dense())
CHAIN = glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=64)
TREE = glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), state=64)

ROWS = [(PLAIN, "softmax", False), (READ, "chacal", False), (READ, "signed", False), (READ, "gated", False)]
ROWS += [(PLAIN, "gated", True), (FIRST, "gated", True), (READ, "fixed", False), (DENSE, "delta", False)]
STATES = [(CHAIN, "gated", True), (CHAIN, "delta", False), (TREE, "fixed", False), (TREE, "delta", True)]
HALF, FULL = torch.bfloat16, torch.float32
FEW = [
    (PLAIN, "softmax", False, torch.bfloat16, 64),
    (READ, "signed", False, torch.float16, 128),
    (PLAIN, "gated", True, torch.bfloat16, 64),
    (READ, "fixed", False, torch.float32, 64),
    (FIRST, "gated", True, torch.float16, 64),
    (DENSE, "delta", False, torch.float32, 64),
    (CHAIN, "gated", True, torch.bfloat16, 64),
    (TREE, "delta", True, torch.float32, 128),
]
SPLIT = [
    (READ, "signed", False, torch.bfloat16, 128),
    (FIRST, "softmax", False, torch.float16, 64),
    (READ, "fixed", False, torch.float32, 64),
]
EVERY = [
    (mixer, kind, wide, dtype, head)
    for (mixer, kind, wide), dtype, head in itertools.product(
        ROWS + STATES, (torch.bfloat16, torch.float16, torch.float32), (64, 128)
    )
]


class Device:
    """Stands for a device of compute capability 9.0."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


EVERY_SPLIT = [
    (mixer, kind, False, dtype, head)
    for mixer, kind, dtype, head in itertools.product(
        (READ, FIRST), ("softmax", "signed", "fixed"), (torch.bfloat16, torch.float16, torch.float32), (64, 128)
    )
]
"""Cut into chunks, which is not chosen where there is one multiprocessor; a kernel knows a kind by its weights."""

seen: set[str] = set()


def compiled(kernel: Any, work: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Instead of a launch."""
    result = kernel.warmup(*arguments, grid=grid, **options)
    if result.hash in seen:
        return
    seen.add(result.hash)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(result.asm["cubin"])
        file.flush()
        command = [str(TOOLS / "cuobjdump"), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(re.search(rf"{name}:(\d+)", text)[1]) for name in ("REG", "STACK", "LOCAL"))
    found = {"kernel": kernel.__name__, "dtype": str(work.dtype), "registers": registers, "stack": stack}
    found |= {
        "local": local,
        "shared": result.metadata.shared,
        "target": re.search(r"\.target (\w+)", result.asm["ptx"])[1],
    }
    ptx = result.asm["ptx"]
    found["cached loads"] = ptx.count("ld.global.nc")
    found["after last store"] = re.findall(r"bar\.sync|bra", ptx.rpartition("st.global")[2])[:1]
    shown = {name: value for name, value in options.items() if name.isupper()}
    print(json.dumps(found | {"options": shown}), flush=True)


def drawn(mixer: glm.Mixer, kind: str, wide: bool, dtype: torch.dtype, head: int, n: int = N) -> Inputs:
    deep = mixer.state if mixer.state > 1 else head
    shapes = {"v": (1, 2, n, head), "q": (1, 2, n, deep), "k": (1, 2, n, deep), "write": (1, 2, n, 1)}
    shapes |= {"bias": (3, 2, LAG_CLASSES), "gate": (1, 2, n, gate_widths(mixer, kind, head)[-1 if wide else 0])}
    return Inputs(**{name: torch.randn(shapes[name]).to(dtype) for name in tensors_of(mixer, kind)[1]})


def mixed(mixer: glm.Mixer, kind: str, wide: bool, dtype: torch.dtype, head: int) -> None:
    """Forward and backward; state expansion with as many state rows as channels."""
    if mixer.state > 1:
        mixer = replace(mixer, state=head)
    structure, inputs = structure_of(mixer, N), drawn(mixer, kind, wide, dtype, head)
    result = BACKEND.mix(structure, kind, inputs)
    BACKEND.mix_backward(structure, kind, inputs, result.y, torch.randn(result.z.shape).to(dtype))


def solved(mixer: glm.Mixer, block: tuple[int, ...], dtype: torch.dtype) -> None:
    """Given coefficients, forward and backward."""
    structure, state = structure_of(mixer, N), (mixer.state,) if mixer.state > 1 else ()
    edges = [part.number for part in structure.parts]
    shapes = [(edges[0], *state), (edges[1], *block), (edges[2], *state) if len(edges) > 2 else None, (N, 64)]
    values = EdgeValues(*(None if shape is None else torch.randn(1, 2, *shape).to(dtype) for shape in shapes))
    result = BACKEND.solve(structure, values)
    BACKEND.solve_backward(structure, values, result.y, torch.randn(result.z.shape).to(dtype))


def decoded(mixer: glm.Mixer, kind: str, wide: bool, dtype: torch.dtype, head: int) -> None:
    """One decode step."""
    mixer = replace(mixer, coefficients=kind, state=head if mixer.state > 1 else 1)
    rule = Rule.of(mixer, Projected.of(mixer, head, "channel" if wide else "auto", False), 2)
    plan = glm.SlotPlan(mixer)
    cache = Cache(rule, plan, rule, 1, 64, False, dtype, torch.device("cpu"))
    steps = decode.DeviceSteps.of(plan, 0, 64, 2, torch.device("cpu"))
    own = drawn(mixer, kind, wide, dtype, head, n=1)
    decode.step(rule, steps, own, cache._storage, cache._decays, cache._total, torch.empty(1, 2, head, dtype=dtype))


def main() -> None:
    triton.runtime.driver.set_active(Device())
    launch.run = compiled
    everything = "--all" in sys.argv
    for variant in EVERY if everything else FEW:
        mixed(*variant)
    for dtype in (HALF, FULL) if everything else (HALF,):
        solved(PLAIN, (), dtype)
        for block in ((1,), (64,), (64, 64)):
            solved(TREE, block, dtype)
    for variant in EVERY if everything else FEW:
        decoded(*variant)
    splitting.chunks_of = lambda work, width, live: 2
    for variant in EVERY_SPLIT if everything else SPLIT:
        mixed(*variant)
    for dtype in (HALF, FULL) if everything else (HALF,):
        solved(FIRST, (), dtype)


if __name__ == "__main__":
    main()
