"""Causality bit for bit, and no n × n tensor on a sparse pattern."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import glmix_theory as glm
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export import mix, to_torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_future_changes_no_bit_of_the_past(mixer, dtype, draw_qkv):
    n = 133
    before = draw_qkv(0, 1, 2, n, 8, dtype=dtype)
    other = draw_qkv(1, 1, 2, n, 8, dtype=dtype)
    expected = mix(mixer, *before)
    for t in (1, 2, 63, 64, 65, 100, 132):
        after = [torch.cat([x[:, :, :t], 1e6 * y[:, :, t:]], dim=2) for x, y in zip(before, other)]
        assert torch.equal(mix(mixer, *after)[:, :, :t], expected[:, :, :t])


def test_a_layer_is_causal_bit_for_bit(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 16, 2, dtype=torch.float32)
    x = draw(0, 2, 97, 16, dtype=torch.float32)
    changed = x.clone()
    changed[:, 70:] += 1
    assert torch.equal(layer(changed)[:, :70], layer(x)[:, :70])


class Largest(TorchDispatchMode):
    """Records the most numbers any operation's result spans, views of one storage counted as the storage."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                span = leaf.untyped_storage().nbytes() // leaf.element_size()
                self.numbers = max(self.numbers, leaf.numel(), span)
        return result


def test_the_recorder_sees_a_square_tensor():
    with Largest() as largest:
        torch.ones(300, 1) @ torch.ones(1, 300)
    assert largest.numbers == 300 * 300


def test_sparse_patterns_make_no_square_tensor(sparse_mixer, draw_qkv):
    n = 1024
    inputs = [x.requires_grad_() for x in draw_qkv(0, 1, 1, n, 8, dtype=torch.float32)]
    with Largest() as largest:  # on a first call, so that building the layout counts
        blocked_backend.mix(sparse_mixer, *inputs).z.sum().backward()
    assert all(x.grad is not None for x in inputs[:1]) or sparse_mixer.recurrent == glm.Empty()
    assert largest.numbers < n * n // 8


def test_the_largest_tensor_grows_linearly(draw):
    sizes = []
    for n in (1024, 2048):
        layer = to_torch(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 8)
        x = draw(0, 1, n, 8, dtype=torch.float32).requires_grad_()
        with Largest() as largest:
            layer(x).sum().backward()
        sizes.append(largest.numbers)
    assert sizes[1] < 2.5 * sizes[0]


def test_panels_stay_below_their_bound_for_any_number_of_groups(draw_qkv, monkeypatch):
    from glmix_theory.export import sparse

    mixer = glm.Mixer(direct=glm.Dense(), recurrent=glm.Dense().strict())
    inputs = draw_qkv(0, 8, 2, 40, 2)
    expected = mix(mixer, *inputs)
    monkeypatch.setattr(sparse, "_PANEL_NUMBERS", 5000)
    with Largest() as largest:
        found = mix(mixer, *inputs)
    torch.testing.assert_close(found, expected)
    edge_values = 16 * (2 * sum(range(41)) + 41)
    assert largest.numbers <= max(5000, 2 * edge_values)
