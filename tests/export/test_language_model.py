"""The language model: same logits from the cache as from the whole sequence, and it learns."""

import copy

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import CacheError, DtypeError, LengthError, ShapeError
from glmix_theory.export import GLMLanguageModel

MIXER = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))


def small(mixer=MIXER, **options):
    torch.manual_seed(0)
    return GLMLanguageModel(mixer, **{"vocabulary": 7, "d_model": 16, "n_heads": 2, "n_layers": 2, **options})


def drawn_tokens(batch, n, high=7):
    return torch.randint(high, (batch, n), generator=torch.Generator().manual_seed(1))


def test_stepping_gives_the_logits_of_the_whole_sequence():
    model = small([MIXER, glm.Mixer(direct=glm.Window(4))]).double()
    tokens = drawn_tokens(2, 20)
    expected = model(tokens)
    logits, caches = model.prefill(tokens[:, :8])
    torch.testing.assert_close(logits, expected[:, :8])
    for t in range(8, 20):
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


def test_it_learns_to_repeat():
    model = small(d_model=32)
    tokens = drawn_tokens(4, 3).repeat(1, 8)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    first = model.loss(tokens).item()
    for _ in range(40):
        loss = model.loss(tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * first


def test_a_copy_has_no_caches():
    model = small()
    model.generate(drawn_tokens(1, 3), 2)
    assert copy.deepcopy(model).caches == []
    assert len(model.caches) == 2


def test_bad_inputs_are_refused_by_name():
    model = small()
    with pytest.raises(DtypeError, match=r"tokens are torch\.float32"):
        model(torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"tokens have shape \(3,\); \(batch, n\) is needed"):
        model(drawn_tokens(1, 3)[0])
    with pytest.raises(LengthError, match="token 7 is outside the vocabulary; tokens are 0 … 6"):
        model(torch.tensor([[1, 7]]))
    with pytest.raises(LengthError, match="token -1 is outside"):
        model(torch.tensor([[1, -1]]))
    with pytest.raises(ShapeError, match="n ≥ 2 is needed"):
        model.loss(drawn_tokens(1, 1))
    with pytest.raises(LengthError, match="temperature = -1"):
        model.generate(drawn_tokens(1, 3), 2, temperature=-1)
    with pytest.raises(CacheError, match="1 caches were given; 2 are needed"):
        model.step(drawn_tokens(1, 1)[:, 0], model.prefill(drawn_tokens(1, 3))[1][:1])
    with pytest.raises(ShapeError, match="2 mixers were given for 3 layers"):
        small([MIXER, MIXER], n_layers=3)
