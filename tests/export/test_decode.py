"""Decoding from the cache: same numbers, exactly the planned rows, exactly the counted terms."""

import copy
import pickle

import pytest
import torch

import glmix_theory as glm
from glmix_theory.complexity import units
from glmix_theory.errors import CacheError, DtypeError, LengthError, ShapeError
from glmix_theory.export import choose_backend
from glmix_theory.mixers import COEFFICIENTS

k = glm.k
EXACT = {"rtol": 1e-9, "atol": 1e-9}

KINDS = {
    f"{kind}_{name}": (glm.Mixer(direct, recurrent, readout, coefficients=kind), {"lag_bias": True})
    for kind in ("softmax", "signed", "chacal", "gated", "fixed")
    for name, direct, recurrent, readout in (
        ("powers", glm.Diagonal(), glm.Offsets(2**k), None),
        ("all_parts", glm.Window(3), glm.CacheEfficient(2**k), glm.Window(2) | glm.Lags([5])),
    )
}
KINDS |= {
    f"{kind}_state_{gate}_{name}": (
        glm.Mixer(direct, recurrent, readout, coefficients=kind, state=3),
        {"gate": gate, "lag_bias": gate != "none"},
    )
    for kind in ("gated", "fixed", "delta")
    for gate in ("none", "head", "channel")
    for name, direct, recurrent, readout in (
        ("first_order", glm.Diagonal(), glm.Lags([1]), glm.Diagonal()),
        ("fenwick", glm.Window(2), glm.Fenwick(), glm.FenwickPrefix()),
        ("two_lags", glm.Diagonal(), glm.Lags([1, 3]), glm.Lags([0, 2])),
    )
}
KINDS["gated_channels"] = (glm.Mixer(recurrent=glm.Lags([1]), coefficients="gated"), {"gate": "channel"})
CATALOGUE = {name: (glm.catalogue[name], {}) for name in glm.catalogue.names()}


@pytest.fixture(params=[*CATALOGUE.items(), *KINDS.items()], ids=lambda item: item[0])
def layer(request, make_layer):
    """Every catalogue entry, and every kind with every gate on small patterns; biases away from their start."""
    mixer, options = request.param[1]
    made = make_layer(mixer, 8, 2, **options)
    if made.lag_bias is not None:
        torch.nn.init.normal_(made.lag_bias)
    return made


def fusing(layer, fused):
    """The layer with its steps compiled or in plain torch."""
    layer.backend = "auto" if fused else "torch"
    return layer


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


def test_every_kind_is_decoded():
    assert {mixer.coefficients for mixer, _ in KINDS.values()} == set(COEFFICIENTS)
    assert choose_backend("auto", torch.device("cpu"), torch.float64, 4) == "numba"


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "torch"])
def test_steps_equal_forward_and_never_read_a_dead_row(layer, fused, draw):
    fusing(layer, fused)
    x = draw(1, 2, 22, 8)
    y = layer(x)
    for split in (0, 9):
        found = decoded(layer, x, split, each=lambda cache: cache.poison())[0]
        torch.testing.assert_close(found, y, **EXACT)


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
        torch.testing.assert_close(decoded(layer, x, split, each=lambda cache: cache.poison())[0], y, **EXACT)


def held_bytes(cache):
    """Bytes of the tensors that hold rows, by looking at them."""
    return sum(getattr(cache, name).numel() * getattr(cache, name).element_size() for name in ("_storage", "_decays"))


