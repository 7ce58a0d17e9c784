"""The layer: what it accepts, what it refuses and how it says so, dtypes, padding, one graph when compiled."""

import copy
import itertools
import subprocess
import sys

import pytest
import sympy
import torch

import glmix_theory as glm
from glmix_theory.errors import (
    CoefficientError,
    DeviceError,
    DtypeError,
    LengthError,
    PatternError,
    RangeError,
    ShapeError,
    SymbolicError,
    UnknownNameError,
)
from glmix_theory.export import mix, to_torch
from glmix_theory.export.projections import GATES

MIXER = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
KINDS = {
    "softmax": "exponential_recurrence",
    "chacal": "chacal_strict",
    "gated": "rg_lru",
    "fixed": "long_convolution",
    "gated_state": "mamba2",
    "fixed_state": "retnet",
    "delta": "delta_net",
    "delta_rows": "delta_net_ut",
}
"""A catalogue entry for each kind, with and without state expansion."""


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def entry(request):
    return glm.catalogue[request.param]


def test_the_package_does_not_import_torch():
    code = "import sys, glmix_theory; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_layer_prints_its_mixer_and_its_report():
    lines = repr(to_torch(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 8, 2, backend="torch")).split("\n")
    assert lines[1].strip() == (
        "Mixer(direct=Diagonal(), recurrent=CacheEfficient(2**k)), d_model=8, n_heads=2, gate='none', backend='torch'"
    )
    assert lines[2].strip() == "step Θ(log(n)), cache Θ(log(n)), distance Θ(log(n)), congestion Θ(n/log(n))"
    assert "(torch)" in repr(to_torch(glm.catalogue["bigbird"], 8)) or "(numba)" in repr(to_torch(MIXER, 8))


def test_a_report_that_fails_does_not_break_print(monkeypatch):
    import glmix_theory.analysis

    def broken(mixer):
        raise LengthError("no such length")

    monkeypatch.setattr(glmix_theory.analysis, "analyze", broken)
    assert "no report: no such length" in repr(to_torch(glm.Mixer(recurrent=glm.Lags([1, 77])), 8))


def test_a_layer_trains(entry, make_layer, draw):
    layer = make_layer(entry, 8, 2)
    x = draw(0, 2, 20, 8)
    target = make_layer(entry, 8, 2, bias=True)(x).detach().roll(1, dims=2)
    optimizer = torch.optim.AdamW(layer.parameters(), 0.02)
    losses = []
    for _ in range(30):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_has_a_gradient_where_the_mixer_reads_it(make_layer, draw):
    """A pattern with several sources in every part and lag, so that no coefficient is certain."""
    wide = glm.Window(4)
    for kind in ("softmax", "signed", "chacal", "gated", "fixed"):
        layer = make_layer(glm.Mixer(wide, wide.strict(), wide, kind), 8, 2, bias=True, lag_bias=True)
        layer(draw(0, 2, 12, 8)).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, (kind, name)
            assert parameter.grad.abs().sum() > 0, (kind, name)
    for kind in ("gated", "fixed", "delta"):
        mixer = glm.Mixer(wide, wide.strict(), wide, kind, state=3)
        layer = make_layer(mixer, 8, 2, bias=True, lag_bias=True, gate="channel")
        layer(draw(0, 2, 12, 8)).square().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters()), kind


def test_heads_are_independent_mixers(make_layer, draw):
    layer = make_layer(MIXER, 8, 2)
    layer.output.weight.data = torch.eye(8, dtype=torch.float64)
    x = draw(0, 1, 9, 8)
    q, k, v = layer.projection.weight.data.unflatten(0, (3, 2, 4))[:, 0]
    rows = [(x @ weight.T)[:, None] for weight in (q, k, v)]
    torch.testing.assert_close(layer(x)[..., :4], mix(MIXER, *rows)[:, 0])


def test_dropout_is_the_last_thing_and_for_training_only(make_layer, draw):
    layer = make_layer(MIXER, 8, 2, dropout=0.5, bias=True)
    x = draw(0, 1, 50, 8)
    expected = make_layer(MIXER, 8, 2, bias=True)(x)
    y = layer(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], 2 * expected[kept])
    assert 0.3 < kept.double().mean() < 0.7
    assert torch.equal(layer.eval()(x), expected)


