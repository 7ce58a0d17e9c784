"""Decoding from the cache: same numbers, exactly the planned rows, exactly the counted terms."""

import copy
import pickle

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import CacheError, DtypeError, LengthError, ShapeError

EXACT = {"rtol": 1e-9, "atol": 1e-9}


def decoded(layer, x, split, horizon=None, each=lambda cache: None):
    """Outputs of a prefix of length ``split`` and single steps after it."""
    if split:
        y, cache = layer.prefill(x[:, :split], horizon)
        pieces = [y]
    else:
        pieces, cache = [], layer.empty_cache(len(x), horizon)
    each(cache)
    for t in range(split, x.shape[1]):
        y_t, cache = layer.step(x[:, t], cache)
        pieces.append(y_t[:, None])
        each(cache)
    return torch.cat(pieces, dim=1), cache


def test_every_split_of_prefill_and_steps_equals_forward(mixer, make_layer, draw):
    layer = make_layer(mixer)
    for n in (1, 2, 3, 7):
        x = draw(n, 2, n, 4)
        y = layer(x)
        for split in range(n + 1):
            torch.testing.assert_close(decoded(layer, x, split)[0], y, **EXACT)


def test_decoding_across_blocks_equals_forward(mixer, make_layer, draw):
    layer = make_layer(mixer)
    x = draw(0, 1, 100, 4)
    y = layer(x)
    for split in (0, 61):
        torch.testing.assert_close(decoded(layer, x, split)[0], y, **EXACT)


def test_poisoned_rows_are_never_read(mixer, make_layer, draw):
    layer = make_layer(mixer)
    x = draw(0, 2, 70, 4)
    found = decoded(layer, x, 9, each=lambda cache: cache.poison())[0]
    torch.testing.assert_close(found, layer(x), **EXACT)


def test_rows_are_exactly_the_plan(mixer, make_layer, draw):
    layer = make_layer(mixer)
    plan = glm.SlotPlan(mixer)
    x = draw(0, 2, 40, 4)

    def check(cache):
        t = cache.position - 1
        assert cache.rows == (plan.peak(t + 1) if t >= 0 else 0)
        assert cache.occupied == (set(plan.occupied(t)) if t >= 0 else set())
        assert len(cache.occupied) == (plan.held(t) if t >= 0 else 0)
        assert cache.nbytes == 2 * cache.rows * layer.cache_row_bytes

    decoded(layer, x, 0, each=check)
    decoded(layer, x, 13, each=check)


def test_a_horizon_is_allocated_at_once(mixer, make_layer, draw):
    layer = make_layer(mixer)
    plan = glm.SlotPlan(mixer)
    x = draw(0, 1, 30, 4)
    seen = set()
    for split in (0, 5):
        found, _ = decoded(layer, x, split, horizon=25, each=lambda cache: seen.add((cache.position, cache.rows)))
        torch.testing.assert_close(found, layer(x), **EXACT)
    assert seen == {(t, plan.peak(max(t, 25))) for t in range(31)}


def test_steps_apply_as_many_terms_as_the_patterns_have(mixer, make_layer, draw):
    layer = make_layer(mixer)
    x = draw(0, 1, 40, 4)
    total = []

    def check(cache):
        if cache.position:
            t = cache.position - 1
            reads = mixer.sources(t)
            for part in ("direct", "recurrent", "readout"):
                assert getattr(cache.terms, part) == len(reads.get(part, ()))
            total.append(cache.terms.total)

    decoded(layer, x, 0, each=check)
    layer(x)
    assert sum(total) == layer.last_terms.total


def test_a_step_touches_no_more_rows_when_the_sequence_is_long(make_layer, draw, monkeypatch):
    """Tensor work of one step: rows gathered stay at the in-degree, whatever the position."""
    layer = make_layer(glm.Mixer(recurrent=glm.Lags([1, 7, 500])), 4, 1)
    x = draw(0, 1, 2000, 4)
    _, cache = layer.prefill(x, horizon=3000)
    sizes = []
    original = torch.Tensor.index_select

    def spy(self, dim, index):
        sizes.append(len(index))
        return original(self, dim, index)

    monkeypatch.setattr(torch.Tensor, "index_select", spy)
    for t in range(3):
        layer.step(x[:, t], cache)
    assert sizes == [3] * 3


