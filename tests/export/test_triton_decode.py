"""The decode kernels against the portable decode step, the tables they walk, and layers that decode with them."""

import copy
from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import availability, backends
from glmix_theory.export.decode import Cache
from glmix_theory.export.projections import Projected
from glmix_theory.export.stepping import Rule
from glmix_theory.export.triton import decode, launch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
STEPS, WIDTH, HEADS = 12, 3, 2

PLAIN = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
READ = glm.Mixer(direct=glm.Window(3), recurrent=glm.CacheEfficient(2**glm.k), readout=glm.Window(3))
DENSE = glm.Mixer(recurrent=glm.Dense().strict(), readout=glm.Dense())
CHAIN = glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=3)
TREE = glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), state=3)
GRAPH = glm.Mixer(direct=glm.Window(2), recurrent=glm.Offsets(2**glm.k), readout=glm.Lags([0, 2]), state=3)
CASES = [(PLAIN, "softmax", "auto", False), (READ, "softmax", "auto", True)]
CASES += [(mixer, kind, "auto", True) for mixer in (PLAIN, READ) for kind in ("chacal", "signed", "gated", "fixed")]
CASES += [(PLAIN, "gated", "channel", False), (DENSE, "delta", "auto", False)]
CASES += [(CHAIN, "gated", "channel", False), (TREE, "gated", "channel", True), (GRAPH, "gated", "head", False)]
CASES += [(CHAIN, "delta", "auto", True), (TREE, "delta", "head", False), (GRAPH, "fixed", "auto", True)]


def prepared(mixer, kind, gate, biased, batch=1):
    mixer = replace(mixer, coefficients=kind)
    rule = Rule.of(mixer, Projected.of(mixer, WIDTH, gate, biased), HEADS)
    plan = glm.SlotPlan(mixer)
    cache = Cache(rule, plan, rule, batch, STEPS, "torch", torch.float32, DEVICE)
    return mixer, rule, plan, cache


def tensors(cache):
    return [tensor.clone() for tensor in cache._tensors()]


@pytest.mark.parametrize("decoded", CASES, ids=lambda case: f"{case[1]}-{case[0].state}-{case[2]}")
def test_every_step_is_the_portable_one(decoded, draw_inputs):
    kind = decoded[1]
    mixer, rule, plan, cache = prepared(*decoded)
    held = tensors(cache)
    steps = decode.DeviceSteps.of(plan, 0, STEPS, HEADS, DEVICE)
    wide = rule.projected.gate_width > 1
    inputs = draw_inputs(mixer, kind, 1, n=STEPS, width=WIDTH, wide=wide, dtype=torch.float32)
    inputs = inputs.map(lambda tensor: tensor.to(DEVICE))
    if not rule.projected.lag_bias:
        inputs = replace(inputs, bias=None)
    if not rule.projected.gate_width:
        inputs = replace(inputs, gate=None)
    z = torch.empty(1, HEADS, WIDTH, device=DEVICE)
    for t in range(STEPS):
        own = inputs.map(lambda tensor, t=t: tensor if tensor.shape[0] == 3 else tensor[:, :, t : t + 1].contiguous())
        expected = cache.advance(own)
        decode.step(rule, steps, own, *held, z)
        torch.testing.assert_close(z, expected, **CLOSE)
    for found, wanted in zip(held, cache._tensors()):
        torch.testing.assert_close(found, wanted, **CLOSE)
    assert steps.position.tolist() == [STEPS] * HEADS


def test_half_precision_rows_and_tables_that_start_later(draw_inputs):
    mixer, rule, plan, cache = prepared(PLAIN, "softmax", "auto", False, batch=2)
    rows = torch.randn(cache._storage.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    half = rows.to(torch.bfloat16)
    inputs = draw_inputs(mixer, "softmax", 2, batch=2, n=1, optional=False, dtype=torch.bfloat16)
    inputs = inputs.map(lambda tensor: tensor.to(DEVICE))
    found = []
    for storage, own in ((half, inputs), (half.float(), inputs.map(torch.Tensor.float))):
        steps = decode.DeviceSteps.of(plan, 7, 9, 2 * HEADS, DEVICE)
        z = torch.empty(2, HEADS, WIDTH, dtype=storage.dtype, device=DEVICE)
        decode.step(rule, steps, own, storage, cache._decays, cache._total, z)
        found.append(z.float())
        assert steps.position.tolist() == [1] * 2 * HEADS
    torch.testing.assert_close(found[0], found[1], rtol=1e-2, atol=1e-2)


# --- layers that decode with the kernels -----------------------------------------------------------------

LAYERS = {
    "cache_efficient": (glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), {"lag_bias": True}),
    "attention": (glm.Mixer(direct=glm.Dense()), {}),
    "readout": (replace(READ, coefficients="softmax"), {"lag_bias": True}),
    "signed": (replace(READ, coefficients="signed"), {}),
    "chacal": (replace(READ, coefficients="chacal"), {}),
    "gated": (replace(READ, coefficients="gated"), {"gate": "channel"}),
    "fixed": (replace(READ, coefficients="fixed"), {}),
    "delta": (replace(DENSE, coefficients="delta"), {}),
    "delta_states": (replace(CHAIN, coefficients="delta"), {"gate": "head"}),
    "mamba2": (replace(glm.catalogue["mamba2"], state=3), {}),
    "log_linear": (replace(glm.catalogue["log_linear_attention"], state=3), {"gate": "channel"}),
    "empty": (glm.Mixer(direct=glm.Empty()), {}),
}
LENGTH, PREFIX = 13, 5


