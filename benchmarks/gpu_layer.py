"""The layer's core on a CUDA device against flash attention and fla's chunked kernels, in one run.

Run with ``python benchmarks/gpu_layer.py``; ``--quick`` takes a corner of the grid, ``--dry-run`` takes tiny shapes
and a clock that only counts, on any machine, so that the script is tested where there is no device. Tables
and a plot go to ``benchmarks/results/gpu_layer.md`` and ``.png`` (``gpu_layer_quick`` with ``--quick``); tables are
written after every case, so a run that is cut off leaves them. A competitor that raises is left out of its case,
with a footnote. Times are medians over rounds in which all competitors take turns; the distance from the
device's limits uses a copy and a matrix product of the same run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

if "--dry-run" in sys.argv:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton asks for it while it is loaded

import torch
from gpu_competitors import (
    DELTA,
    FLASH,
    LOG_LINEAR,
    OURS,
    Call,
    attention_step,
    competitors,
    decode_step,
    forward,
    forward_and_backward,
)

import glmix_theory as glm
from glmix_theory.errors import DeviceError
from glmix_theory.export.availability import triton_available
from glmix_theory.export.structure import structure_of
from glmix_theory.progress import track
from glmix_theory.rendering import Table
from glmix_theory.study.store import provenance

RESULTS = Path(__file__).parent / "results"
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

    @property
    def cases(self) -> int:
        """How many there are, of all modes."""
        layers = len(self.programs) * len(self.heads) * len(self.lengths)
        return len(MODES) * layers + len(self.programs) * len(self.decoded)


QUICK = Grid(programs=(32,), heads=(64,), lengths=(4096, 8192, 65536), decoded=(4096, 65536))
DRY = Grid(programs=(1,), heads=(16,), lengths=(16, 32), rounds=1, decoded=(8,))


class Clock(Protocol):
    """Measures a call in seconds, and the most bytes it had allocated."""

    def time(self, call: Call) -> float:
        """Seconds of one call."""

    def peak(self, call: Call) -> int:
        """Bytes allocated during a call, beyond what was there."""


class DeviceClock:
    """CUDA events around a call."""

    def time(self, call: Call) -> float:
        """Seconds between two events on the device."""
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(stop)) / 1e3

    def peak(self, call: Call) -> int:
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

    def time(self, call: Call) -> float:
        """The number of the call, in milliseconds."""
        call()
        self.calls += 1
        return self.calls * 1e-3

    def peak(self, call: Call) -> int:
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
    """A device, a clock and what was found; keys are (mode, programs, width, n, competitor)."""

    device: torch.device
    clock: Clock
    grid: Grid
    after: Callable[[], object] = lambda: None
    """Called after every case."""
    cases: list[tuple[Any, ...]] = field(default_factory=list)
    seconds: dict[tuple[Any, ...], float] = field(default_factory=dict)
    bytes: dict[tuple[Any, ...], int] = field(default_factory=dict)
    failures: dict[tuple[Any, ...], str] = field(default_factory=dict)

    @contextmanager
    def noting(self, key: tuple[Any, ...]) -> Iterator[None]:
        """Note what is raised and go on, unless the device is lost."""
        try:
            yield
            return
        except Exception as error:  # a competitor may raise anything
            self.failures[key] = reason_of(error)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.synchronize()

    def measure(self, case: tuple[Any, ...], makers: dict[str, Callable[[], Call]]) -> None:
        """Medians of rounds in which the competitors take turns, after one round that compiles; and peaks."""
        self.cases.append(case)
        calls: dict[str, Call] = {}
        times: dict[str, list[float]] = {name: [] for name in makers}

        def ready() -> list[str]:
            return [name for name in calls if (*case, name) not in self.failures]

        for name, make in makers.items():
            with self.noting((*case, name)):
                calls[name] = make()
                calls[name]()
        for _ in range(self.grid.rounds):
            for name in ready():
                with self.noting((*case, name)):
                    times[name].append(self.clock.time(calls[name]))
        for name in ready():
            with self.noting((*case, name)):
                self.bytes[*case, name] = self.clock.peak(calls[name])
                self.seconds[*case, name] = statistics.median(times[name])
        self.after()

    def limits(self) -> tuple[float, float]:
        """Bytes and floating-point operations a second of a copy and a bf16 product."""
        size = 1 << (13 if self.device.type == "cuda" else 4)
        x = torch.randn(size, size, device=self.device, dtype=torch.bfloat16)
        y = torch.empty_like(x)
        medians = []
        for call in (lambda: y.copy_(x), lambda: torch.mm(x, x, out=y)):
            call()
            medians.append(statistics.median(self.clock.time(call) for _ in range(self.grid.rounds)))
        return 2 * x.nbytes / medians[0], 2 * size**3 / medians[1]


def reason_of(error: Exception) -> str:
    """In a line: compilers put what matters last, most others put it first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    return f"{type(error).__name__}: {' … '.join(dict.fromkeys((lines[0], lines[-1])))}"[:240]


