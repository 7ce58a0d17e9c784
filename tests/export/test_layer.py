"""The layer and the functional door: what they accept, what they refuse and how they say so."""

import copy
import subprocess
import sys

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import (
    CoefficientError,
    DeviceError,
    DtypeError,
    LengthError,
    PatternError,
    ShapeError,
    UnknownNameError,
)
from glmix_theory.export import BACKENDS, Backend, edges, functional, mix, solve, to_torch
from glmix_theory.mixers import COEFFICIENTS

MIXER = glm.Mixer(recurrent=glm.Offsets(2**glm.k))


def test_the_package_does_not_import_torch():
    code = "import sys, glmix_theory; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_layer_prints_its_mixer():
    layer = to_torch(MIXER, 8, 2)
    assert "Mixer(direct=Diagonal(), recurrent=Offsets(2**k)), d_model=8, n_heads=2" in repr(layer)


def test_a_layer_trains_and_its_state_moves_to_another(make_layer, draw):
    layer = make_layer(MIXER, 8, 2)
    x = draw(0, 2, 20, 8)
    optimizer = torch.optim.AdamW(layer.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = (layer(x) - x.roll(1, dims=1))[:, 1:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    other = to_torch(MIXER, 8, 2, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_heads_are_independent_mixers(make_layer, draw):
    layer = make_layer(MIXER, 8, 2)
    layer.output.weight.data = torch.eye(8, dtype=torch.float64)
    x = draw(0, 1, 9, 8)
    single = make_layer(MIXER, 4, 1)
    single.output.weight.data = torch.eye(4, dtype=torch.float64)
    q, k, v = layer.projection.weight.data.unflatten(0, (3, 2, 4))[:, 0]
    rows = [(x @ weight.T)[:, None] for weight in (q, k, v)]
    torch.testing.assert_close(layer(x)[..., :4], mix(MIXER, *rows)[:, 0])


def test_autocast_lowers_the_projections_alone(make_layer, draw):
    layer = make_layer(MIXER, 8, 2, dtype=torch.float32)
    x = draw(0, 2, 20, 8, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(x), rtol=5e-2, atol=5e-2)
    assert layer.projection.weight.grad.isfinite().all()


def test_a_compiled_layer_gives_the_same_values_and_gradients(make_layer, draw):
    layer = make_layer(MIXER, 8, 2)
    compiled = torch.compile(layer, backend="eager")
    x = draw(0, 2, 20, 8).requires_grad_()
    for run in (layer, compiled, compiled):
        gradient = torch.autograd.grad(run(x).square().sum(), x)[0]
        torch.testing.assert_close(gradient, torch.autograd.grad(layer(x).square().sum(), x)[0])


def test_layer_errors():
    with pytest.raises(ShapeError, match=r"d_model = 10 is not divisible by n_heads = 4.*8 or 12"):
        to_torch(MIXER, 10, 4)
    with pytest.raises(LengthError, match="n_heads = 0 is below 1"):
        to_torch(MIXER, 8, 0)
    with pytest.raises(PatternError, match=r"Offsets.* is a Offsets; a glm\.Mixer is needed"):
        to_torch(glm.Offsets(2**glm.k), 8)
    with pytest.raises(UnknownNameError, match="did you mean 'torch'"):
        to_torch(MIXER, 8, backend="tourch")
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


@pytest.mark.parametrize("kind", [name for name in COEFFICIENTS if name != "softmax"])
def test_kinds_not_exported_say_so(kind):
    with pytest.raises(CoefficientError, match=f"'{kind}' is not exported yet; this version exports 'softmax'"):
        to_torch(glm.Mixer(coefficients=kind), 8)
    x = torch.zeros(1, 1, 3, 2)
    with pytest.raises(CoefficientError, match=f"'{kind}' is not exported yet"):
        mix(MIXER, x, x, x, coefficients=kind)


def test_mix_errors():
    x = torch.zeros(1, 2, 5, 4)
    with pytest.raises(CoefficientError, match="'softmaxx' is not a known kind; did you mean 'softmax'"):
        mix(MIXER, x, x, x, coefficients="softmaxx")
    with pytest.raises(CoefficientError, match="state = 2: state expansion is not exported yet"):
        mix(glm.Mixer(state=2), x, x, x)
    with pytest.raises(UnknownNameError, match="backend = 'refrence' is not known; did you mean 'reference'"):
        mix(MIXER, x, x, x, backend="refrence")
    with pytest.raises(ShapeError, match=r"q has shape \(5, 4\); \(batch, heads, n, d\) is needed"):
        mix(MIXER, x[0, 0], x, x)
    with pytest.raises(ShapeError, match=r"k has shape \(1, 2, 4, 4\); q's shape"):
        mix(MIXER, x, x[:, :, 1:], x)
    with pytest.raises(ShapeError, match=r"v has shape \(1, 1, 5, 4\); \(1, 2, 5, width\) is needed"):
        mix(MIXER, x, x, x[:, :1])
    with pytest.raises(DtypeError, match=r"v has dtype torch\.float64; q's torch\.float32"):
        mix(MIXER, x, x, x.double())
    with pytest.raises(DtypeError, match=r"q has dtype torch\.int64; one of"):
        mix(MIXER, x.long(), x.long(), x.long())
    with pytest.raises(DeviceError, match="k is on meta; q's device cpu"):
        mix(MIXER, x, x.to("meta"), x)
    with pytest.raises(PatternError, match=r"a glm\.Mixer is needed"):
        mix("attention", x, x, x)


def test_solve_errors():
    x = torch.zeros(1, 1, 3, 2)
    alpha, beta = torch.ones(1, 1, 3), torch.ones(1, 1, 3)
    with pytest.raises(CoefficientError, match=r"beta has shape \(1, 1, 2\); \(1, 1, 3\) is needed"):
        solve(MIXER, alpha, beta[..., :2], x)
    with pytest.raises(CoefficientError, match="beta is missing; the recurrent part Offsets"):
        solve(MIXER, alpha, None, x)
    with pytest.raises(CoefficientError, match="has no readout, so takes no gamma"):
        solve(MIXER, alpha, beta, x, alpha)
    with pytest.raises(CoefficientError, match="has a readout, so needs gamma"):
        solve(glm.Mixer(readout=glm.Diagonal()), alpha, None, x)
    with pytest.raises(DtypeError, match="alpha has dtype"):
        solve(MIXER, alpha.double(), beta, x)
    with pytest.raises(LengthError, match="n = 0 is below 1"):
        edges(MIXER, 0)
    assert torch.equal(solve(glm.Mixer(), alpha, None, x + 2), x + 2)


def test_values_may_be_wider_than_keys(draw):
    q, k, v = draw(0, 1, 2, 9, 3), draw(1, 1, 2, 9, 3), draw(2, 1, 2, 9, 7)
    torch.testing.assert_close(mix(MIXER, q, k, v), mix(MIXER, q, k, v, backend="reference"))


def test_a_registered_backend_is_used_and_its_devices_are_kept(monkeypatch, draw_qkv):
    seen = []

    def spy(mixer, q, k, v, coefficients):
        seen.append(coefficients)
        return BACKENDS["reference"].mix(mixer, q, k, v, coefficients)

    monkeypatch.setitem(BACKENDS, "spy", Backend(spy, BACKENDS["reference"].solve))
    monkeypatch.setitem(BACKENDS, "far", Backend(spy, BACKENDS["reference"].solve, frozenset({"cuda"})))
    monkeypatch.setitem(functional.AUTOMATIC, "cpu", "spy")
    q, k, v = draw_qkv(0, 1, 1, 4, 2)
    mix(MIXER, q, k, v)
    assert seen == ["softmax"]
    with pytest.raises(DeviceError, match="backend 'far' runs on cuda and the tensors are on cpu"):
        mix(MIXER, q, k, v, backend="far")


def test_layouts_are_forgotten_with_their_pattern():
    import gc

    from glmix_theory.export import layout

    kept = layout._store._kept
    pattern = glm.Lags([1, 7])
    layout.layout_of(pattern, 5, torch.device("cpu"))
    key = id(pattern)
    assert key in kept
    del pattern
    gc.collect()
    assert key not in kept


def test_layouts_are_made_once_per_length_and_boundedly_many():
    from glmix_theory.export.layout import _KEPT_LENGTHS, _store, layout_of

    pattern, place = glm.Lags([1]), torch.device("cpu")
    assert layout_of(pattern, 5, place) is layout_of(pattern, 5, place)
    for n in range(1, 100):
        layout_of(pattern, n, place)
    assert len(_store.of(pattern)) == _KEPT_LENGTHS