@pytest.fixture(autouse=True)
def behind_the_door(monkeypatch):
    """The backend among the others, as where there is a device."""
    monkeypatch.setitem(backends.BACKENDS, "triton", availability.TRITON)
    monkeypatch.delitem(backends.MISSING, "triton", raising=False)


@pytest.fixture
def launches(monkeypatch):
    """``(steps launched, windows made)``, each a list of what was."""
    steps, windows = [], []
    step, of = decode.step, decode.DeviceSteps.of
    monkeypatch.setattr(decode, "step", lambda *given: steps.append(given[1]) or step(*given))
    monkeypatch.setattr(decode.DeviceSteps, "of", lambda *given: windows.append(given[1:3]) or of(*given))
    return steps, windows


@pytest.fixture
def make_pair(make_layer):
    """``make_pair(name, dtype) -> (layer in fp64 on the reference, the same on Triton)``; biases away from 0."""

    def run(name, dtype=torch.float32):
        mixer, options = LAYERS[name]
        exact = make_layer(mixer, HEADS * WIDTH, HEADS, backend="reference", **options)
        if exact.lag_bias is not None:
            torch.nn.init.normal_(exact.lag_bias)
        return exact, on_backend(exact, "triton", dtype)

    return run


def on_backend(exact, backend, dtype=torch.float32):
    layer = copy.deepcopy(exact).to(DEVICE, dtype)
    layer.backend = backend
    return layer


def check_rows(cache, plan, horizon=0):
    """Slots allocated and occupied, and terms, are those of the plan; what is not occupied may not be read."""
    t = cache.position - 1
    assert cache.rows == plan.peak(max(t + 1, horizon))
    assert cache.occupied == set(plan.occupied(t))
    cache.poison()


@pytest.mark.parametrize("horizon", [None, LENGTH + 3], ids=["growing", "horizon"])
@pytest.mark.parametrize("name", LAYERS)
def test_prefill_and_steps_equal_the_reference(name, horizon, make_pair, draw, launches, monkeypatch):
    monkeypatch.setattr(decode, "WINDOW", 3)
    exact, layer = make_pair(name)
    x = draw(1, 2, LENGTH, layer.d_model)
    expected, single = exact(x), x.float().to(DEVICE)
    found, cache = layer.prefill(single[:, :PREFIX], horizon)
    pieces = [found]
    for t in range(PREFIX, LENGTH):
        check_rows(cache, layer.plan, horizon or 0)
        pieces.append(layer.step(single[:, t], cache)[0][:, None])
        counted = layer.mixer.sources(t)
        assert cache.terms == tuple(len(counted.get(part, ())) for part in ("direct", "recurrent", "readout"))
    torch.testing.assert_close(torch.cat(pieces, 1).cpu().double(), expected, **CLOSE)
    steps, windows = launches
    assert len(steps) == LENGTH - PREFIX
    assert windows == [(start, start + 3) for start in range(PREFIX, LENGTH, 3)]


@pytest.mark.parametrize("name", LAYERS)
def test_steps_from_nothing_leave_the_cache_as_portable_ones_do(name, make_pair, draw, monkeypatch):
    monkeypatch.setattr(decode, "WINDOW", 4)
    exact, layer = make_pair(name)
    portable = on_backend(exact, "torch")
    cache, other = layer.empty_cache(2), portable.empty_cache(2)
    for t in range(LENGTH):
        x = draw(t, 2, layer.d_model, dtype=torch.float32).to(DEVICE)
        torch.testing.assert_close(layer.step(x, cache)[0], portable.step(x, other)[0], **CLOSE)
        torch.testing.assert_close(cache.state(), other.state(), **CLOSE)


