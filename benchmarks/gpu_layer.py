"""The layer's core on a CUDA device against flash attention and fla's chunked kernels, in one run.

Run with ``python benchmarks/gpu_layer.py``; ``--quick`` takes a corner of the grid, ``--dry-run`` takes tiny shapes
and a clock that only counts, on any machine, so that the script is tested where there is no device. Tables
and a plot go to ``benchmarks/results/gpu_layer.md`` and ``.png``. Times are medians over rounds in which all
competitors take turns; the distance from the device's limits uses a copy and a matrix product of the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

if "--dry-run" in sys.argv:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton asks for it while it is loaded

import torch
from torch.nn.functional import normalize, scaled_dot_product_attention

import glmix_theory as glm
from glmix_theory.errors import DeviceError
from glmix_theory.export.availability import triton_available
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.structure import structure_of
from glmix_theory.progress import track
from glmix_theory.rendering import Table

RESULTS = Path(__file__).parent / "results"
OURS = {
    "2^k": glm.catalogue["exponential_recurrence"],
    "2^k, cache-efficient": glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)),
    "k²+1": glm.catalogue["quadratic_recurrence"],
}
FLASH, DELTA, LOG_LINEAR = "flash SDPA", "fla delta rule", "fla log-linear"
MODES = ("forward", "forward + backward")


@dataclass(frozen=True)
class Grid:
    """What is measured."""

    programs: tuple[int, ...] = (8, 32, 128)
    """Batch elements times heads."""
    heads: tuple[int, ...] = (64, 128)
    """Channels of a head."""
    lengths: tuple[int, ...] = (1024, 4096, 8192, 16384, 65536, 131072)
    rounds: int = 7
    decoded: tuple[int, ...] = (1024, 4096, 16384, 65536)


QUICK = Grid(programs=(32,), heads=(64,), lengths=(4096, 8192, 65536), decoded=(4096, 65536))
DRY = Grid(programs=(1,), heads=(16,), lengths=(16, 32), rounds=1, decoded=(8,))


class Clock(Protocol):
    """Measures a call in seconds, and the most bytes it had allocated."""

    def time(self, call: Callable[[], object]) -> float:
        """Seconds of one call."""

    def peak(self, call: Callable[[], object]) -> int:
        """Bytes allocated during a call, beyond what was there."""


class DeviceClock:
    """CUDA events around a call."""

    def time(self, call: Callable[[], object]) -> float:
        """Seconds between two events on the device."""
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(stop)) / 1e3

    def peak(self, call: Callable[[], object]) -> int:
        """From the allocator's own count."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before


@dataclass
class CountingClock:
    """Runs each call and answers with ever larger numbers: for tests of the script."""

    calls: int = 0

    def time(self, call: Callable[[], object]) -> float:
        """The number of the call, in milliseconds."""
        call()
        self.calls += 1
        return self.calls * 1e-3

    def peak(self, call: Callable[[], object]) -> int:
        """The number of the call, in MiB."""
        call()
        self.calls += 1
        return self.calls << 20


def require_device() -> torch.device:
    """The CUDA device to measure on.

    Raises
    ------
    DeviceError
        There is none, or the Triton backend cannot run on it.
    """
    if not torch.cuda.is_available():
        raise DeviceError("no CUDA device is present; this benchmark needs one, or --dry-run to test the script")
    device = torch.device("cuda", torch.cuda.current_device())
    if reason := triton_available(device):
        raise DeviceError(f"the Triton backend cannot run: {reason}")
    return device


@dataclass
class Run:
    """A device, a clock and what was found."""

    device: torch.device
    clock: Clock
    grid: Grid
    seconds: dict[tuple[Any, ...], float] = field(default_factory=dict)
    bytes: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def measure(self, key: tuple[Any, ...], calls: dict[str, Callable[[], object]]) -> None:
        """Medians of rounds in which the competitors take turns, after one round that compiles; and peaks."""
        ready = {}
        for name, call in calls.items():
            try:
                call()
                ready[name] = call
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
        times: dict[str, list[float]] = {name: [] for name in ready}
        for _ in range(self.grid.rounds):
            for name, call in ready.items():
                times[name].append(self.clock.time(call))
        for name, call in ready.items():
            self.seconds[*key, name] = statistics.median(times[name])
            self.bytes[*key, name] = self.clock.peak(call)

    def limits(self) -> tuple[float, float]:
        """Bytes and floating-point operations a second of a copy and a bf16 product."""
        size = 1 << (13 if self.device.type == "cuda" else 4)
        x = torch.randn(size, size, device=self.device, dtype=torch.bfloat16)
        y = torch.empty_like(x)
        self.measure(("limits",), {"copy": lambda: y.copy_(x), "product": lambda: torch.mm(x, x, out=y)})
        return 2 * x.nbytes / self.seconds["limits", "copy"], 2 * size**3 / self.seconds["limits", "product"]


