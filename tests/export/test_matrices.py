"""The matrix of a layer: ``M v`` is what the mixer computes, for every kind, backend, gate and packing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.errors import PatternError, ShapeError
from glmix_theory.export import BACKENDS, mixed
from glmix_theory.export.matrices import matrix_of, mixing_matrices, mixing_matrix
from tests.export.token_loops import token_loops
from tests.strategies import mixers


def applied(matrix: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``M v``, channel by channel where every channel has its own matrix."""
    if matrix.dim() == 4:
        return matrix @ v
    return torch.einsum("bhcts,bhsc->bhtc", matrix, v)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wide", [False, True], ids=["scalar_gate", "wide_gate"])
def test_the_matrix_times_the_values_is_the_mix(case, backend, wide, draw_inputs):
    mixer, kind = case
    for n in (1, 2, 13):
        inputs = draw_inputs(mixer, kind, n, batch=2, n=n, wide=wide)
        matrix = matrix_of(mixer, inputs, kind, backend)
        expected = glm.mix(
            mixer, inputs.q, inputs.k, inputs.v, kind, backend, gate=inputs.gate, write=inputs.write, bias=inputs.bias
        )
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(applied(matrix, inputs.v), expected, rtol=0, atol=1e-11 * scale)
        assert torch.equal(matrix, matrix.tril())
        per_channel = wide and mixer.state == 1 and inputs.gate is not None and inputs.gate.shape[3] > 1
        assert matrix.shape == (2, 2, *((3,) if per_channel else ()), n, n)


@settings(max_examples=20, deadline=None)
@given(drawn=mixers(), n=st.integers(1, 20), seed=st.integers(0, 99))
def test_the_matrix_equals_token_loops_on_each_unit_vector(draw_inputs, drawn, n, seed):
    mixer = replace(drawn.mixer, state=1, coefficients="softmax")
    inputs = draw_inputs(mixer, "softmax", seed, n=n, width=n)
    unit = torch.eye(n, dtype=torch.float64).expand(1, 2, n, n)
    torch.testing.assert_close(
        matrix_of(mixer, inputs), token_loops(mixer, "softmax", replace(inputs, v=unit))[0], rtol=0, atol=1e-11
    )


def test_a_channel_gate_as_wide_as_the_sequence_is_still_a_gate_per_channel(draw_inputs):
    """The identity is then as wide as the values: nothing may mistake its columns for channels."""
    mixer, n = glm.catalogue["rg_lru"], 5
    inputs = draw_inputs(mixer, "gated", 0, n=n, width=n, wide=True)
    matrix = matrix_of(mixer, inputs)
    assert matrix.shape == (1, 2, n, n, n)
    torch.testing.assert_close(applied(matrix, inputs.v), mixed(mixer, inputs).z)


@pytest.mark.parametrize("name", ["attention", "delta_net", "mamba2", "rg_lru", "chacal_strict", "long_convolution"])
def test_a_layer_applies_the_matrix_it_shows(name, make_layer, draw):
    """The layer's own output, taken from the matrix, its value projection, norm and output projection."""
    layer = make_layer(glm.catalogue[name], 6, 2, gate="channel" if name == "rg_lru" else "auto")
    x = draw(1, 2, 11, 6)
    matrix = mixing_matrix(layer, x)
    first = list(layer.projected.sections).index("v")
    before = 2 * sum(list(layer.projected.sections.values())[:first])
    v = torch.nn.functional.linear(x, layer.projection.weight[before : before + 6])
    rows = applied(matrix, v.unflatten(2, (2, 3)).transpose(1, 2))
    found = layer.output(layer.norm(rows).transpose(1, 2).flatten(2))
    torch.testing.assert_close(found, layer(x), rtol=0, atol=1e-11)


def test_the_matrix_of_attention_is_its_map_by_numpy(make_layer, draw):
    layer = make_layer(glm.catalogue["attention"], 6, 2)
    x = draw(2, 1, 9, 6)
    projected = x[0].numpy() @ layer.projection.weight.detach().numpy().T
    for head in range(2):
        q, k = (projected[:, 6 * part + 3 * head : 6 * part + 3 * head + 3] for part in (0, 1))
        powers = np.tril(np.exp(q @ k.T / np.sqrt(3)))
        expected = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(mixing_matrix(layer, x)[0, head].detach().numpy(), expected, atol=1e-12)


def test_padding_and_packing_give_blocks(make_layer, draw):
    layer = make_layer(glm.catalogue["exponential_recurrence"], 4, 2)
    x = draw(3, 1, 12, 4)
    packed = mixing_matrix(layer, x, cu_seqlens=torch.tensor([0, 5, 12]))
    blocks = [mixing_matrix(layer, x[:, a:b]) for a, b in ((0, 5), (5, 12))]
    for head in range(2):
        expected = torch.block_diag(*(block[0, head] for block in blocks))
        torch.testing.assert_close(packed[0, head], expected, rtol=0, atol=1e-12)
    masked = mixing_matrix(layer, x, mask=torch.arange(12)[None] < 5)
    torch.testing.assert_close(masked[:, :, :5, :5], blocks[0], rtol=0, atol=1e-12)
    assert not masked[:, :, 5:].any()
    assert not masked[:, :, :, 5:].any()


def test_the_matrices_of_a_model_are_those_of_its_layers_as_it_runs_them():
    torch.manual_seed(0)
    stack = [glm.catalogue[name] for name in ("attention", "exponential_cache_efficient")]
    model = glm.GLMLanguageModel(stack, vocabulary=7, d_model=8, n_heads=2, n_layers=2, dtype=torch.float64)
    tokens = torch.arange(10)[None] % 7
    with torch.no_grad():
        expected = model(tokens)
        found = mixing_matrices(model, tokens)
        embedded = model.embedding(tokens) * 8**0.5
        first = model.blocks[0]
        second = model.blocks[1].mixer_norm(first(embedded))
        assert torch.equal(found["blocks.0.mixer"], mixing_matrix(first.mixer, first.mixer_norm(embedded)))
        assert torch.equal(found["blocks.1.mixer"], mixing_matrix(model.blocks[1].mixer, second))
        assert list(found) == ["blocks.0.mixer", "blocks.1.mixer"]
        assert torch.equal(model(tokens), expected)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_hooks_are_removed_when_the_model_fails():
    model = glm.GLMLanguageModel(glm.catalogue["attention"], vocabulary=3, d_model=8, n_heads=2, n_layers=1)
    with pytest.raises(glm.GlmixError):
        mixing_matrices(model, torch.tensor([[0, 9]]))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_matrix_is_differentiable(make_layer, draw):
    layer = make_layer(glm.catalogue["quadratic_recurrence"])
    x = draw(4, 1, 7, 4).requires_grad_()
    mixing_matrix(layer, x).square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.any())


def test_bad_input_is_named(make_layer):
    layer = make_layer(glm.catalogue["attention"])
    with pytest.raises(ShapeError, match="shape"):
        mixing_matrix(layer, torch.zeros(1, 3, 5, dtype=torch.float64))
    with pytest.raises(PatternError, match="mixing_matrices"):
        mixing_matrix(torch.nn.Linear(2, 2), torch.zeros(1, 3, 2))
    with pytest.raises(PatternError, match="Linear has no layer"):
        mixing_matrices(torch.nn.Linear(2, 2), torch.zeros(1, 2))