def test_tables_are_made_again_where_the_position_moved_otherwise(make_pair, draw, launches):
    exact, layer = make_pair("readout")
    x = draw(2, 1, LENGTH, layer.d_model)
    expected, single = exact(x), x.float().to(DEVICE)
    cache, pieces = layer.empty_cache(1, horizon=LENGTH), []
    for start, stop in ((0, 2), (2, 5), (5, 7), (7, 9), (9, LENGTH)):
        if start == 2:
            pieces.append(layer.prefill(single[:, start:stop], cache=cache)[0])
            continue
        if start == 7:
            state = cache.state()
            layer.step(single[:, 0], cache)
            cache.restore(state)
        if start == 9:
            cache = layer.restore_cache(cache.state())
        pieces += [layer.step(single[:, t], cache)[0][:, None] for t in range(start, stop)]
    torch.testing.assert_close(torch.cat(pieces, 1).cpu().double(), expected, **CLOSE)
    assert [start for start, _ in launches[1]] == [0, 5, 7, 9]
    assert cache.position == LENGTH


def test_tables_of_dense_steps_are_for_fewer(make_pair, draw, launches, monkeypatch):
    monkeypatch.setattr(decode, "WINDOW_TERMS", 8)
    layer = make_pair("attention")[1]
    cache = layer.empty_cache(1)
    for t in range(LENGTH):
        layer.step(draw(t, 1, layer.d_model, dtype=torch.float32).to(DEVICE), cache)
    assert [start for start, _ in launches[1]] == [0, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("name", ["attention", "cache_efficient", "delta", "log_linear"])
def test_a_launch_repeated_takes_the_next_step(name, make_pair, draw, monkeypatch):
    """What a CUDA graph does: the same launch again, with other numbers in the same tensors."""
    exact, layer = make_pair(name)
    x = draw(3, 1, LENGTH, layer.d_model)
    expected, single = exact(x), x.float().to(DEVICE)
    inputs = layer._inputs(single)
    cache = layer.empty_cache(1, horizon=LENGTH)
    assert cache.replays == 0
    layer.step(single[:, 0], cache)
    assert cache.replays >= LENGTH - 1
    own = layer._inputs(single[:, 1:2]).map(lambda tensor: tensor.detach().clone())
    recorded = []
    with monkeypatch.context() as capturing:
        capturing.setattr(launch, "run", lambda *given, **options: recorded.append((given, options)))
        z = cache.advance(own)
    ((kernel, _, grid, *given), options), = recorded  # fmt: skip
    for t in range(1, LENGTH - 2):
        for part in ("v", "q", "k", "gate", "write"):
            if getattr(own, part) is not None:
                getattr(own, part).copy_(getattr(inputs, part)[:, :, t : t + 1])
        kernel[grid](*given, **options)
        found = layer._finished(z.unsqueeze(2))[:, 0]
        torch.testing.assert_close(found.cpu().double(), expected[:, t], **CLOSE)
    assert cache.position == 2  # calls are counted, not replays
    position = torch.tensor(LENGTH - 2)
    behind = layer.restore_cache({**cache.state(), "position": position})
    assert behind.occupied == set(layer.plan.occupied(LENGTH - 3))
    for t in range(LENGTH - 2, LENGTH):
        torch.testing.assert_close(layer.step(single[:, t], behind)[0].cpu().double(), expected[:, t], **CLOSE)


def test_replays_end_with_the_rows_allocated(make_pair, draw):
    layer = make_pair("attention")[1]
    for horizon, wanted in ((None, 0), (9, 8), (10**4, decode.WINDOW - 1)):
        cache = layer.empty_cache(1, horizon)
        layer.step(draw(0, 1, layer.d_model, dtype=torch.float32).to(DEVICE), cache)
        assert cache.replays == wanted
    cache.extend(layer._inputs(draw(0, 1, 1, layer.d_model, dtype=torch.float32).to(DEVICE)), None)
    assert cache.replays == 0


@pytest.mark.parametrize("name", ["cache_efficient", "log_linear"])
def test_half_precision_steps_stay_close(name, make_pair, draw):
    exact, layer = make_pair(name, torch.bfloat16)
    x = draw(4, 1, LENGTH, layer.d_model)
    cache, expected = layer.empty_cache(1), exact(x)
    for t in range(LENGTH):
        found, _ = layer.step(x[:, t].to(DEVICE, torch.bfloat16), cache)
        torch.testing.assert_close(found.cpu().double(), expected[:, t], rtol=5e-2, atol=5e-2)
    assert cache.dtype == torch.bfloat16


def test_steps_under_autocast_and_in_inference_mode(make_pair, draw):
    exact, layer = make_pair("gated")
    x = draw(5, 1, LENGTH, layer.d_model)
    expected = exact(x)
    with torch.inference_mode(), torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        cache = layer.empty_cache(1)
        for t in range(LENGTH):
            found, _ = layer.step(x[:, t].float().to(DEVICE), cache)
            torch.testing.assert_close(found.cpu().double(), expected[:, t], rtol=5e-2, atol=5e-2)


def test_rows_the_kernels_do_not_take_are_mixed_in_plain_torch(make_pair, draw, launches):
    layer = make_pair("cache_efficient", torch.float64)[1]
    layer.step(draw(0, 1, layer.d_model).to(DEVICE), layer.empty_cache(1))
    assert not launches[0]
