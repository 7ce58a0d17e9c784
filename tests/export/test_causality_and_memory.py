"""Causality bit for bit; no n × n tensor on a sparse pattern and no work in Python that grows with tokens."""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import glmix_theory as glm
from glmix_theory.export import Inputs, mix, mixed, to_torch
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export.structure import structure_of
from tests.export.conftest import CASES

k = glm.k
OF_A_KIND = {
    "chacal": (glm.Mixer(recurrent=glm.CacheEfficient(2**k)), "chacal", False),
    "chacal_readout": (glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(3)), "chacal", False),
    "signed": (glm.Mixer(recurrent=glm.Offsets(k**2 + 1)), "signed", False),
    "gated": (glm.Mixer(recurrent=glm.Offsets(2**k)), "gated", False),
    "gated_channels": (glm.Mixer(recurrent=glm.Offsets(2**k)), "gated", True),
    "fixed": (glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)), "fixed", False),
    "mamba2": (*CASES["mamba2-gated"], False),
    "gla": (*CASES["gla-gated"], True),
    "log_linear_attention": (*CASES["log_linear_attention-gated"], True),
    "gated_delta_net": (*CASES["gated_delta_net-delta"], False),
    "kimi_delta_attention": (*CASES["kimi_delta_attention-delta"], True),
    "delta_on_offsets": (glm.Mixer(glm.Diagonal(), glm.Offsets(2**k), glm.Diagonal(), "delta", 2), "delta", True),
}
every_kind = pytest.mark.parametrize(("mixer_of_kind", "kind", "wide"), OF_A_KIND.values(), ids=OF_A_KIND.keys())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_future_changes_no_bit_of_the_past(mixer, fast, dtype, draw_qkv):
    n = 133
    before = draw_qkv(0, 1, 2, n, 8, dtype=dtype)
    other = draw_qkv(1, 1, 2, n, 8, dtype=dtype)
    expected = mix(mixer, *before, backend=fast)
    for t in (1, 2, 63, 64, 65, 100, 132):
        after = [torch.cat([x[:, :, :t], 1e6 * y[:, :, t:]], dim=2) for x, y in zip(before, other)]
        assert torch.equal(mix(mixer, *after, backend=fast)[:, :, :t], expected[:, :, :t])


@every_kind
def test_the_future_changes_no_bit_of_the_past_of_any_kind(mixer_of_kind, kind, wide, fast, draw_inputs):
    n = 133
    before, other = (draw_inputs(mixer_of_kind, kind, seed, n=n, wide=wide, dtype=torch.float32) for seed in (0, 1))
    expected = mixed(mixer_of_kind, before, kind, fast).z
    for t in (1, 2, 63, 64, 65, 100, 132):
        names = [name for name in ("v", "q", "k", "gate", "write") if getattr(before, name) is not None]
        rows = {
            name: torch.cat([getattr(before, name)[:, :, :t], 9 * getattr(other, name)[:, :, t:]], 2) for name in names
        }
        after = Inputs(**rows, bias=before.bias)
        assert torch.equal(mixed(mixer_of_kind, after, kind, fast).z[:, :, :t], expected[:, :, :t])


def test_a_layer_is_causal_bit_for_bit(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), 16, 2, dtype=torch.float32)
    x = draw(0, 2, 97, 16, dtype=torch.float32)
    changed = x.clone()
    changed[:, 70:] += 1
    assert torch.equal(layer(changed)[:, :70], layer(x)[:, :70])


class Recorder(TorchDispatchMode):
    """Counts operations, and the most numbers any of their results spans: a view counts as its whole storage."""

    def __init__(self):
        super().__init__()
        self.numbers = self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations += 1
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.numel():
                span = leaf.untyped_storage().nbytes() // leaf.element_size()
                self.numbers = max(self.numbers, leaf.numel(), span)
        return result


def test_the_recorder_sees_a_square_tensor_and_every_operation():
    with Recorder() as recorder:
        torch.ones(300, 1) @ torch.ones(1, 300)
    assert recorder.numbers == 300 * 300
    assert recorder.operations == 3


def test_sparse_patterns_make_no_square_tensor(sparse_mixer, draw_qkv):
    n = 1024
    q, key, v = (x.requires_grad_() for x in draw_qkv(0, 1, 1, n, 8, dtype=torch.float32))
    with Recorder() as recorder:  # on a first call, so that building the layout counts
        blocked_backend.mix(structure_of(sparse_mixer, n), "softmax", Inputs(v, q, key)).z.sum().backward()
    assert v.grad is not None
    assert recorder.numbers < n * n // 8


@every_kind
def test_no_kind_makes_a_square_tensor(mixer_of_kind, kind, wide, draw_inputs):
    n = 1024
    inputs = draw_inputs(mixer_of_kind, kind, 0, heads=1, n=n, width=8, wide=wide, dtype=torch.float32)
    inputs = inputs.map(lambda x: x.requires_grad_())
    with Recorder() as recorder:
        blocked_backend.mix(structure_of(mixer_of_kind, n), kind, inputs).z.sum().backward()
    assert inputs.v.grad is not None
    assert recorder.numbers < n * n // 8


@every_kind
def test_work_in_python_grows_with_blocks_and_not_with_tokens(mixer_of_kind, kind, wide, draw_inputs):
    """Twice the tokens in as many blocks: as many operations, and as many calls of Python functions."""
    counted = []
    for n, block in ((256, 64), (512, 128)):
        structure = structure_of(mixer_of_kind, n)
        inputs = draw_inputs(mixer_of_kind, kind, 0, heads=1, n=n, width=2, wide=wide).map(lambda x: x.requires_grad_())
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        blocked_backend.mix(structure, kind, inputs, block).z.sum().backward()  # makes the layouts
        with Recorder() as recorder:
            blocked_backend.mix(structure, kind, inputs, block).z.sum().backward()
        sys.setprofile(count)
        try:
            blocked_backend.mix(structure, kind, inputs, block).z.sum()
        finally:
            sys.setprofile(None)
        counted.append((recorder.operations, calls))
    assert counted[0][0] <= counted[1][0] <= 1.02 * counted[0][0]  # a longer sequence may touch a block more
    assert counted[1][1] <= 1.02 * counted[0][1]


def test_the_largest_tensor_grows_linearly(draw):
    sizes = []
    for n in (1024, 2048):
        layer = to_torch(glm.Mixer(recurrent=glm.CacheEfficient(2**k)), 8)
        x = draw(0, 1, n, 8, dtype=torch.float32).requires_grad_()
        with Recorder() as recorder:
            layer(x).sum().backward()
        sizes.append(recorder.numbers)
    assert sizes[1] < 2.5 * sizes[0]


def test_panels_stay_below_their_bound_for_any_number_of_groups(draw_qkv, monkeypatch):
    from glmix_theory.export import sparse

    mixer = glm.Mixer(direct=glm.Dense(), recurrent=glm.Dense().strict())
    inputs = draw_qkv(0, 8, 2, 40, 2)
    expected = mix(mixer, *inputs, backend="torch")
    monkeypatch.setattr(sparse, "_PANEL_NUMBERS", 5000)
    with Recorder() as recorder:
        found = mix(mixer, *inputs, backend="torch")
    torch.testing.assert_close(found, expected)
    edge_values = 16 * (2 * sum(range(41)) + 41)
    assert recorder.numbers <= max(5000, 2 * edge_values)
