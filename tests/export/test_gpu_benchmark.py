"""The benchmark for CUDA devices runs from end to end on tiny shapes, and refuses to measure without a device."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from glmix_theory.errors import DeviceError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_layer.py"


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("gpu_layer", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_layer"] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules["gpu_layer"]


def test_a_dry_run_prints_every_table_and_writes_nothing(benchmark, tmp_path, capsys):
    assert benchmark.main(["--dry-run"], tmp_path) == 0
    text = capsys.readouterr().out
    assert text.startswith("DRY RUN")
    for title in (
        "forward",
        "forward + backward",
        "decode",
        "forward: peak MiB",
        "forward: share of the device's limit",
    ):
        assert f"**{title}**" in text
    assert not list(tmp_path.iterdir())


def test_ratios_are_of_times_in_the_same_round(benchmark):
    run = benchmark.Run(torch.device("cpu"), benchmark.CountingClock(), benchmark.DRY)
    order = []
    run.measure(
        ("forward", 1, 16, 16), {name: (lambda name=name: order.append(name)) for name in ("2^k", benchmark.FLASH)}
    )
    assert order == ["2^k", benchmark.FLASH] * 2 + ["2^k", benchmark.FLASH]  # compile, time, peak: in turns
    table = benchmark.tables(run, 1e9, 1e9)[0]
    assert table.rows[0][:5] == ["1", "16", "16", "2.000", "1.000 (2.00×)"]


def test_a_plot_is_drawn_of_what_was_measured(benchmark, tmp_path):
    run = benchmark.Run(torch.device("cpu"), benchmark.CountingClock(), benchmark.DRY)
    benchmark.run_layers(run)
    benchmark.plot(run, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_says_so(benchmark, capsys):
    with pytest.raises(DeviceError, match="no CUDA device"):
        benchmark.require_device()
    assert benchmark.main([]) == 2
    assert "DeviceError: no CUDA device" in capsys.readouterr().err