def competitors(
    run: Run, programs: int, n: int, width: int
) -> dict[str, tuple[Callable[..., Any], list[torch.Tensor]]]:
    """Functions of tensors, by name: ours, flash attention and what fla has, where it is installed."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=run.device, dtype=torch.bfloat16, requires_grad=True)

    backend = "triton" if run.device.type == "cuda" else "torch"
    rows = [draw(1, programs, n, width) for _ in range(3)]
    found: dict[str, tuple[Callable[..., Any], list[torch.Tensor]]] = {
        name: (lambda q, k, v, mixer=mixer: glm.mix(mixer, q, k, v, backend=backend), rows)
        for name, mixer in OURS.items()
    }
    found[FLASH] = (_flash, rows)
    if run.device.type == "cuda":
        by_position = [draw(1, n, programs, width) for _ in range(3)]
        gates = draw(1, n, programs)
        try:
            from fla.ops.delta_rule import chunk_delta_rule
            from fla.ops.log_linear_attn import chunk_log_linear_attn
        except ImportError:
            return found
        levels = draw(1, n, programs, max(1, (n - 1).bit_length() + 1))
        found[DELTA] = (
            lambda q, k, v, b: chunk_delta_rule(q, normalize(k, dim=3), v, b.sigmoid())[0],
            [*by_position, gates],
        )
        found[LOG_LINEAR] = (
            lambda q, k, v, g, s: chunk_log_linear_attn(q, k, v, -g.float().exp(), s.float())[0],
            [*by_position, gates, levels],
        )
    return found


def _flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    if q.device.type != "cuda":
        return scaled_dot_product_attention(q, k, v, is_causal=True)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return scaled_dot_product_attention(q, k, v, is_causal=True)


def run_layers(run: Run) -> None:
    """Forward, and forward with backward, over the grid."""
    grid = run.grid
    cases = [(p, w, n) for p in grid.programs for w in grid.heads for n in grid.lengths]
    for programs, width, n in track(cases, "layers"):
        functions = competitors(run, programs, n, width)

        def forward(function: Callable[..., Any], tensors: list[torch.Tensor]) -> Callable[[], object]:
            def call() -> object:
                with torch.no_grad():
                    return function(*tensors)

            return call

        def both(function: Callable[..., Any], tensors: list[torch.Tensor]) -> Callable[[], object]:
            def call() -> object:
                z = function(*tensors)
                return torch.autograd.grad(z, tensors, torch.ones_like(z))

            return call

        for mode, made in zip(MODES, (forward, both)):
            run.measure((mode, programs, width, n), {name: made(*given) for name, given in functions.items()})


def run_decoding(run: Run) -> None:
    """A decode step at position ``n`` of all sequences and heads, as a graph, against attention over ``n`` rows."""
    for n in run.grid.decoded:
        for programs in run.grid.programs:
            width = run.grid.heads[0]
            calls = {name: decode_step(run, mixer, programs, n, width) for name, mixer in OURS.items()}
            q, k, v = (torch.randn(1, programs, m, width, device=run.device, dtype=torch.bfloat16) for m in (1, n, n))
            calls[FLASH] = captured(run, lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v))
            run.measure(("decode", programs, width, n), calls)


def decode_step(run: Run, mixer: glm.Mixer, programs: int, n: int, width: int) -> Callable[[], object]:
    """A launch of our decode kernel that always takes step ``n``."""
    from glmix_theory.export.projections import Projected
    from glmix_theory.export.stepping import Rule
    from glmix_theory.export.triton import decode

    rule = Rule.of(mixer, Projected.of(mixer, width, "auto", False), programs)
    plan = glm.SlotPlan(mixer)
    storage = torch.randn(plan.peak(n + 1), 1, *rule.slot_shape, device=run.device).to(torch.bfloat16)
    steps = decode.DeviceSteps.of(plan, n, n + 1, programs, run.device)
    rows = [torch.randn(1, programs, 1, width, device=run.device, dtype=torch.bfloat16) for _ in range(3)]
    none = torch.empty(1, device=run.device, dtype=torch.float64)
    z = torch.empty(1, programs, width, device=run.device, dtype=torch.bfloat16)

    def call() -> None:
        decode.step(rule, steps, Inputs(*rows), storage, none, none, z)
        steps.position.fill_(n)

    return captured(run, call)


def captured(run: Run, call: Callable[[], object]) -> Callable[[], object]:
    """The call as a CUDA graph, so that launching from Python is not what is measured."""
    if run.device.type != "cuda":
        return call
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def tables(run: Run, bandwidth: float, rate: float) -> list[Table]:
    """Times, ratios to flash attention, peak memory and distance from the device's limits."""
    names = [*OURS, DELTA, LOG_LINEAR]
    made = []
    for mode in (*MODES, "decode"):
        table = Table(["batch × heads", "head", "n", f"{FLASH}, ms", *(f"{x}, ms (speed)" for x in names)], title=mode)
        memory = Table(["batch × heads", "head", "n", FLASH, *names], title=f"{mode}: peak MiB")
        near = Table(["batch × heads", "head", "n", *OURS], title=f"{mode}: share of the device's limit")
        for key in _keys(run, mode):
            base = run.seconds.get((*key, FLASH))
            cells = [_ms(run.seconds.get((*key, name)), base) for name in names]
            table.rows.append([*map(str, key[1:]), _ms(base, None), *cells])
            peaks = [run.bytes.get((*key, name)) for name in (FLASH, *names)]
            memory.rows.append([*map(str, key[1:]), *("–" if p is None else f"{p / 2**20:.1f}" for p in peaks)])
            if mode != "decode":
                shares = [_share(run, key, name, mixer, bandwidth, rate) for name, mixer in OURS.items()]
                near.rows.append([*map(str, key[1:]), *shares])
        made += [table, memory] if mode == "decode" else [table, memory, near]
    return made


