"""The language model: same logits from the cache as from the whole sequence, and it learns."""

import copy

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import CacheError, CoefficientError, DtypeError, LengthError, RangeError, ShapeError
from glmix_theory.export import GLMLanguageModel

MIXER = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))


def small(mixer=MIXER, **options):
    torch.manual_seed(0)
    return GLMLanguageModel(mixer, **{"vocabulary": 7, "d_model": 16, "n_heads": 2, "n_layers": 2, **options})


def drawn_tokens(batch, n, high=7):
    return torch.randint(high, (batch, n), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("second", ["local_attention", "gla", "gated_delta_net", "log_linear_attention", "chacal"])
def test_stepping_and_chunks_give_the_logits_of_the_whole_sequence(second):
    model = small([MIXER, glm.catalogue[second]]).double()
    tokens = drawn_tokens(2, 20)
    expected = model(tokens)
    logits, caches = model.prefill(tokens[:, :8])
    torch.testing.assert_close(logits, expected[:, :8])
    logits, caches = model.prefill(tokens[:, 8:13], caches=caches)
    torch.testing.assert_close(logits, expected[:, 8:13])
    for t in range(13, 20):
        torch.testing.assert_close(model.step(tokens[:, t], caches), expected[:, t])


def test_greedy_generation_is_the_argmax_of_forward():
    model = small()
    tokens = drawn_tokens(2, 5)
    found = model.generate(tokens, 12, temperature=0)
    for t in range(5, 17):
        assert torch.equal(found[:, t], model(found[:, :t])[:, -1].argmax(dim=-1))


def test_generation_holds_exactly_the_planned_rows():
    model = small()
    model.generate(drawn_tokens(3, 10), 30)
    rows = glm.SlotPlan(MIXER).peak(39)
    assert [cache.rows for cache in model.caches] == [rows, rows]
    assert all(cache.nbytes == 3 * rows * 2 * 16 * 4 for cache in model.caches)


def test_sampling_follows_its_generator():
    model = small()
    tokens = drawn_tokens(1, 4)
    runs = [
        model.generate(tokens, 20, temperature=2.0, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert torch.equal(model.generate(tokens, 0), tokens)


@pytest.mark.parametrize("name", ["exponential_cache_efficient", "mamba2"])
def test_it_learns_to_repeat(name):
    """The token after 1 is 2 or 3 in turn: only what came before it tells which."""
    model = small(glm.catalogue[name], d_model=32)
    tokens = torch.tensor([[1, 2, 1, 3] * 6, [1, 3, 1, 2] * 6])
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    first = model.loss(tokens).item()
    for _ in range(40):
        loss = model.loss(tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.25 * first


def test_padded_and_packed_sequences_are_those_alone():
    model = small(glm.catalogue["gla"]).double()
    tokens = drawn_tokens(2, 12)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, :5] = mask[1, 9:] = False
    logits = model(tokens, mask)
    torch.testing.assert_close(logits[0, 5:], model(tokens[:1, 5:])[0])
    torch.testing.assert_close(logits[1, :9], model(tokens[1:, :9])[0])
    packed = model(tokens[:1], cu_seqlens=torch.tensor([0, 1, 5, 12]))
    for start, stop in ((0, 1), (1, 5), (5, 12)):
        torch.testing.assert_close(packed[0, start:stop], model(tokens[:1, start:stop])[0])


def test_a_model_compiles_to_one_graph():
    model = small([MIXER, glm.catalogue["mamba2"]])
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    for n in (12, 7):
        tokens = drawn_tokens(2, n)
        torch.testing.assert_close(compiled(tokens), model(tokens))


def test_dropout_is_for_training():
    model = small(dropout=0.5)
    tokens = drawn_tokens(1, 9)
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))
    assert [block.mixer.dropout.p for block in model.blocks] == [0.5, 0.5]


def test_a_copy_has_no_caches():
    model = small()
    model.generate(drawn_tokens(1, 3), 2)
    assert copy.deepcopy(model).caches == []
    assert len(model.caches) == 2


def test_the_head_is_the_embedding():
    model = small()
    weights = [parameter for parameter in model.parameters() if parameter.shape == (7, 16)]
    assert weights == [model.embedding.weight]


def test_bad_inputs_are_refused_by_name():
    model = small()
    with pytest.raises(DtypeError, match=r"tokens are torch\.float32"):
        model(torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"tokens have shape \(3,\); \(batch, n\) is needed"):
        model(drawn_tokens(1, 3)[0])
    with pytest.raises(RangeError, match="token 7 is outside the vocabulary; tokens are 0 … 6"):
        model(torch.tensor([[1, 7]]))
    with pytest.raises(RangeError, match="token -1 is outside"):
        model(torch.tensor([[1, -1]]))
    with pytest.raises(ShapeError, match="n ≥ 2 is needed"):
        model.loss(drawn_tokens(1, 1))
    for temperature in (-1, float("nan"), float("inf"), "hot"):
        with pytest.raises(RangeError, match="a finite number ≥ 0 is needed"):
            model.generate(drawn_tokens(1, 3), 2, temperature=temperature)
    with pytest.raises(LengthError, match="number = -1 is below 0"):
        model.generate(drawn_tokens(1, 3), -1)
    with pytest.raises(CacheError, match="1 caches were given; 2 are needed"):
        model.step(drawn_tokens(1, 1)[:, 0], model.prefill(drawn_tokens(1, 3))[1][:1])
    with pytest.raises(ShapeError, match="2 mixers were given for 3 layers"):
        small([MIXER, MIXER], n_layers=3)
    with pytest.raises(RangeError, match=r"dropout = 1\.0; a number at least 0 and below 1"):
        small(dropout=1.0)
    with pytest.raises(CoefficientError, match="gate = 'head': coefficients 'softmax' with state = 1 take 'none'"):
        small(gate="head")
