"""How layers start: unit inputs give outputs at most of that scale, and a deep stack stays near it."""

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import GLMLanguageModel, to_torch
from glmix_theory.export.projections import kept_logits

k = glm.k
PATTERNS = {
    "powers": glm.Offsets(2**k),
    "dense": glm.Dense().strict(),
    "first_order": glm.Lags([1]),
    "fenwick": glm.Fenwick(),
}
KINDS = ("softmax", "signed", "chacal", "gated", "fixed", "gated_state", "fixed_state", "delta_state")
SMALLEST = {"softmax": 0.15, "signed": 0.03, "chacal": 0.4, "gated": 0.15, "fixed": 0.2}
"""Independent inputs average out in kinds that weigh rows; the others normalise what they read."""
LARGEST = 1.25


def mixer_of(kind, pattern):
    name, _, expanded = kind.partition("_")
    if not expanded:
        return glm.Mixer(recurrent=PATTERNS[pattern], coefficients=name)
    return glm.Mixer(recurrent=PATTERNS[pattern], readout=glm.Diagonal(), coefficients=name, state=8)


def rms(x):
    return float(x.detach().square().mean().sqrt())


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_single_layer_keeps_the_scale_of_unit_inputs(kind, pattern, draw):
    torch.manual_seed(0)
    layer = to_torch(mixer_of(kind, pattern), 32, 4)
    with torch.no_grad():
        independent = rms(layer(draw(0, 1, 1024, 32, dtype=torch.float32)))
        constant = rms(layer(draw(1, 16, 1, 32, dtype=torch.float32).expand(16, 64, 32)))
    assert SMALLEST.get(kind, 0.8) < independent < LARGEST
    assert SMALLEST.get(kind, 0.8) < constant < LARGEST


def stream(model, tokens):
    """RMS of the residual stream before the first block and after each."""
    seen = []
    hooks = [block.register_forward_hook(lambda _, __, out: seen.append(rms(out))) for block in model.blocks]
    first = model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(rms(inputs[0])))
    with torch.no_grad():
        model(tokens)
    for hook in (*hooks, first):
        hook.remove()
    return seen


def assert_steady(kind, pattern, depth, n):
    torch.manual_seed(0)
    model = GLMLanguageModel(mixer_of(kind, pattern), 64, 16, 2, depth)
    tokens = torch.randint(64, (1, n), generator=torch.Generator().manual_seed(0))
    scale = stream(model, tokens)
    assert len(scale) == depth + 1
    assert 0.8 < scale[0] < 1.2  # embeddings start at unit scale
    assert all(0.9 < after / scale[0] < 1.5 for after in scale[1:]), scale
    with torch.no_grad():
        assert 0.5 < float(model(tokens).std()) < 2


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_residual_stream_stays_near_one_at_any_depth(kind, pattern):
    for depth, n in ((1, 256), (8, 64), (32, 24)):
        assert_steady(kind, pattern, depth, n)


@pytest.mark.parametrize(("kind", "pattern"), [("softmax", "powers"), ("gated_state", "first_order")])
def test_a_deep_stack_on_a_long_sequence(kind, pattern):
    assert_steady(kind, pattern, 32, 1024)


def test_kept_fractions_are_spread_over_heads_or_channels():
    assert kept_logits(10, 1).sigmoid().flatten().tolist() == pytest.approx([1 - 0.5**e for e in range(1, 11)])
    assert kept_logits(3, 4).shape == (3, 4)
    assert kept_logits(1, 1).sigmoid().item() == pytest.approx(1 - 2**-5.5)
    retention = to_torch(glm.catalogue["retnet"], 32, 8)
    assert retention.gate_bias.sigmoid().detach().flatten()[[0, -1]].tolist() == pytest.approx([0.5, 1 - 1 / 1024])


def test_a_fixed_layer_starts_as_a_decaying_filter():
    """The long convolution of an impulse: what comes out decays with the lag, at a rate of its own per head."""
    layer = to_torch(glm.catalogue["long_convolution"], 4, 4, dtype=torch.float64)
    for linear in (layer.projection, layer.output):
        linear.weight.data = torch.eye(4, dtype=torch.float64)
    x = torch.zeros(1, 30, 4, dtype=torch.float64)
    x[:, 3] = 1
    y = layer(x)[0].detach()
    kept = kept_logits(4, 1).sigmoid().flatten()
    powers = torch.stack([kept**lag for lag in range(30)])
    for t in range(3, 30):
        row_sum = powers[: t + 1].sum(dim=0).clamp(min=1)
        torch.testing.assert_close(y[t], powers[t - 3] / row_sum)
    assert not y[:3].any()