def _keys(run: Run, mode: str) -> Iterable[tuple[Any, ...]]:
    return dict.fromkeys(key[:-1] for key in run.seconds if key[0] == mode)


def _ms(seconds: float | None, base: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1e3:.3f}" + ("" if base is None else f" ({base / seconds:.2f}×)")


def _share(run: Run, key: tuple[Any, ...], name: str, mixer: glm.Mixer, bandwidth: float, rate: float) -> str:
    """Least time of the rows and terms, by bandwidth and by products, over the time measured."""
    seconds = run.seconds.get((*key, name))
    if seconds is None:
        return "–"
    mode, programs, width, n = key
    terms = sum(part.number for part in structure_of(mixer, n).parts)
    rows, products = (4, 2) if mode == "forward" else (11, 7)  # q k v y; and q k v y dz dq dk dv once more
    least = max(rows * programs * n * width * 2 / bandwidth, products * 2 * programs * terms * width / rate)
    return f"{least / seconds:.1%}"


def plot(run: Run, path: Path) -> None:
    """Forward + backward against length, at the middle number of programs and the first head."""
    import matplotlib.pyplot as plt

    programs, width = run.grid.programs[len(run.grid.programs) // 2], run.grid.heads[0]
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in (*OURS, FLASH, DELTA, LOG_LINEAR):
        points = [(n, run.seconds.get((MODES[1], programs, width, n, name))) for n in run.grid.lengths]
        points = [(n, seconds * 1e3) for n, seconds in points if seconds is not None]
        if points:
            axes.loglog(*zip(*points), marker="o", label=name)
    axes.set(xlabel="length n", ylabel="ms, forward + backward", title=f"batch × heads {programs}, head {width}, bf16")
    axes.legend()
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def main(arguments: list[str] | None = None, results: Path = RESULTS) -> int:
    """Measure, print and write; 2 without a device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes and a clock that counts; writes nothing")
    chosen = parser.parse_args(arguments)
    if chosen.dry_run:
        run = Run(torch.device("cuda" if torch.cuda.is_available() else "cpu"), CountingClock(), DRY)
    else:
        try:
            run = Run(require_device(), DeviceClock(), QUICK if chosen.quick else Grid())
        except DeviceError as error:
            print(f"DeviceError: {error}", file=sys.stderr)
            return 2
    bandwidth, rate = run.limits()
    run_layers(run)
    run_decoding(run)
    text = "\n\n".join(table.to_markdown() for table in tables(run, bandwidth, rate))
    if chosen.dry_run:
        print(f"DRY RUN: the numbers count calls, nothing was measured\n\n{text}")
        return 0
    name = torch.cuda.get_device_name(run.device)
    head = f"# Layers on {name}\n\nbf16; copy {bandwidth / 1e12:.2f} TB/s, product {rate / 1e12:.0f} TFLOP/s; "
    head += f"torch {torch.__version__}. In brackets: how many times faster than flash attention.\n\n"
    results.mkdir(exist_ok=True)
    (results / "gpu_layer.md").write_text(head + text + "\n", encoding="utf-8")
    plot(run, results / "gpu_layer.png")
    print(head + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
