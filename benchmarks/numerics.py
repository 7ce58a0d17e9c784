"""Errors of fp32 and bf16 inputs against fp64, for each coefficient kind and growing length.

Run ``python benchmarks/numerics.py`` from the repository root; ``--write`` stores the table in
``benchmarks/results/numerics.md``. The exact result is the portable backend's in fp64 on the same, already
rounded inputs, so what is measured is the arithmetic and not the rounding of the data; the script first
checks that backend against the dense oracle.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.export import Inputs, choose_backend, mixed
from glmix_theory.export.inputs import DIFFERENTIABLE, gate_widths, tensors_of
from glmix_theory.export.structure import LAG_CLASSES
from glmix_theory.progress import track
from glmix_theory.rendering import Table

LENGTHS = (1024, 4096, 16384)
CHECKED_LENGTH = 512
HEADS, WIDTH, STATE = 2, 32, 8
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

recurrence, window = glm.Offsets(2**k), glm.Window(3)
MIXERS: dict[str, tuple[glm.Mixer, str, bool]] = {
    "softmax, 2^k": (glm.Mixer(recurrent=recurrence), "softmax", False),
    "softmax, cache-efficient k²+1": (glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)), "softmax", False),
    "chacal, 2^k": (glm.Mixer(recurrent=recurrence), "chacal", False),
    "chacal with readout, 2^k": (glm.Mixer(recurrent=recurrence, readout=window), "chacal", False),
    "signed, 2^k": (glm.Mixer(recurrent=recurrence), "signed", False),
    "gated, 2^k": (glm.Mixer(recurrent=recurrence), "gated", False),
    "gated per channel, RG-LRU": (glm.catalogue["rg_lru"], "gated", True),
    "fixed, 2^k": (glm.Mixer(recurrent=recurrence), "fixed", False),
    "gated states, Mamba-2": (glm.catalogue.entry("mamba2").build(state=STATE), "gated", False),
    "gated states per row, GLA": (glm.catalogue.entry("gla").build(state=STATE), "gated", True),
    "fixed states, log-linear": (glm.catalogue.entry("log_linear_attention").build(state=STATE), "fixed", False),
    "delta, gated DeltaNet": (glm.catalogue.entry("gated_delta_net").build(state=STATE), "delta", False),
    "delta, DeltaNet without decay": (glm.catalogue.entry("delta_net").build(state=STATE), "delta", False),
}
"""Mixer, kind, and whether the gate has one number per channel or state row."""


def inputs_of(mixer: glm.Mixer, kind: str, wide: bool, n: int, decays: bool, heads: int = HEADS) -> Inputs:
    """Normal inputs; unit keys for the delta rule; gates around 0.9 as they are after training."""
    generator = torch.Generator().manual_seed(n)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    d = mixer.state if mixer.state > 1 else WIDTH
    taken = tensors_of(mixer, kind)[1]
    keys = draw(1, heads, n, d)
    drawn = {
        "v": draw(1, heads, n, WIDTH),
        "q": draw(1, heads, n, d),
        "k": torch.nn.functional.normalize(keys, dim=3) if mixer.state > 1 else keys,
        "gate": draw(1, heads, n, gate_widths(mixer, kind, WIDTH)[-1 if wide else 0]) + 2.2,
        "write": draw(1, heads, n, 1),
        "bias": draw(3, heads, LAG_CLASSES) / 2,
    }
    if not decays:
        del drawn["gate"]
    return Inputs(**{name: tensor for name, tensor in drawn.items() if name in taken})


def result(mixer: glm.Mixer, kind: str, inputs: Inputs, backend: str) -> list[torch.Tensor]:
    """The output, and the gradients of ``v`` and of what the coefficients are made from, in fp64."""
    leaves = inputs.map(lambda tensor: tensor.detach().requires_grad_())
    z = mixed(mixer, leaves, kind, backend).z
    given = [tensor for name in DIFFERENTIABLE if (tensor := getattr(leaves, name)) is not None]
    weight = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(z.dtype)
    gradients = torch.autograd.grad(z, given, weight, allow_unused=True, materialize_grads=True)
    return [tensor.double() for tensor in (z.detach(), *gradients)]


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Error by the size of the exact result, both as Euclidean norms; 0 where both are 0."""
    size = float(exact.norm())
    return float((found - exact).norm()) / size if size else float(found.norm())


def measured(name: str, n: int) -> list[str]:
    """One row of the table."""
    mixer, kind, wide = MIXERS[name]
    decays = "without decay" not in name
    cells = [name, choose_backend("auto", torch.device("cpu"), torch.float32, 32), str(n)]
    for dtype in DTYPES.values():
        inputs = inputs_of(mixer, kind, wide, n, decays).map(lambda tensor: tensor.to(dtype))  # noqa: B023
        exact = result(mixer, kind, inputs.map(lambda tensor: tensor.double()), "torch")
        found = result(mixer, kind, inputs, "auto")
        cells += [f"{float((found[0] - exact[0]).abs().max()):.1e}", f"{relative(found[0], exact[0]):.1e}"]
        cells.append(f"{max(relative(*pair) for pair in zip(found[1:], exact[1:])):.1e}")
    return cells


def distance_from_the_dense_oracle() -> float:
    """Largest relative difference of the portable backend in fp64 from dense matrices, over all mixers."""
    worst = 0.0
    for name, (mixer, kind, wide) in track(list(MIXERS.items()), "checking against dense matrices"):
        inputs = inputs_of(mixer, kind, wide, CHECKED_LENGTH, "without decay" not in name, heads=1)
        pairs = zip(*(result(mixer, kind, inputs, backend) for backend in ("torch", "reference")))
        worst = max(worst, *(relative(*pair) for pair in pairs))
    return worst


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the table in benchmarks/results/numerics.md")
    arguments = parser.parse_args()
    oracle = distance_from_the_dense_oracle()
    runs = [(name, n) for name in MIXERS for n in LENGTHS]
    rows = [measured(*run) for run in track(runs, "measuring")]
    columns = [f"{dtype} {what}" for dtype in DTYPES for what in ("largest error", "relative", "gradients")]
    table = Table(["coefficients", "backend", "n", *columns], rows)
    print(table.to_text(width=190))
    if arguments.write:
        write(table, oracle)


def write(table: Table, oracle: float) -> None:
    """Store the table with what is needed to repeat it."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "numba"))
    lines = [
        "# Numerical errors of the coefficient kinds",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}; CPU.",
        "",
        "Command: `python benchmarks/numerics.py --write`",
        "",
        f"{HEADS} heads of width {WIDTH}, states of {STATE} rows, normal inputs, unit keys where there are states, "
        "gate logits around 2.2. Exact: the portable backend in fp64 on the same, already rounded inputs; at "
        f"n = {CHECKED_LENGTH} it differs from dense matrices by {oracle:.0e} at most, outputs and gradients. "
        "Largest error: of an output, absolute. Relative: norm of the error by norm of the result. Gradients: the "
        "largest relative error among those of v, q, k, gate, write and bias. bf16 results are sums in fp32, rounded "
        "once: half a unit in the last place of bf16 is 2e-3 relative.",
        "",
        table.to_markdown(),
        "",
    ]
    target = Path(__file__).parent / "results" / "numerics.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
