"""How fast a mixer runs on CPU: forward, forward + backward, one decode step, and peak memory.

Run with ``python benchmarks/cpu_layer.py``; ``--quick`` stops at n = 4096, ``--write`` puts the table into
``benchmarks/results/cpu_layer.md``. 8 heads of width 64, batch 1, fp32, softmax coefficients unless said
otherwise. Times are medians; every ratio is the median over pairs of calls that took turns in one process,
above 1 where this toolkit is faster. Peak memory is the growth of the resident set of a fresh process over
one forward + backward, inputs not counted. Exits with 1 where a target of the design is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch.nn import functional

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.export.structure import structure_of
from glmix_theory.progress import track
from glmix_theory.rendering import Table

HEADS, WIDTH = 8, 64
MIXERS = {"2^k": glm.Mixer(recurrent=glm.Offsets(2**k)), "k²+1": glm.Mixer(recurrent=glm.Offsets(k**2 + 1))}
TARGETS = {"2^k": {1024: 10, 4096: 30, 16384: 60}, "k²+1": {1024: 5, 4096: 8, 16384: 10}}
RESULTS = Path(__file__).parent / "results" / "cpu_layer.md"
# Products of two rows of 64 numbers, or a row added times a number: for each edge, forward and backward.
FORWARD_PASSES, BACKWARD_PASSES = 2, 5


def draw(n: int, batch: int = 1) -> list[torch.Tensor]:
    """Queries, keys, values and a gradient."""
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(batch, HEADS, n, WIDTH, generator=generator) for _ in range(4)]


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def pairs(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median seconds of both and the median ratio peer / ours, over calls that take turns, after one warm-up each."""
    ours()
    if repeats > 1:
        peer()
    measured = []
    for _ in range(repeats):
        other = seconds(peer)
        # Three short calls against a long one: the noise of this side is halved at little cost.
        own = statistics.median(seconds(ours) for _ in range(3))
        measured.append((own, other, other / own))
    return tuple(statistics.median(column) for column in zip(*measured))  # type: ignore[return-value]


def machine_limits() -> tuple[float, float]:
    """Bytes a second of a triad over arrays beyond the caches, and flops a second of a large fp32 product."""
    b, c, out = (torch.rand(1 << 26) for _ in range(3))
    triad = min(seconds(lambda: torch.add(b, c, alpha=3.0, out=out)) for _ in range(5))
    square = torch.rand(2048, 2048)
    product = min(seconds(lambda: square @ square) for _ in range(5))
    return 3 * 4 * len(b) / triad, 2 * 2048**3 / product


def forward_rows(table: Table, lengths: list[int], limits: tuple[float, float]) -> list[str]:
    """Forward and forward + backward against SDPA; returns the targets that were missed."""
    missed = []
    jobs = [(n, name) for n in lengths for name in MIXERS]
    for n, name in track(jobs, "forward and backward"):
        q, keys, v, dz = draw(n)
        mixer = MIXERS[name]
        leaves = [tensor.clone().requires_grad_() for tensor in (q, keys, v)]
        repeats = {1024: 15, 4096: 7, 16384: 3}.get(n, 1)

        def both(z: Callable[[], torch.Tensor], leaves=leaves, dz=dz) -> None:
            torch.autograd.grad(z(), leaves, dz)

        calls = {
            "forward": (
                lambda mixer=mixer, q=q, keys=keys, v=v: glm.mix(mixer, q, keys, v),
                lambda q=q, keys=keys, v=v: functional.scaled_dot_product_attention(q, keys, v, is_causal=True),
            ),
            "forward + backward": (
                lambda mixer=mixer, leaves=leaves: both(lambda: glm.mix(mixer, *leaves)),
                lambda leaves=leaves: both(lambda: functional.scaled_dot_product_attention(*leaves, is_causal=True)),
            ),
        }
        edges = sum(part.number for part in structure_of(mixer, n).parts) * HEADS
        for what, (ours, peer) in calls.items():
            own, other, ratio = pairs(ours, peer, repeats)
            passes = FORWARD_PASSES + (BACKWARD_PASSES if "backward" in what else 0)
            rows = 4 if what == "forward" else 12  # q, k, v, z; then these, dz and three gradients
            share = [rows * n * HEADS * WIDTH * 4 / own / limits[0], 2 * WIDTH * passes * edges / own / limits[1]]
            goal = TARGETS[name].get(n)
            if goal is not None and ratio < goal:
                missed.append(f"{name}, {what}, n = {n}: {ratio:.1f}×, {goal}× is the target")
            table.rows.append(
                [
                    *(name, what, str(n), f"{1e3 * own:.2f}", "SDPA", f"{1e3 * other:.1f}", f"{ratio:.1f}×"),
                    *("–" if goal is None else f"≥ {goal}×", f"{share[0]:.0%} / {share[1]:.0%}"),
                ]
            )
    return missed


