"""A checkpoint alone rebuilds its layer or model, and no other mixer takes it."""

import copy
import io
import pickle

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import CheckpointError
from glmix_theory.export import GLMixer, GLMLanguageModel, to_torch
from glmix_theory.export.checkpoints import EXTRA, written

LAGS = glm.Mixer(recurrent=glm.Lags([1, 2]))


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_every_layer_is_rebuilt_from_its_checkpoint(name, make_layer, draw):
    layer = make_layer(glm.catalogue[name], 8, 2, bias=True, dropout=0.25).eval()
    state = through_a_file(layer.state_dict())
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    rebuilt = GLMixer.from_state_dict(state).eval()
    assert rebuilt.mixer == layer.mixer
    assert rebuilt.description() == layer.description()
    x = draw(0, 2, 9, 8)
    y = layer(x)
    copies = [rebuilt, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    for other in copies:
        assert torch.equal(other(x), y)
        assert torch.equal(other.prefill(x)[0], y)


def test_options_and_dtype_come_from_the_checkpoint():
    mixer = glm.catalogue["delta_net"]
    layer = to_torch(mixer, 12, 3, gate="channel", lag_bias=True, backend="torch", dtype=torch.bfloat16)
    rebuilt = GLMixer.from_state_dict(layer.state_dict())
    assert rebuilt.description() == layer.description()
    assert rebuilt.projection.weight.dtype == torch.bfloat16
    assert [tuple(p.shape) for p in rebuilt.parameters()] == [tuple(p.shape) for p in layer.parameters()]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            to_torch(glm.Mixer(recurrent=glm.Lags([1, 3])), 8, 2),
            r"mixer = .*Lags\(\[1, 2\]\)\).* has .*Lags\(\[1, 3\]\)",
        ),
        (to_torch(LAGS, 8, 4), "n_heads = 2 and the layer has 4"),
        (to_torch(LAGS, 16, 2), "d_model = 8 and the layer has 16"),
        (to_torch(LAGS, 8, 2, lag_bias=True), "lag_bias = False and the layer has True"),
    ],
)
def test_a_checkpoint_of_another_layer_is_refused_before_any_weight_moves(other, difference):
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=difference):
        other.load_state_dict(to_torch(LAGS, 8, 2).state_dict())
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_python_functions_are_saved_but_not_rebuilt():
    mixer = glm.Mixer(recurrent=glm.Predicate(lambda t, s: s < t and s % 2 == 0))
    layer = to_torch(mixer, 8, 2)
    state = through_a_file(layer.state_dict())
    with pytest.raises(CheckpointError, match=r"Predicate.*cannot be rebuilt from its text; build the layer with"):
        GLMixer.from_state_dict(state)
    other = to_torch(mixer, 8, 2)
    other.load_state_dict(state)
    x = torch.ones(1, 5, 8)
    assert torch.equal(other(x), layer(x))


def test_what_is_not_a_checkpoint_is_named():
    layer = to_torch(LAGS, 8, 2)
    state = layer.state_dict()
    with pytest.raises(CheckpointError, match="no entry '_extra_state'"):
        GLMixer.from_state_dict({name: value for name, value in state.items() if name != "_extra_state"})
    for wrong in (torch.zeros(3, dtype=torch.uint8), None, torch.zeros(2, 2)):
        with pytest.raises(CheckpointError, match="is not what state_dict"):
            layer.load_state_dict({**state, "_extra_state": wrong})


def test_a_model_is_rebuilt_with_its_mixers_shared():
    stack = [LAGS, glm.Mixer(direct=glm.Window(4)), LAGS, glm.catalogue["mamba2"]]
    torch.manual_seed(0)
    model = GLMLanguageModel(stack, 9, 8, 2, 4, dropout=0.2, lag_bias=True, dtype=torch.float64).eval()
    rebuilt = GLMLanguageModel.from_state_dict(through_a_file(model.state_dict())).eval()
    tokens = torch.arange(9)[None]
    assert torch.equal(rebuilt(tokens), model(tokens))
    mixers = [block.mixer.mixer for block in rebuilt.blocks]
    assert mixers == stack
    assert mixers[0] is mixers[2]
    assert rebuilt.blocks[0].mixer.dropout.p == 0.2
    other = GLMLanguageModel([*stack[:3], LAGS], 9, 8, 2, 4, lag_bias=True, dtype=torch.float64)
    with pytest.raises(CheckpointError, match="the checkpoint has mixer"):
        other.load_state_dict(model.state_dict())
    with pytest.raises(CheckpointError, match="vocabulary = 9 and the model has 10"):
        GLMLanguageModel(stack, 10, 8, 2, 4, lag_bias=True, dtype=torch.float64).load_state_dict(model.state_dict())
    incomplete = {name: value for name, value in model.state_dict().items() if name != "blocks.1.mixer._extra_state"}
    with pytest.raises(CheckpointError, match=r"no entry 'blocks\.1\.mixer\._extra_state'"):
        GLMLanguageModel.from_state_dict(incomplete)


def test_a_checkpoint_that_lacks_something_is_named():
    mixer = glm.Mixer(recurrent=glm.Lags([1]))
    layer, model = to_torch(mixer, 8, 2), glm.GLMLanguageModel(mixer, 7, d_model=8, n_heads=2, n_layers=1)
    for module, weight in ((layer, "projection.weight"), (model, "embedding.weight")):
        state = module.state_dict()
        del state[weight]
        with pytest.raises(CheckpointError, match=f"no entry {weight!r}"):
            type(module).from_state_dict(state)
        state = module.state_dict() | {EXTRA: written({"mixer": repr(mixer)})}
        with pytest.raises(CheckpointError, match=r"lacks (d_model|vocabulary)"):
            type(module).from_state_dict(state)