def test_memory_is_exactly_the_planned_rows(layer, draw):
    plan = glm.SlotPlan(layer.mixer)
    item, kind, state = 8, layer.mixer.coefficients, layer.mixer.state
    keys = state == 1 and kind != "fixed"
    row = (state if state > 1 else 1 + keys) * 8 * item
    reads = layer.mixer.output_reads
    far = any(s < t - 1 for t in range(40) for s in reads.sources(t))
    if state > 1 and far:
        row += {"none": 0, "head": 1, "channel": state}[layer.projected.gate] * layer.n_heads * 8
    assert layer.cache_row_bytes == row

    def check(cache):
        t = cache.position - 1
        assert cache.rows == (plan.peak(t + 1) if t >= 0 else 0)
        assert cache.occupied == (set(plan.occupied(t)) if t >= 0 else set())
        assert cache.nbytes == held_bytes(cache) == 2 * cache.rows * row

    decoded(layer, draw(0, 2, 20, 8), 0, each=check)
    _, cache = decoded(layer, draw(0, 2, 20, 8), 13, each=check)
    if not cache._decays.numel():
        sizes = {"d": 4, "heads": 2, "dtype": "float64", "keys": keys, "at": 20}
        stated = units.cache_bytes(layer.mixer, **sizes)
        assert 2 * (stated.upper if isinstance(stated, glm.Bounds) else stated) == cache.nbytes


def test_a_horizon_is_allocated_at_once(mixer, make_layer, draw):
    layer = make_layer(mixer)
    plan = glm.SlotPlan(mixer)
    x = draw(0, 1, 30, 4)
    seen = set()
    for split in (0, 5):
        found, _ = decoded(layer, x, split, horizon=25, each=lambda cache: seen.add((cache.position, cache.rows)))
        torch.testing.assert_close(found, layer(x), **EXACT)
    assert seen == {(t, plan.peak(max(t, 25))) for t in range(31)}


def test_steps_apply_as_many_terms_as_the_patterns_have(layer, draw):
    x = draw(0, 1, 20, 8)
    total = []

    def check(cache):
        if cache.position:
            reads = layer.mixer.sources(cache.position - 1)
            for part in ("direct", "recurrent", "readout"):
                assert getattr(cache.terms, part) == len(reads.get(part, ()))
            total.append(cache.terms.total)

    decoded(layer, x, 0, each=check)
    layer(x)
    assert sum(total) == layer.last_terms.total


def test_a_step_touches_no_more_rows_when_the_sequence_is_long(make_layer, draw, monkeypatch):
    """Tensor work of one step: rows gathered stay at the in-degree, whatever the position."""
    layer = make_layer(glm.Mixer(recurrent=glm.Lags([1, 7, 500])), 4, 1, backend="torch")
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


def test_the_state_continues_in_another_layer_with_the_same_parameters(layer, draw):
    second = copy.deepcopy(layer)
    x = draw(0, 2, 17, 8)
    _, cache = layer.prefill(x[:, :11], horizon=15)
    state = pickle.loads(pickle.dumps(cache.state()))
    y, _ = decoded(layer, x, 11, horizon=15)
    restored = second.restore_cache(state)
    assert (restored.rows, restored.occupied, restored.position) == (cache.rows, cache.occupied, 11)
    for t in range(11, 17):
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
    layer = make_layer(glm.Mixer(recurrent=glm.Offsets(2**k)))
    x = draw(0, 1, 12, 4)
    y, cache = layer.prefill(x)
    assert y.requires_grad
    assert not cache.state()["storage"].requires_grad
    assert not layer.step(x[:, 0], cache)[0].requires_grad


@pytest.mark.parametrize("kind", ["softmax", "gated", "delta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_decoding_stays_close(make_layer, draw, dtype, kind):
    readout, state = (None, 1) if kind == "softmax" else (glm.Diagonal(), 4)
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k), readout=readout, coefficients=kind, state=state)
    layer = make_layer(mixer, 16, 2, dtype=dtype)
    x = draw(0, 2, 60, 16, dtype=dtype)
    found, cache = decoded(layer, x, 20)
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    torch.testing.assert_close(found, layer(x), rtol=tolerance, atol=tolerance)
    assert cache.dtype == dtype
    assert cache.nbytes == 2 * cache.rows * layer.cache_row_bytes