def decode_rows(table: Table, lengths: list[int]) -> None:
    """One step of a cache against SDPA over all keys and values."""
    for n, name in track([(n, name) for n in lengths for name in MIXERS], "decode"):
        layer = glm.to_torch(MIXERS[name], HEADS * WIDTH, HEADS).requires_grad_(False)
        steps = 200
        _, cache = layer.prefill(torch.randn(1, n, HEADS * WIDTH), horizon=n + 8 * steps)
        own = layer._inputs(torch.randn(1, 1, HEADS * WIDTH))
        q, keys, v, _ = draw(n + 1)
        query = q[:, :, :1]

        def peer(query=query, keys=keys, v=v, n=n, own=own) -> None:
            keys[:, :, n], v[:, :, n] = own.k[:, :, 0], own.v[:, :, 0]
            functional.scaled_dot_product_attention(query, keys, v)

        def step(cache=cache, own=own) -> None:
            cache.advance(own)

        with torch.inference_mode():
            own_time, other, ratio = pairs(step, peer, steps)
        table.rows.append(
            [
                *(name, "decode step", str(n), f"{1e3 * own_time:.3f}", "SDPA, KV cache", f"{1e3 * other:.3f}"),
                *(f"{ratio:.1f}×", "> 1×", "–"),
            ]
        )


def peer_rows(table: Table, quick: bool) -> None:
    """Patterns with another natural peer."""
    n = 1024 if quick else 4096
    q, keys, v, _ = draw(n)
    dense = glm.Mixer(recurrent=glm.Dense().strict())
    strict = torch.ones(n, n).tril(-1).bool()
    identity = torch.eye(n)

    def dense_peer() -> torch.Tensor:
        scores = (q @ keys.mT) / WIDTH**0.5
        weights = scores.masked_fill(~(strict | identity.bool()), float("-inf")).softmax(-1)
        own = weights.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
        return torch.linalg.solve_triangular(identity - weights * strict, own * v, upper=False)

    cases: list[tuple[str, Callable[[], object], str, Callable[[], object]]] = [
        ("dense recurrence", lambda: glm.mix(dense, q, keys, v), "dense solve_triangular", dense_peer)
    ]
    window = glm.Mixer(direct=glm.Window(256))
    flexible = compiled_window(n, 256)
    if flexible is not None:
        cases.append(
            ("window of 256, direct", lambda: glm.mix(window, q, keys, v), "compiled flex_attention",
             lambda: flexible(q, keys, v))
        )  # fmt: skip
    short = 256 if quick else 1024
    delta = glm.catalogue.entry("delta_net").build(state=WIDTH)
    dq, dk, dv, _ = draw(short)
    dk, write = functional.normalize(dk, dim=3), torch.zeros(1, HEADS, short, 1)
    cases.append(
        ("DeltaNet, 64 state rows", lambda: glm.mix(delta, dq, dk, dv, write=write), "token loop as in fla's naive",
         lambda: naive_delta_rule(dq, dk, dv, write.sigmoid()))
    )  # fmt: skip
    for name, ours, peer_name, peer in track(cases, "other peers"):
        own, other, ratio = pairs(ours, peer, 3)
        length = short if "DeltaNet" in name else n
        table.rows.append(
            [
                name,
                "forward",
                str(length),
                f"{1e3 * own:.2f}",
                peer_name,
                f"{1e3 * other:.1f}",
                f"{ratio:.1f}×",
                "–",
                "–",
            ]
        )


def compiled_window(n: int, window: int) -> Callable[..., torch.Tensor] | None:
    """``flex_attention`` over a sliding window, or ``None`` where this machine cannot compile it."""
    try:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        mask = create_block_mask(lambda b, h, t, s: (s <= t) & (t - s < window), 1, 1, n, n, device="cpu")
        compiled = torch.compile(flex_attention)
        q, keys, v, _ = draw(n)
        compiled(q, keys, v, block_mask=mask)
    except Exception as error:  # compilers fail in their own ways
        print(f"flex_attention is left out: {type(error).__name__}: {str(error).splitlines()[0]}")
        return None
    return lambda q, keys, v: compiled(q, keys, v, block_mask=mask)