def run_layers(run: Run) -> None:
    """Forward, and forward with backward, over the grid."""
    grid = run.grid
    cases = [(p, w, n) for p in grid.programs for w in grid.heads for n in grid.lengths]
    for programs, width, n in track(cases, "layers"):
        found = competitors(run.device, programs, n, width)
        for mode, made in zip(MODES, (forward, forward_and_backward)):
            run.measure((mode, programs, width, n), {name: partial(made, make) for name, make in found.items()})


def run_decoding(run: Run) -> None:
    """A decode step at position ``n`` of all sequences and heads, as a graph, against attention over ``n`` rows."""
    width = run.grid.heads[0]
    for n in run.grid.decoded:
        for programs in run.grid.programs:
            makers = {name: partial(decode_step, run.device, mixer, programs, n, width) for name, mixer in OURS.items()}
            makers[FLASH] = partial(attention_step, run.device, programs, n, width)
            run.measure(("decode", programs, width, n), makers)


@dataclass
class Notes:
    """Footnotes of a table: why cells have no number, each reason once."""

    reasons: list[str] = field(default_factory=list)

    def cell(self, run: Run, key: tuple[Any, ...], shown: Callable[[tuple[Any, ...]], str]) -> str:
        """What is shown of a measurement, a footnote where it failed, a dash where there is none."""
        if key in run.seconds:
            return shown(key)
        if key not in run.failures:
            return "–"
        reason = f"{key[-1]}: {run.failures[key]}"
        if reason not in self.reasons:
            self.reasons.append(reason)
        return f"failed [{self.reasons.index(reason) + 1}]"

    def caption(self) -> str:
        """The footnotes, a line each."""
        return "  \n".join(f"[{i}] failed: {reason}" for i, reason in enumerate(self.reasons, 1))


def tables(run: Run, bandwidth: float, rate: float) -> list[Table]:
    """Times, ratios to flash attention, peak memory and distance from the device's limits."""

    def table(mode: str, title: str, columns: dict[str, str], shown: Callable[[tuple[Any, ...]], str]) -> Table:
        notes, cases = Notes(), [case for case in run.cases if case[0] == mode]
        rows = [
            [*map(str, case[1:]), *(notes.cell(run, (*case, name), shown) for name in columns.values())]
            for case in cases
        ]
        return Table(["batch × heads", "head", "n", *columns], rows, title, notes.caption())

    def time(key: tuple[Any, ...]) -> str:
        seconds, base = run.seconds[key], run.seconds.get((*key[:-1], FLASH))
        ratio = "" if base is None or key[-1] == FLASH else f" ({base / seconds:.2f}×)"
        return f"{seconds * 1e3:.3f}{ratio}"

    made = []
    for mode in (*MODES, "decode"):
        others = [*OURS, DELTA, LOG_LINEAR] if mode in MODES else [*OURS]
        times = {f"{FLASH}, ms": FLASH, **{f"{name}, ms (speed)": name for name in others}}
        made.append(table(mode, mode, times, time))
        memory = {name: name for name in (FLASH, *others)}
        made.append(table(mode, f"{mode}: peak MiB", memory, lambda key: f"{run.bytes[key] / 2**20:.1f}"))
        if mode in MODES:
            near = {name: name for name in OURS}
            title = f"{mode}: share of the device's limit"
            made.append(table(mode, title, near, lambda key: _share(run, key, bandwidth, rate)))
    return made