def test_the_state_continues_in_another_layer_with_the_same_parameters(mixer, make_layer, draw):
    first, second = make_layer(mixer), make_layer(mixer)
    x = draw(0, 2, 25, 4)
    _, cache = first.prefill(x[:, :11], horizon=20)
    state = pickle.loads(pickle.dumps(cache.state()))
    y, _ = decoded(first, x, 11, horizon=20)
    restored = second.restore_cache(state)
    assert (restored.rows, restored.occupied, restored.position) == (cache.rows, cache.occupied, 11)
    for t in range(11, 25):
        y_t, restored = second.step(x[:, t], restored)
        torch.testing.assert_close(y_t, y[:, t], **EXACT)


def test_a_state_is_a_copy(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.Lags([1])))
    x = draw(0, 1, 5, 4)
    _, cache = layer.prefill(x)
    state = cache.state()
    first, _ = layer.step(x[:, 0], cache)
    branch = layer.restore_cache(state)
    layer.step(x[:, 3], branch)
    again, _ = layer.step(x[:, 0], layer.restore_cache(state))
    assert torch.equal(first, again)


def test_cached_rows_carry_no_gradient_and_prefill_does(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.Offsets(2**glm.k)))
    x = draw(0, 1, 12, 4)
    y, cache = layer.prefill(x)
    assert y.requires_grad
    assert not cache.state()["storage"].requires_grad
    assert not layer.step(x[:, 0], cache)[0].requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_decoding_stays_close(make_layer, draw, dtype):
    layer = make_layer(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 16, 2, dtype=dtype)
    x = draw(0, 2, 60, 16, dtype=dtype)
    found, cache = decoded(layer, x, 20)
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    torch.testing.assert_close(found, layer(x), rtol=tolerance, atol=tolerance)
    assert cache.dtype == dtype
    assert cache.nbytes == 2 * cache.rows * layer.cache_row_bytes


def test_decoding_under_autocast_stays_close(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.Offsets(2**glm.k)), 16, 2, dtype=torch.float32)
    x = draw(0, 2, 60, 16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = decoded(layer, x, 20)
        torch.testing.assert_close(found, layer(x), rtol=5e-2, atol=5e-2)


def test_a_step_sums_in_full_precision_under_autocast(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.Offsets(2**glm.k), readout=glm.Window(2)), dtype=torch.float32)
    plain, lowered = layer.empty_cache(1), layer.empty_cache(1)
    for t in range(20):
        q, k, v = draw(t, 3, 1, 2, 2, dtype=torch.float32)
        expected = plain.advance(q, k, v)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(lowered.advance(q, k, v), expected)


def test_wrong_caches_are_refused_by_name(make_layer, draw):
    mixer = glm.Mixer(recurrent=glm.Lags([1, 2]))
    first, second = make_layer(mixer), make_layer(mixer)
    x = draw(0, 2, 5, 4)
    _, cache = first.prefill(x)
    with pytest.raises(CacheError, match="belongs to another layer"):
        second.step(x[:, 0], cache)
    with pytest.raises(CacheError, match="holds 2 sequences and x_t has 1"):
        first.step(x[:1, 0], cache)
    with pytest.raises(CacheError, match="cache is a NoneType; a Cache from prefill"):
        first.step(x[:, 0], None)
    with pytest.raises(ShapeError, match=r"x has shape \(2, 5, 4\); \(batch, 4\) is needed"):
        first.step(x, cache)
    with pytest.raises(DtypeError, match=r"use x\.to\(torch\.float64\)"):
        first.step(x[:, 0].float(), cache)
    with pytest.raises(LengthError, match="horizon = 0 is below 1"):
        first.empty_cache(1, horizon=0)
    with pytest.raises(LengthError, match="batch = 0 is below 1"):
        first.empty_cache(0)
    with pytest.raises(CacheError, match=r"save cache\.state\(\)"):
        copy.deepcopy(cache)
    assert cache.position == 5  # a refused step leaves the cache as it was


def test_states_that_do_not_fit_are_refused(make_layer, draw):
    narrow, wide = (make_layer(glm.Mixer(recurrent=glm.Lags([1, 2])), width) for width in (4, 8))
    _, cache = narrow.prefill(draw(0, 2, 5, 4))
    state = cache.state()
    with pytest.raises(CacheError, match="this layer at position 5 needs"):
        wide.restore_cache(state)
    del state["position"]
    with pytest.raises(CacheError, match="the state lacks position"):
        narrow.restore_cache(state)
