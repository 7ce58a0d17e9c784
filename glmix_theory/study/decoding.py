"""How fast a trained size decodes, and how much it keeps: measured beside what the report promises."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from glmix_theory.study.configuration import PROTOCOL, Run, digest
from glmix_theory.study.model import build
from glmix_theory.study.store import provenance
from glmix_theory.study.training import one_thread

STEPS, REPEATS = 64, 5


def decode_configuration(run: Run) -> dict[str, Any]:
    """What a measurement of decoding depends on: neither rate, schedule nor seed."""
    return {
        "protocol": PROTOCOL,
        "mixer": repr(run.mixer),
        "problem": run.problem.to_dict(),
        "shape": asdict(run.shape),
        "device": run.device,
    }


@torch.no_grad()
def decode(run: Run) -> dict[str, Any]:
    """Time and memory of decoding one sequence, after a prefix of the problem's length.

    The weights are untrained: neither depends on them.

    Returns
    -------
    dict
        A record: ``microseconds`` a token (median of the repeats, each a mean over :data:`STEPS` steps; in one
        thread), ``cache_bytes`` and ``cache_rows`` of all layers together, as they are held.
    """
    with one_thread():
        model = build(run).eval()
        generator, length = np.random.default_rng(0), run.problem.length
        tokens = torch.from_numpy(generator.integers(run.problem.vocabulary, size=(1, length))).to(run.device)
        times = []
        for _ in range(REPEATS + 1):  # the first one warms up
            caches = model.prefill(tokens, length + STEPS)[1]
            began = time.perf_counter()
            for _ in range(STEPS):
                model.step(tokens[:, 0], caches)
            if run.device == "cuda":
                torch.cuda.synchronize()
            times.append((time.perf_counter() - began) / STEPS)
        held = model.prefill(tokens, length)[1]
    configuration = decode_configuration(run)
    return {
        "kind": "decode",
        "key": digest(configuration),
        "name": run.name,
        "configuration": configuration,
        "microseconds": round(1e6 * statistics.median(times[1:]), 1),
        "cache_bytes": sum(cache.nbytes for cache in held),
        "cache_rows": sum(cache.rows for cache in held),
        **provenance(),
    }
