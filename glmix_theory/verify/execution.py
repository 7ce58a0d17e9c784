"""What an exported layer really does: terms multiplied, rows held, and whether all its ways agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glmix_theory.errors import CoefficientError, MissingDependencyError
from glmix_theory.mixers import Mixer
from glmix_theory.progress import track

_SEED = 20260531


@dataclass(frozen=True)
class Execution:
    """Measured on a layer in fp64; per-step lists are indexed by the step ``t``."""

    step_terms: list[int]
    """Coefficients multiplied by each decode step."""
    forward_terms: dict[int, int]
    """Coefficients multiplied by the parallel forward at each length."""
    rows: list[int]
    """Slots that hold a row after each decode step."""
    allocated: list[int]
    """Slots of the storage after each decode step."""
    error: dict[int, float]
    """Largest difference at each length between the fast forward and the dense reference, steps and two chunks."""


def execute(mixer: Mixer, lengths: Sequence[int]) -> Execution | str:
    """Run a small layer of the mixer, or say in one sentence why it cannot run.

    Decoding overwrites every freed slot with NaN before each step, so that a read of a dead row would
    show as an error of NaN.
    """
    try:
        import torch

        from glmix_theory.export import to_torch

        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            layer = to_torch(mixer, d_model=4, n_heads=2, dtype=torch.float64)
            x = torch.randn(1, max(lengths), 4, dtype=torch.float64)
    except (MissingDependencyError, ModuleNotFoundError):
        return "torch is not installed, so no layer was run; pip install 'glmix-theory[torch]'"
    except CoefficientError as refusal:
        return f"no layer was run: {refusal}"
    with torch.no_grad():
        cache = layer.empty_cache(1)
        step_terms, rows, allocated, decoded = [], [], [], []
        for t in track(range(max(lengths)), "decoding"):
            cache.poison()
            y_t, cache = layer.step(x[:, t], cache)
            decoded.append(y_t)
            step_terms.append(cache.terms.total)
            rows.append(len(cache.occupied))
            allocated.append(cache.rows)
        half = (max(lengths) + 1) // 2
        first, cache = layer.prefill(x[:, :half])
        chunks = [first]
        if half < max(lengths):
            chunks.append(layer.prefill(x[:, half:], cache=cache)[0])
        chunked = torch.cat(chunks, dim=1)
        forward_terms, error = {}, {}
        reference = to_torch(mixer, d_model=4, n_heads=2, dtype=torch.float64, backend="reference")
        reference.load_state_dict(layer.state_dict())
        for length in lengths:
            y = layer(x[:, :length])
            forward_terms[length] = layer.last_terms.total
            dense = reference(x[:, :length])
            steps = torch.stack(decoded[:length], dim=1)
            others = torch.stack([dense, steps, chunked[:, :length]])
            error[length] = float((others - y).abs().max())
    return Execution(step_terms, forward_terms, rows, allocated, error)