def _share(run: Run, key: tuple[Any, ...], bandwidth: float, rate: float) -> str:
    """Least time of the rows and terms, by bandwidth and by products, over the time measured."""
    mode, programs, width, n, name = key
    rows, products = (4, 2) if mode == "forward" else (11, 7)  # q k v y; and q k v y dz dq dk dv once more
    least = max(rows * programs * n * width * 2 / bandwidth, products * 2 * programs * _terms(name, n) * width / rate)
    return f"{least / run.seconds[key]:.1%}"


@cache
def _terms(name: str, n: int) -> int:
    return sum(part.number for part in structure_of(OURS[name], n).parts)


def heading(run: Run, arguments: list[str], bandwidth: float, rate: float) -> str:
    """What was measured with what: date, command, versions, commit, device and its limits."""
    made, (name, details) = provenance(), _device(run.device)
    changes = " + changes" * bool(made["modified"])
    parts = [
        made["time"][:10],
        f"`{shlex.join(['python', 'benchmarks/gpu_layer.py', *arguments])}`",
        f"glmix-theory {glm.__version__}",
        "commit unknown" if made["commit"] is None else f"commit {made['commit'][:12]}{changes}",
        *(f"{package} {_version(package)}" for package in ("torch", "triton", "fla-core")),
        details,
    ]
    done = "" if len(run.cases) == run.grid.cases else f" **{len(run.cases)} of {run.grid.cases} cases so far.**"
    return (
        f"# Layers on {name}\n\n{'; '.join(parts)}.{done}\n\n"
        f"bf16; copy {bandwidth / 1e12:.2f} TB/s, product {rate / 1e12:.0f} TFLOP/s. In brackets: how many times "
        "faster than flash attention. fla says that its log-linear kernels are slower with Triton above 3.2."
    )


def _device(device: torch.device) -> tuple[str, str]:
    """Name; CUDA, driver, compute capability, multiprocessors and memory."""
    if device.type != "cuda":
        return device.type, "no CUDA device"
    found = torch.cuda.get_device_properties(device)
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        driver = "unknown"
    return found.name, (
        f"CUDA {torch.version.cuda}; driver {driver}; compute capability {found.major}.{found.minor}, "
        f"{found.multi_processor_count} multiprocessors, {found.total_memory / 2**30:.0f} GiB"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


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
    """Measure, print and write; 2 without a device, 1 where it is lost on the way."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes and a clock that counts; writes nothing")
    chosen = parser.parse_args(given)
    if chosen.dry_run:
        run = Run(torch.device("cuda" if torch.cuda.is_available() else "cpu"), CountingClock(), DRY)
    else:
        try:
            run = Run(require_device(), DeviceClock(), QUICK if chosen.quick else Grid())
        except DeviceError as error:
            print(f"DeviceError: {error}", file=sys.stderr)
            return 2
    limits = run.limits()

    def text() -> str:
        return "\n\n".join([heading(run, given, *limits), *(table.to_markdown() for table in tables(run, *limits))])

    if chosen.dry_run:
        run_layers(run)
        run_decoding(run)
        print(f"DRY RUN: the numbers count calls, nothing was measured\n\n{text()}")
        return 0
    results.mkdir(exist_ok=True)
    path = results / f"gpu_layer{'_quick' * chosen.quick}.md"
    run.after = lambda: path.write_text(text() + "\n", encoding="utf-8")
    try:
        run_layers(run)
        run_decoding(run)
    except RuntimeError as error:
        run.after()
        print(f"the device is lost, {path} has what was measured before: {reason_of(error)}", file=sys.stderr)
        return 1
    plot(run, path.with_suffix(".png"))
    print(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
