"""The benchmark for CUDA devices runs from end to end on tiny shapes, and refuses to measure without a device."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import DeviceError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_layer.py"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("gpu_layer", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["gpu_layer"] = module
    sys.path.insert(0, str(SCRIPT.parent))
    specification.loader.exec_module(module)
    yield module
    sys.path.remove(str(SCRIPT.parent))
    del sys.modules["gpu_layer"], sys.modules["gpu_competitors"]


@pytest.fixture
def peers(benchmark):
    return sys.modules["gpu_competitors"]


@pytest.fixture
def run(benchmark):
    return benchmark.Run(CPU, benchmark.CountingClock(), benchmark.DRY)


@pytest.fixture
def pretended(benchmark, monkeypatch):
    """As if the CPU were a device: whole runs, with a clock that counts and tiny shapes."""
    monkeypatch.setattr(benchmark, "require_device", lambda: CPU)
    monkeypatch.setattr(benchmark, "DeviceClock", benchmark.CountingClock)
    monkeypatch.setattr(benchmark, "QUICK", benchmark.DRY)
    monkeypatch.setattr(benchmark, "Grid", lambda: benchmark.DRY)


def failing(error):
    """Makes a call, which raises."""

    def call():
        raise error

    return lambda: call


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


def test_tables_say_when_how_and_on_what_they_were_made(benchmark, capsys):
    benchmark.main(["--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "# Layers on cpu"
    date, command, package, commit, *versions = lines[4].removesuffix(".").split("; ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert command == "`python benchmarks/gpu_layer.py --dry-run`"
    assert package == f"glmix-theory {glm.__version__}"
    assert re.fullmatch(r"commit (unknown|[0-9a-f]{12}( \+ changes)?)", commit)
    assert [version.split()[0] for version in versions] == ["torch", "triton", "fla-core", "no"]
    assert "cases so far" not in lines[4]


def test_ratios_are_of_times_in_the_same_round(benchmark, run):
    order = []
    makers = {name: lambda name=name: lambda: order.append(name) for name in ("2^k", benchmark.FLASH)}
    run.measure(("forward", 1, 16, 16), makers)
    assert order == ["2^k", benchmark.FLASH] * 2 + ["2^k", benchmark.FLASH]  # compile, time, peak: in turns
    table = benchmark.tables(run, 1e9, 1e9)[0]
    assert table.rows[0][:5] == ["1", "16", "16", "2.000", "1.000 (2.00×)"]
    assert table.rows[0][-1] == "–"  # not measured, and no failure either


def test_a_competitor_that_fails_gets_a_footnote_and_the_others_go_on(benchmark, run):
    def unmade():
        raise torch.cuda.OutOfMemoryError("no room for 9 GiB")

    later = iter([None, None])  # compiles and is timed once, and then fails
    for n in (16, 32):
        run.measure(
            ("forward", 1, 16, n),
            {
                "2^k": failing(ValueError("at 82:14:\n  x = y\n\nboth must be bf16")),
                "k²+1": lambda: lambda: next(later),
                benchmark.FLASH: unmade if n == 16 else (lambda: lambda: None),
                benchmark.DELTA: lambda: lambda: None,
            },
        )
    times, memory = benchmark.tables(run, 1e9, 1e9)[:2]
    (_, _, _, *first), (_, _, _, *second) = times.rows
    assert first[:2] == ["failed [1]", "failed [2]"]
    assert second[1] == "failed [2]"
    assert first[3].startswith("failed")
    assert re.fullmatch(r"\d\.000", first[4])  # nothing to compare with
    assert re.fullmatch(r"\d\.000", second[0])
    assert re.fullmatch(r"\d\.000 \(0\.\d\d×\)", second[4])
    assert times.caption.splitlines()[:2] == [
        f"[1] failed: {benchmark.FLASH}: OutOfMemoryError: no room for 9 GiB  ",
        "[2] failed: 2^k: ValueError: at 82:14: … both must be bf16  ",
    ]
    assert "[3] failed: k²+1: StopIteration: no message" in times.to_markdown()
    assert memory.rows[0][3] == "failed [1]"


def test_quick_results_lie_beside_the_full_ones(benchmark, pretended, tmp_path, capsys):
    (tmp_path / "gpu_layer.md").write_text("full")
    assert benchmark.main(["--quick"], tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"gpu_layer.md", "gpu_layer_quick.md", "gpu_layer_quick.png"}
    assert (tmp_path / "gpu_layer.md").read_text() == "full"
    assert "`python benchmarks/gpu_layer.py --quick`" in (tmp_path / "gpu_layer_quick.md").read_text()
    assert benchmark.main([], tmp_path) == 0
    assert (tmp_path / "gpu_layer.md").read_text().startswith("# Layers on cpu")
    assert (tmp_path / "gpu_layer.png").exists()


@pytest.mark.parametrize(
    "stop", [RuntimeError("CUDA error: an illegal memory access\nCompile with …"), KeyboardInterrupt()]
)
def test_a_run_that_is_cut_off_leaves_its_tables(stop, benchmark, pretended, tmp_path, monkeypatch, capsys):
    def lost(run):
        raise stop

    monkeypatch.setattr(benchmark, "run_decoding", lost)
    if isinstance(stop, RuntimeError):
        assert benchmark.main([], tmp_path) == 1
        assert "the device is lost" in capsys.readouterr().err
    else:
        with pytest.raises(KeyboardInterrupt):
            benchmark.main([], tmp_path)
    text = (tmp_path / "gpu_layer.md").read_text()
    assert "**4 of 5 cases so far.**" in text
    assert "**forward + backward**" in text
    assert not (tmp_path / "gpu_layer.png").exists()


def test_a_plot_is_drawn_of_what_was_measured(benchmark, run, tmp_path):
    benchmark.run_layers(run)
    benchmark.plot(run, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_what_fla_is_given_fits_its_signatures(peers, monkeypatch):
    """Shapes and dtypes that its kernels ask for; their values by its own plain loops, not by its kernels."""
    from fla.ops import delta_rule, log_linear_attn
    from fla.ops.log_linear_attn.naive import naive_log_linear_attn

    n, heads, width = 24, 3, 64
    of_delta, of_tree = (
        inspect.signature(f) for f in (delta_rule.chunk_delta_rule, log_linear_attn.chunk_log_linear_attn)
    )

    def delta(*given):
        q, k, v, beta = of_delta.bind(*given).args
        assert q.shape == k.shape == v.shape == (1, n, heads, width)
        assert q.dtype == k.dtype == v.dtype == torch.bfloat16
        assert beta.shape == (1, n, heads)
        assert beta.min() >= 0
        torch.testing.assert_close(k.float().norm(dim=3), torch.ones(1, n, heads), rtol=2e-2, atol=0)
        return q * k * v * beta[..., None], None

    def tree(*given):
        q, k, v, decays, scales = of_tree.bind(*given).args
        assert q.shape == k.shape == v.shape == (1, n, heads, width)
        assert scales.dtype == q.dtype == k.dtype == v.dtype == torch.bfloat16
        assert decays.shape == (1, n, heads)
        assert decays.dtype == torch.float32
        assert decays.max() <= 0
        assert scales.shape == (1, n, heads, peers.levels(n))
        return naive_log_linear_attn(q.float(), k.float(), v.float(), decays, scales.float()), None

    monkeypatch.setattr(peers, "_require_cuda", lambda device: None)
    monkeypatch.setattr(delta_rule, "chunk_delta_rule", delta)
    monkeypatch.setattr(log_linear_attn, "chunk_log_linear_attn", tree)
    found = peers.competitors(CPU, heads, n, width)
    for name in (peers.DELTA, peers.LOG_LINEAR):
        assert peers.forward(found[name])().shape == (1, n, heads, width)
        slopes = peers.forward_and_backward(found[name])()
        assert [slope.shape for slope in slopes] == [tensor.shape for tensor in found[name]()[1]]


@pytest.mark.parametrize("n", [2, 3, 16, 17, 1024])
def test_levels_are_one_more_than_doublings(n, peers):
    from fla.ops.log_linear_attn.chunk import ceil_log

    assert peers.levels(n) == ceil_log(n, 2) + 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_says_so(benchmark, capsys):
    with pytest.raises(DeviceError, match="no CUDA device"):
        benchmark.require_device()
    assert benchmark.main([]) == 2
    assert "DeviceError: no CUDA device" in capsys.readouterr().err
