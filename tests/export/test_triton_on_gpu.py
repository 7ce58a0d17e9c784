"""What only a CUDA device can show of the Triton backend: full tiles, long chains, many programs at once.

Where there is no device these tests are left out, and the report says how many and why; the same code runs there
interpreted (``test_triton.py``) and is compiled for sm_90 (``test_triton_compiled.py``). Neither shows
a race between the threads of a program, the order of stores and loads in the solve, or a time.
"""

from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import reference, to_torch
from glmix_theory.export.decode import Cache
from glmix_theory.export.inputs import DIFFERENTIABLE
from glmix_theory.export.projections import Projected
from glmix_theory.export.stepping import Rule
from glmix_theory.export.structure import structure_of
from glmix_theory.export.triton import BACKEND, decode, splitting

CASES = {
    "powers": (glm.Mixer(recurrent=glm.Offsets(2**glm.k)), "softmax"),
    "squares": (glm.Mixer(recurrent=glm.Offsets(glm.k**2 + 1)), "gated"),
    "cache_efficient": (glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), "softmax"),
    "dense": (glm.Mixer(recurrent=glm.Dense().strict()), "signed"),
    "attention": (glm.Mixer(direct=glm.Dense()), "softmax"),
    "blocked": (glm.Mixer(recurrent=glm.Offsets(2**glm.k).blocked(16)), "chacal"),
    "tree": (glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()), "softmax"),
    "delta": (glm.Mixer(recurrent=glm.Dense().strict(), readout=glm.Dense()), "delta"),
    "chain_of_states": (glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=64), "delta"),
    "tree_of_states": (glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), state=16), "gated"),
}
DTYPES = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 4e-2}
MEMORY_LENGTH = 65536
LEFT_OUT = len(CASES) * (len(DTYPES) + 1) + len(DTYPES) + 5
"""Agreement of every case and dtype, and decoding; chunks; reproducibility, memory, two graphs, and many steps."""

if not torch.cuda.is_available():
    pytest.skip(f"{LEFT_OUT} tests need a CUDA device and none is present", allow_module_level=True)


@pytest.fixture
def drawn(draw_inputs):
    def run(mixer, kind, dtype, n=700, **options):
        inputs = draw_inputs(mixer, kind, 1, batch=2, heads=2, n=n, d=64, width=64, dtype=dtype, **options)
        return inputs.map(torch.Tensor.cuda)

    return run


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_full_tiles_agree_with_the_reference(name, dtype, drawn):
    (mixer, kind), close = CASES[name], DTYPES[dtype]
    n = 200 if mixer.state > 1 else 700
    structure, inputs = structure_of(mixer, n), drawn(mixer, kind, dtype, n)
    leaves = inputs.map(lambda tensor: tensor.double().requires_grad_())
    expected, found = reference.mix(structure, kind, leaves).z, BACKEND.mix(structure, kind, inputs)
    dz = torch.randn_like(expected)
    names = [name for name in DIFFERENTIABLE if getattr(inputs, name) is not None]
    wanted = torch.autograd.grad(expected, [getattr(leaves, name) for name in names], dz, allow_unused=True)
    slopes = BACKEND.mix_backward(structure, kind, inputs, found.y, dz.to(dtype))
    pairs = [(found.z, expected), *((getattr(slopes, name), slope) for name, slope in zip(names, wanted))]
    for got, exact in pairs:
        if exact is not None:
            assert (got.double() - exact).norm() <= close * (1 + exact.norm())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_sequence_in_chunks_agrees_with_the_whole(dtype, drawn, monkeypatch):
    """Few sequences of many blocks are split; the last chunk is not a full one."""
    mixer, kind = CASES["cache_efficient"]
    structure, inputs = structure_of(mixer, 4000), drawn(mixer, kind, dtype, 4000, optional=False)
    choose, chosen, found = splitting.chunks_of, [], []

    def chunks_of(*arguments):
        chosen.append(choose(*arguments))
        return chosen[-1]

    for chunks in (chunks_of, lambda *arguments: 1):
        monkeypatch.setattr(splitting, "chunks_of", chunks)
        result = BACKEND.mix(structure, kind, inputs)
        slopes = BACKEND.mix_backward(structure, kind, inputs, result.y, inputs.v)
        found.append((result.z, slopes.v, slopes.q, slopes.k))
    assert min(chosen) > 1
    for split, whole in zip(*found):
        assert (split.double() - whole.double()).norm() <= DTYPES[dtype] * (1 + whole.double().norm())


def test_results_do_not_change_from_run_to_run(drawn):
    """Without a bias nothing is added atomically, so every bit repeats; a race would show here."""
    for mixer, kind in CASES.values():
        n = 200 if mixer.state > 1 else 700
        structure, inputs = structure_of(mixer, n), drawn(mixer, kind, torch.bfloat16, n, optional=False)
        first = BACKEND.mix(structure, kind, inputs)
        slopes = BACKEND.mix_backward(structure, kind, inputs, first.y, first.z)
        for _ in range(5):
            again = BACKEND.mix(structure, kind, inputs)
            assert torch.equal(again.z, first.z)
            more = BACKEND.mix_backward(structure, kind, inputs, first.y, first.z)
            for name in DIFFERENTIABLE:
                if getattr(slopes, name) is not None:
                    assert torch.equal(getattr(more, name), getattr(slopes, name)), name