def test_padded_and_packed_sequences_are_those_alone(entry, make_layer, draw):
    layer = make_layer(entry, 8, 2)
    x = draw(0, 2, 20, 8)
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, :7] = mask[1, 12:] = False
    y = layer(x, mask=mask)
    torch.testing.assert_close(y[0, 7:], layer(x[:1, 7:])[0])
    torch.testing.assert_close(y[1, :12], layer(x[1:, :12])[0])
    assert not y[~mask].any()
    ends = torch.tensor([0, 1, 4, 20])
    packed = layer(x[:1], cu_seqlens=ends)
    for start, stop in itertools.pairwise(ends):
        torch.testing.assert_close(packed[0, start:stop], layer(x[:1, start:stop])[0])
    leaf = x.clone().requires_grad_()
    layer(leaf, mask=mask)[mask].square().sum().backward()
    assert not leaf.grad[~mask].any()
    assert leaf.grad.isfinite().all()


def relative_error(found, exact):
    """Of all numbers together: a norm after a readout near 0 may turn single rows."""
    return float((found.double() - exact.double()).norm() / exact.double().norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_lowers_the_projections_and_keeps_the_sums(entry, make_layer, draw, dtype):
    layer = make_layer(entry, 16, 2, dtype=torch.float32)
    x = draw(0, 2, 40, 16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        y = layer(x)
        y.float().sum().backward()
        prefix, cache = layer.prefill(x[:, :30])
        later, cache = layer.prefill(x[:, 30:39], cache=cache)
        last, cache = layer.step(x[:, 39], cache)
    assert y.dtype == dtype
    exact = layer(x)
    assert relative_error(y, exact) < 0.03
    assert relative_error(torch.cat([prefix, later, last[:, None]], 1), exact) < 0.03
    assert layer.projection.weight.grad.isfinite().all()
    assert cache.dtype == torch.float32


def test_dtypes_move(entry, make_layer, draw):
    layer = make_layer(entry, 16, 2)
    x = draw(0, 2, 30, 16)
    y = layer(x)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)):
        moved = copy.deepcopy(layer).to(dtype)
        found = moved(x.to(dtype))
        assert found.dtype == dtype
        assert relative_error(found, y) < tolerance
        assert moved.empty_cache(1, 5).dtype == dtype
    assert to_torch(entry, 16, 2, device="meta").projection.weight.device.type == "meta"


def test_a_compiled_layer_is_one_graph_with_the_same_values_and_gradients(entry, make_layer, draw):
    layer = make_layer(entry, 8, 2, dtype=torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, 13:] = False
    terms = layer.last_terms
    for options in ({}, {"mask": mask}):
        x = draw(0, 2, 20, 8, dtype=torch.float32).requires_grad_()
        found = torch.autograd.grad(compiled(x, **options).square().sum(), [x, *layer.parameters()], allow_unused=True)
        assert layer.last_terms == terms
        expected = torch.autograd.grad(layer(x, **options).square().sum(), [x, *layer.parameters()], allow_unused=True)
        layer.last_terms = terms
        for one, other in zip(found, expected):
            # An unused parameter has no gradient in one and zeros in the other.
            torch.testing.assert_close(
                torch.zeros(()) if one is None or not one.any() else one,
                torch.zeros(()) if other is None or not other.any() else other,
                rtol=1e-4,
                atol=1e-4,
            )


def test_lengths_are_dynamic_in_a_compiled_layer(make_layer, draw):
    layer = make_layer(MIXER, 8, 2)
    torch.compiler.reset()
    graphs = []

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=counting)
    for n in (20, 33, 7, 50):
        x = draw(n, 2, n, 8)
        torch.testing.assert_close(compiled(x), layer(x))
    assert len(graphs) == 1


def test_inductor_runs_a_layer(make_layer, draw):
    layer = make_layer(glm.catalogue["gated_delta_net"], 8, 2, gate="head", dtype=torch.float32)
    torch.compiler.reset()
    x = draw(0, 1, 12, 8, dtype=torch.float32)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True)(x), layer(x), rtol=1e-4, atol=1e-5)


def test_an_exported_program_runs_at_other_lengths(entry, make_layer, draw):
    layer = make_layer(entry, 8, 2)
    n = torch.export.Dim("n", min=2, max=4096)
    program = torch.export.export(layer, (draw(0, 2, 20, 8),), dynamic_shapes={"x": {1: n}})
    x = draw(1, 2, 31, 8)
    torch.testing.assert_close(program.module()(x), layer(x))


# --- refusals ---------------------------------------------------------------------------------------