def test_decoding_under_autocast_stays_close(make_layer, draw):
    layer = make_layer(glm.Mixer(recurrent=glm.Offsets(2**k)), 16, 2, dtype=torch.float32)
    x = draw(0, 2, 60, 16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = decoded(layer, x, 20)
        torch.testing.assert_close(found, layer(x), rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_step_sums_in_full_precision_under_autocast(make_layer, draw, backend):
    mixer = glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(2))
    layer = make_layer(mixer, dtype=torch.float32, backend=backend)
    plain, lowered = layer.empty_cache(1), layer.empty_cache(1)
    for t in range(20):
        own = layer._inputs(draw(t, 1, 1, 4, dtype=torch.float32))
        expected = plain.advance(own)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(lowered.advance(own), expected)


def test_long_memories_do_not_lose_precision(make_layer):
    """Decays of 1000 positions: sums of logarithms in fp64 on both paths, the first read still exact."""
    mixer = glm.Mixer(
        recurrent=glm.Lags([1]) | glm.GlobalTokens(1).strict(), readout=glm.Diagonal(), coefficients="gated", state=2
    )
    layer = make_layer(mixer, 2, 1)
    layer.gate_bias.data.fill_(9.0)
    cache, other = layer.empty_cache(1), fusing(make_layer(mixer, 2, 1), False)
    other.load_state_dict(layer.state_dict())
    second = other.empty_cache(1)
    x = torch.ones(1, 2, dtype=torch.float64)
    for _ in range(1000):
        y, cache = layer.step(x, cache)
        z, second = other.step(x, second)
    torch.testing.assert_close(y, z, **EXACT)
    kept = torch.nn.functional.logsigmoid(layer._inputs(x[:, None]).gate).item()
    assert cache.total.item() == pytest.approx(1000 * kept, rel=1e-12)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_decoding_in_inference_mode(make_layer, draw, backend):
    layer = make_layer(glm.catalogue["log_linear_attention"], 8, 2, backend=backend)
    x = draw(0, 2, 9, 8)
    with torch.inference_mode():
        found, cache = decoded(layer, x, 4)
        torch.testing.assert_close(layer.prefill(x, cache=cache)[0].isfinite().all(), torch.tensor(True))
        torch.testing.assert_close(found, layer(x), **EXACT)


def test_caches_that_do_not_belong_are_refused(make_layer, draw):
    first, second = (make_layer(glm.Mixer(recurrent=glm.Lags([1, 2]))) for _ in range(2))
    x = draw(0, 2, 5, 4)
    _, cache = first.prefill(x)
    for call in (lambda: second.step(x[:, 0], cache), lambda: second.prefill(x, cache=cache)):
        with pytest.raises(CacheError, match="belongs to another layer"):
            call()
    with pytest.raises(CacheError, match="holds 2 sequences and x has 1"):
        first.step(x[:1, 0], cache)
    with pytest.raises(CacheError, match="cache is a NoneType"):
        first.step(x[:, 0], None)
    with pytest.raises(CacheError, match="horizon = 9 is given with a cache"):
        first.prefill(x, horizon=9, cache=cache)
    with pytest.raises(CacheError, match="the mask has padding"):
        first.prefill(x, mask=torch.tensor([[False, True, True, True, True], [True] * 5]))
    assert torch.equal(first.prefill(x, mask=torch.ones(2, 5, dtype=torch.bool))[0], first(x))
    with pytest.raises(ShapeError, match=r"x has shape \(2, 5, 4\); \(batch, 4\) is needed"):
        first.step(x, cache)
    with pytest.raises(DtypeError, match=r"use x\.to\(torch\.float64\)"):
        first.step(x[:, 0].float(), cache)
    with pytest.raises(CacheError, match=r"the cache holds torch\.float64 and the layer is torch\.float32 by now"):
        first.float().step(x[:, 0].float(), cache)
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
