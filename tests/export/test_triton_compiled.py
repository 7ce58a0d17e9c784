"""Every Triton kernel compiles for sm_90 without a device, and keeps its numbers in registers."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import glmix_theory.export.triton as backend

SCRIPT = Path(__file__).with_name("triton_variants.py")
ROOT = SCRIPT.parents[2]
SHARED_MEMORY = 232_448
"""Bytes a program may have on sm_90."""
SPILLED = {"half": 256, "full": 640}
"""Bytes of local memory per thread that a kernel may use.

In fp32, products as three of tf32 hold the operands three times; a thread has 255 registers of 4 bytes.
"""


@pytest.fixture(scope="module")
def kernels():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_is_compiled(kernels):
    """What a launch names is a kernel: those functions are read from the source."""
    folder = Path(backend.__file__).parent
    launched = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("run", "launch.run"):
                launched.add(ast.unparse(node.args[0]).split(".")[1])
    assert {kernel["kernel"] for kernel in kernels} == launched
    assert len(launched) == 13
    assert {kernel["target"] for kernel in kernels} == {"sm_90a"}


def test_every_dtype_head_and_weight_occurs(kernels):
    rows = [kernel for kernel in kernels if "BLOCK_D" in kernel["options"]]
    assert {kernel["dtype"] for kernel in kernels} == {"torch.float32", "torch.bfloat16", "torch.float16"}
    assert {64, 128} <= {kernel["options"]["BLOCK_D"] for kernel in rows}
    assert {kernel["options"]["WEIGHT"] for kernel in rows} == {0, 1, 2, 3}
    split = [kernel for kernel in rows if kernel["options"].get("SPLIT")]
    assert {kernel["options"]["WEIGHT"] for kernel in split} == {0, 1, 2, 3}
    assert {kernel["dtype"] for kernel in split} == {"torch.float32", "torch.bfloat16", "torch.float16"}


def test_kernels_fit_and_spill_within_the_bound(kernels):
    for kernel in kernels:
        bound = SPILLED["full" if kernel["dtype"] == "torch.float32" else "half"]
        assert kernel["stack"] + kernel["local"] <= bound, kernel
        assert kernel["shared"] <= SHARED_MEMORY, kernel
        assert kernel["registers"] <= 255, kernel


def test_a_solve_reads_outputs_only_after_all_its_threads_have_stored_them(kernels):
    """They are not the threads that read them: a barrier ends each block, and no load is from a read-only cache."""
    for kernel in kernels:
        assert kernel["cached loads"] == 0, kernel
    blocks = [kernel for kernel in kernels if kernel["kernel"] == "solve"]
    assert blocks
    assert all(kernel["after last store"] == ["bar.sync"] for kernel in blocks)