def naive_delta_rule(q: torch.Tensor, keys: torch.Tensor, v: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """The delta rule token by token, as the reference of flash-linear-attention (``ops/delta_rule/naive.py``)."""
    state, outputs = torch.zeros(*q.shape[:2], q.shape[3], v.shape[3]), []
    for t in range(q.shape[2]):
        key, row = keys[:, :, t], v[:, :, t]
        row = (row - (state * key[..., None]).sum(-2)) * beta[:, :, t]
        state = state + key.unsqueeze(-1) * row.unsqueeze(-2)
        outputs.append((q[:, :, t].unsqueeze(-1) * state).sum(-2))
    return torch.stack(outputs, dim=2)


_PEAK = """
import sys, torch, glmix_theory as glm
from glmix_theory import k
import torch.nn.functional as F
what, n = sys.argv[1], int(sys.argv[2])
mixers = {"2^k": glm.Offsets(2**k), "k²+1": glm.Offsets(k**2 + 1)}
def run(leaves, dz):
    z = F.scaled_dot_product_attention(*leaves, is_causal=True) if what == "SDPA" else glm.mix(
        glm.Mixer(recurrent=mixers[what]), *leaves)
    torch.autograd.grad(z, leaves, dz)
def tensors(n):
    return [torch.randn(1, 8, n, 64).requires_grad_() for _ in range(3)], torch.randn(1, 8, n, 64)
run(*tensors(64))
given = tensors(n)
if what != "SDPA":
    from glmix_theory.export.structure import structure_of
    structure_of(glm.Mixer(recurrent=mixers[what]), n)
def resident(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
open("/proc/self/clear_refs", "w").write("5")  # the peak starts again from what is resident now
before = resident("VmRSS")
run(*given)
print(resident("VmHWM") - before)
"""


def memory_table(lengths: list[int]) -> Table:
    """Growth of the resident set over one forward + backward, each in a fresh process."""
    table = Table(["n", "z and three gradients, MB", "2^k, MB", "k²+1, MB", "SDPA, MB", "n × n, MB"])
    for n in track(lengths, "peak memory"):
        grown = []
        for what in ("2^k", "k²+1", "SDPA"):
            command = [sys.executable, "-c", _PEAK, what, str(n)]
            grown.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6)
        row = n * HEADS * WIDTH * 4 / 1e6
        table.rows.append(
            [str(n), f"{4 * row:.0f}", *(f"{size:.0f}" for size in grown), f"{n * n * HEADS * 4 / 1e6:.0f}"]
        )
    return table


def main() -> None:
    """Measure, print, write, and fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="stop at n = 4096")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    started = time.perf_counter()
    lengths = [1024, 4096] if options.quick else [1024, 4096, 16384, 65536]
    limits = machine_limits()
    columns = ["mixer", "what", "n", "ms", "peer", "peer, ms", "peer / ours", "target", "of bandwidth / of flops"]
    table = Table(columns)
    missed = forward_rows(table, lengths, limits)
    decode_rows(table, lengths)
    peer_rows(table, options.quick)
    memory = memory_table([length for length in lengths if length <= 16384 and sys.platform == "linux"])
    import numba

    flags = "".join(f" --{name}" for name in ("quick", "write") if getattr(options, name))
    text = "\n".join(
        [
            "# Mixers on CPU",
            "",
            f"{date.today()}, `python benchmarks/cpu_layer.py{flags}`, "
            f"{time.perf_counter() - started:.0f} s; {platform.processor() or platform.machine()}, "
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; torch {torch.__version__}, numba "
            f"{numba.__version__}, Python {platform.python_version()}.",
            "",
            f"Batch 1, {HEADS} heads of width {WIDTH}, fp32. Limits of this machine, measured in the same run: "
            f"{limits[0] / 1e9:.1f} GB/s (triad), {limits[1] / 1e9:.0f} Gflop/s (2048³ product). The last column: "
            "bytes that inputs and results must move at least, and multiplications and additions done, as shares "
            "of these. At n = 65536 SDPA ran once.",
            "",
            table.to_markdown(),
            "",
            "Peak memory of forward + backward beyond the inputs; the first column of sizes is what the results need.",
            "",
            memory.to_markdown(),
            "",
            "Targets missed: " + ("none." if not missed else "; ".join(missed) + "."),
            "",
        ]
    )
    print(text)
    if options.write:
        RESULTS.write_text(text)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
