"""Prefill in chunks of any sizes, from any cache, is the forward of the whole sequence."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.errors import GlmixError
from glmix_theory.export import to_torch
from glmix_theory.export.continuing import continued
from glmix_theory.export.stepping import lag_classes
from glmix_theory.export.structure import EdgeTable, structure_of
from tests.strategies import mixers

k = glm.k
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def layer_of(mixer, **options):
    torch.manual_seed(0)
    layer = to_torch(mixer, 8, 2, dtype=torch.float64, **options)
    if layer.lag_bias is not None:
        torch.nn.init.normal_(layer.lag_bias)
    return layer


def rows(batch, n):
    return torch.randn(batch, n, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def in_chunks(layer, x, sizes):
    """Outputs by chunks of these sizes, 0 for one single step; then steps to the end."""
    cache, pieces, done = layer.empty_cache(len(x)), [], 0
    for size in sizes:
        stop = min(done + max(size, 1), x.shape[1])
        if done < stop:
            if size:
                y, cache = layer.prefill(x[:, done:stop], cache=cache)
            else:
                y_t, cache = layer.step(x[:, done], cache)
                y = y_t[:, None]
            pieces.append(y)
            cache.poison()
            done = stop
    for t in range(done, x.shape[1]):
        y_t, cache = layer.step(x[:, t], cache)
        pieces.append(y_t[:, None])
    return torch.cat(pieces, dim=1), cache


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_every_catalogue_entry_continues_by_chunks(name):
    layer = layer_of(glm.catalogue[name])
    x = rows(2, 41)
    y = layer(x)
    for sizes in ([17, 1, 20], [0, 5, 0, 0, 30], [41]):
        found, cache = in_chunks(layer, x, sizes)
        torch.testing.assert_close(found, y, **EXACT)
        assert cache.position == 41
        assert cache.rows == layer.plan.peak(41)
        assert cache.occupied == set(layer.plan.occupied(40))


KINDS = ("softmax", "signed", "chacal", "gated", "fixed")


@given(mixers(), st.sampled_from(KINDS), st.lists(st.integers(0, 9), max_size=5), st.integers(1, 24))
@settings(max_examples=40)
def test_any_pattern_any_kind_any_chunks(drawn, kind, sizes, n):
    mixer = glm.Mixer(drawn.mixer.direct, drawn.mixer.recurrent, drawn.mixer.readout, kind)
    layer = layer_of(mixer, lag_bias=True)
    x = rows(1, n)
    torch.testing.assert_close(in_chunks(layer, x, sizes)[0], layer(x), **EXACT)


@given(
    mixers(),
    st.sampled_from(("gated", "fixed", "delta")),
    st.sampled_from(("none", "head", "channel")),
    st.lists(st.integers(0, 9), max_size=5),
    st.integers(1, 24),
)
@settings(max_examples=40)
def test_any_pattern_with_state_expansion_any_chunks(drawn, kind, gate, sizes, n):
    readout = drawn.mixer.readout or glm.Diagonal()
    mixer = glm.Mixer(drawn.mixer.direct, drawn.mixer.recurrent, readout, kind, state=3)
    layer = layer_of(mixer, gate=gate, lag_bias=True)
    # Nothing may be small only because what it is compared with is: norms are left out.
    layer.norm = torch.nn.Identity()
    x = rows(1, n)
    torch.testing.assert_close(in_chunks(layer, x, sizes)[0], layer(x), **EXACT)


def test_a_saved_state_continues_by_chunks():
    mixer = glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), coefficients="gated", state=4)
    layer = layer_of(mixer)
    other = copy.deepcopy(layer)
    x = rows(2, 30)
    _, cache = layer.prefill(x[:, :13], horizon=25)
    restored = other.restore_cache(cache.state())
    found, _ = other.prefill(x[:, 13:], cache=restored)
    torch.testing.assert_close(found, layer(x)[:, 13:], **EXACT)


def test_a_chunk_reads_no_more_than_the_live_rows_and_has_no_token_loop(monkeypatch):
    """The compact structure holds the cached rows the chunk reads, and one call of a backend runs it."""
    from glmix_theory.export import layer as module

    layer = layer_of(glm.Mixer(recurrent=glm.CacheEfficient(2**k)))
    _, cache = layer.prefill(rows(1, 200))
    live = cache.rows
    seen = []
    name = module.choose_backend("auto", torch.device("cpu"), torch.float64, 8)
    backend = module.BACKENDS[name]

    def spy(structure, kind, inputs):
        seen.append((structure.known, structure.n))
        return backend.mix(structure, kind, inputs)

    monkeypatch.setitem(module.BACKENDS, name, type(backend)(spy, backend.solve))
    layer.prefill(rows(1, 50), cache=cache)
    ((known, n),) = seen
    assert known <= live
    assert n == known + 50


def test_a_chunk_after_nothing_known_is_the_structure_itself():
    mixer = glm.Mixer(direct=glm.Window(2), recurrent=glm.Offsets(2**k), readout=glm.Lags([0, 3]))
    layer = layer_of(mixer)
    found, inputs, outputs = continued(layer.rule, layer.plan.steps(0, 20))
    assert (found.known, len(inputs), len(outputs)) == (0, 0, 0)
    for mine, whole in zip(found.parts, structure_of(mixer, 20).parts):
        for name in ("indptr", "sources", "classes"):
            assert getattr(mine, name).tolist() == getattr(whole, name).tolist()


@given(mixers(), st.integers(0, 40), st.integers(1, 30))
@settings(max_examples=40)
def test_lag_classes_do_not_depend_on_where_one_looks(drawn, start, number):
    for pattern in (drawn.mixer.direct, drawn.mixer.recurrent):
        table = EdgeTable.of(pattern, start + number)
        late = table.targets >= start
        found = lag_classes(pattern, table.targets[late], table.sources[late])
        assert found.tolist() == table.classes[late].tolist()


def test_a_refused_chunk_leaves_the_cache_as_it_was():
    layer = layer_of(glm.Mixer(recurrent=glm.Lags([1, 3])))
    x = rows(2, 9)
    _, cache = layer.prefill(x[:, :4])
    before = cache.state()
    for wrong in (x[:1, 4:], x[:, 4:].float(), x[:, 4:, :7]):
        with pytest.raises(GlmixError):
            layer.prefill(wrong, cache=cache)
    assert all(torch.equal(now, before[name]) for name, now in cache.state().items())