def test_memory_is_linear_in_the_length(drawn):
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))
    structure = structure_of(mixer, MEMORY_LENGTH)
    inputs = drawn(mixer, "softmax", torch.bfloat16, MEMORY_LENGTH, optional=False)
    y = BACKEND.mix(structure, "softmax", inputs).y
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    BACKEND.mix_backward(structure, "softmax", inputs, y, y)
    assert torch.cuda.max_memory_allocated() - before < 20 * 4 * inputs.v.numel()


def decoding(mixer, kind, steps):
    mixer = replace(mixer, coefficients=kind)
    rule = Rule.of(mixer, Projected.of(mixer, 64, "auto", False), 2)
    plan = glm.SlotPlan(mixer)
    cache = Cache(rule, plan, rule, 2, steps, "torch", torch.float32, torch.device("cuda"))
    return rule, cache, decode.DeviceSteps.of(plan, 0, steps, 4, torch.device("cuda"))


def test_a_captured_step_repeats_for_the_steps_that_follow(draw_inputs):
    mixer, kind = CASES["cache_efficient"]
    rule, cache, steps = decoding(mixer, kind, 40)
    held = [tensor.clone() for tensor in cache._tensors()]
    inputs = draw_inputs(mixer, kind, 2, batch=2, n=40, d=64, width=64, optional=False, dtype=torch.float32)
    inputs = inputs.map(torch.Tensor.cuda)
    own = inputs.map(lambda tensor: tensor[:, :, :1].clone())
    z = torch.empty(2, 2, 64, device="cuda")
    decode.step(rule, steps, own, *held, z)
    steps.position.zero_()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        decode.step(rule, steps, own, *held, z)
    for tensor in held:
        tensor.zero_()
    for t in range(40):
        for name in ("q", "k", "v"):
            getattr(own, name).copy_(getattr(inputs, name)[:, :, t : t + 1])
        graph.replay()
        torch.testing.assert_close(z, cache.advance(own), rtol=1e-4, atol=1e-4)


def test_many_decode_steps_give_the_forward(draw_inputs):
    mixer, kind = CASES["powers"]
    rule, cache, steps = decoding(mixer, kind, 300)
    inputs = draw_inputs(mixer, kind, 3, batch=2, n=300, d=64, width=64, optional=False, dtype=torch.float32)
    inputs = inputs.map(torch.Tensor.cuda)
    whole = BACKEND.mix(structure_of(mixer, 300), kind, inputs).z
    z = torch.empty(2, 2, 64, device="cuda")
    for t in range(300):
        own = inputs.map(lambda tensor, t=t: tensor[:, :, t : t + 1].contiguous())
        decode.step(rule, steps, own, *cache._tensors(), z)
        torch.testing.assert_close(z, whole[:, :, t], rtol=1e-3, atol=1e-3)


def decoding_layer(name, n):
    """A layer, rows, and what they give at once."""
    mixer, kind = CASES[name]
    torch.manual_seed(0)
    layer = to_torch(replace(mixer, coefficients=kind), 128, 2, device="cuda")
    x = torch.randn(2, n, 128, device="cuda")
    with torch.no_grad():
        return layer, x, layer(x)


@pytest.mark.parametrize("name", CASES)
def test_steps_of_a_layer_wait_for_the_device_once_in_a_window(name):
    n = decode.WINDOW + 20
    layer, x, whole = decoding_layer(name, n)
    cache = layer.empty_cache(2, horizon=n)
    for t in range(n):
        torch.cuda.set_sync_debug_mode("error" if t % decode.WINDOW else "default")
        try:
            y, cache = layer.step(x[:, t], cache)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(y, whole[:, t], rtol=1e-3, atol=1e-3)


def test_a_captured_step_of_a_layer_repeats_and_the_cache_goes_on():
    layer, x, whole = decoding_layer("cache_efficient", 200)
    cache = layer.empty_cache(2, horizon=200)
    x_t = x[:, 0].clone()
    layer.step(x_t, cache)  # compiles the kernel, makes the tables
    assert cache.replays == 199
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y, _ = layer.step(x_t, cache)
    for t in range(1, 150):
        x_t.copy_(x[:, t])
        graph.replay()
        torch.testing.assert_close(y, whole[:, t], rtol=1e-3, atol=1e-3)
    cache = layer.restore_cache({**cache.state(), "position": torch.tensor(150)})
    for t in range(150, 200):
        torch.testing.assert_close(layer.step(x[:, t], cache)[0], whole[:, t], rtol=1e-3, atol=1e-3)