def test_layer_errors():
    with pytest.raises(ShapeError, match=r"d_model = 10 is not divisible by n_heads = 4.*8 or 12"):
        to_torch(MIXER, 10, 4)
    with pytest.raises(LengthError, match="n_heads = 0 is below 1"):
        to_torch(MIXER, 8, 0)
    with pytest.raises(PatternError, match=r"Offsets.* is a Offsets; a glm\.Mixer is needed"):
        to_torch(glm.Offsets(2**glm.k), 8)
    with pytest.raises(UnknownNameError, match="did you mean 'torch'"):
        to_torch(MIXER, 8, backend="tourch")
    with pytest.raises(SymbolicError, match="a layer needs numbers"):
        to_torch(glm.Mixer(direct=glm.Window(sympy.Symbol("w", integer=True, positive=True))), 8)
    for dropout in (1, -0.1, True, "half"):
        with pytest.raises(RangeError, match=r"dropout = .*; a number at least 0 and below 1"):
            to_torch(MIXER, 8, dropout=dropout)
    with pytest.raises(DtypeError, match=r"dtype = torch\.int64; one of"):
        to_torch(MIXER, 8, dtype=torch.int64)
    layer = to_torch(MIXER, 8, 2)
    for shape in ((2, 8), (1, 5, 7), (1, 0, 8)):
        with pytest.raises(ShapeError, match=r"\(batch, n, 8\) is needed"):
            layer(torch.zeros(shape))
    with pytest.raises(DtypeError, match=r"x has dtype torch\.float64 and the layer torch\.float32"):
        layer(torch.zeros(1, 5, 8, dtype=torch.float64))
    with pytest.raises(DtypeError, match="x is a list"):
        layer([[0.0] * 8])
    with pytest.raises(DeviceError, match=r"x is on meta and the layer on cpu; use x\.to\('cpu'\)"):
        layer(torch.zeros(1, 5, 8, device="meta"))
    with pytest.raises(ShapeError, match="mask has shape"):
        layer(torch.zeros(1, 5, 8), torch.ones(1, 4, dtype=torch.bool))
    with pytest.raises(LengthError, match="has a hole at 1"):
        layer(torch.zeros(1, 3, 8), torch.tensor([[True, False, True]]))
    with pytest.raises(ShapeError, match="mask and cu_seqlens are both given"):
        layer(torch.zeros(1, 3, 8), torch.ones(1, 3, dtype=torch.bool), torch.tensor([0, 3]))


TAKEN = {
    ("softmax", 1): {"none"},
    ("signed", 1): {"none"},
    ("chacal", 1): {"head"},
    ("gated", 1): {"head", "channel"},
    ("fixed", 1): {"none"},
    ("gated", 4): {"none", "head", "channel"},
    ("fixed", 4): {"none", "head", "channel"},
    ("delta", 4): {"none", "head", "channel"},
}


@pytest.mark.parametrize(("kind", "state"), TAKEN)
def test_gates_are_those_the_kind_takes(kind, state):
    mixer = glm.Mixer(readout=glm.Diagonal(), coefficients=kind, state=state)
    assert to_torch(mixer, 8, 2).projected.gate in TAKEN[kind, state]
    for gate in set(GATES) - {"auto"}:
        if gate in TAKEN[kind, state]:
            layer = to_torch(mixer, 8, 2, gate=gate)
            widths = {"none": None, "head": (2, 1), "channel": (2, 4)}
            assert (None if layer.gate_bias is None else tuple(layer.gate_bias.shape)) == widths[gate]
        else:
            with pytest.raises(CoefficientError, match=f"gate = '{gate}': coefficients '{kind}' with state = {state}"):
                to_torch(mixer, 8, 2, gate=gate)


def test_kinds_and_options_that_do_not_fit_say_so():
    with pytest.raises(CoefficientError, match="gate = 'chanel' is not known; did you mean 'channel'"):
        to_torch(MIXER, 8, gate="chanel")
    with pytest.raises(CoefficientError, match="take no bias"):
        to_torch(glm.catalogue["delta_net_ut"], 8, lag_bias=True)
    with pytest.raises(CoefficientError, match="'softmax' are scores between rows, and state = 2"):
        to_torch(glm.Mixer(state=2), 8)
    with pytest.raises(CoefficientError, match="without a readout has matrices as outputs"):
        to_torch(glm.Mixer(state=2, coefficients="gated"), 8)
    with pytest.raises(CoefficientError, match="UT transform of a dense recurrence"):
        to_torch(glm.Mixer(recurrent=glm.Lags([1]), coefficients="delta"), 8)
