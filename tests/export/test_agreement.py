"""Every way to run a mixer gives the same numbers: token loops, dense oracle, fast backends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.export import Inputs, edges, mix, mixed, solve
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export.structure import structure_of
from tests.export.conftest import ON_CPU
from tests.export.token_loops import token_loops

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.mark.parametrize("backend", ON_CPU)
def test_mix_equals_the_token_loops(mixer, backend, draw_qkv):
    for n in (1, 2, 3, 9, 18):
        q, k, v = draw_qkv(n, 1, 2, n, 3)
        expected = token_loops(mixer, "softmax", Inputs(v, q, k))[0]
        torch.testing.assert_close(mix(mixer, q, k, v, backend=backend), expected, **EXACT)


def test_mix_equals_the_reference_across_blocks(mixer, fast, draw_qkv):
    for n in (63, 64, 65, 130):
        q, k, v = draw_qkv(n, 1, 2, n, 3)
        expected = mix(mixer, q, k, v, backend="reference")
        torch.testing.assert_close(mix(mixer, q, k, v, backend=fast), expected, **EXACT)


def test_single_precision_stays_close_to_the_reference(mixer, fast, draw_qkv):
    q, k, v = draw_qkv(0, 2, 2, 100, 8, dtype=torch.float32)
    expected = mix(mixer, q.double(), k.double(), v.double(), backend="reference")
    torch.testing.assert_close(mix(mixer, q, k, v, backend=fast).double(), expected, rtol=1e-4, atol=1e-4)


def test_block_size_does_not_matter(mixer, draw_qkv):
    q, k, v = draw_qkv(0, 1, 1, 45, 3)
    expected = mix(mixer, q, k, v, backend="torch")
    for block in (1, 7, 16, 44, 45):
        found = blocked_backend.mix(structure_of(mixer, 45), "softmax", Inputs(v, q, k), block=block).z
        torch.testing.assert_close(found, expected, **EXACT)


def test_rows_sum_to_one_so_constants_pass(mixer, fast, draw_qkv):
    q, k, _ = draw_qkv(0, 1, 2, 90, 3)
    constant = torch.ones(1, 2, 90, 3, dtype=torch.float64)
    y = mixed(mixer, Inputs(constant, q, k), backend=fast).y
    ones: set[int] = set()
    for t in range(90):
        direct, recurrent = mixer.direct.sources(t), mixer.recurrent.sources(t)
        if (direct or recurrent) and ones.issuperset(recurrent):
            ones.add(t)
            torch.testing.assert_close(y[:, :, t], constant[:, :, t], **EXACT)
        elif not direct and not recurrent:
            assert not y[:, :, t].any()
    assert len(ones) == 90 or not mixer.direct.sources(0)


@pytest.mark.parametrize("backend", ON_CPU)
def test_rows_without_edges_are_zero_and_have_finite_gradients(backend, draw_qkv):
    mixer = glm.Mixer(direct=glm.Explicit([(3, 3)]), recurrent=glm.Explicit([(5, 3), (7, 6)]))
    q, k, v = (x.requires_grad_() for x in draw_qkv(0, 1, 1, 9, 2))
    z = mix(mixer, q, k, v, backend=backend)
    assert z[0, 0].any(dim=1).nonzero().flatten().tolist() == [3, 5]
    gradients = torch.autograd.grad(z.square().sum(), (q, k, v))
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("backend", ON_CPU)
def test_terms_are_the_pairs_of_the_patterns(mixer, backend, draw_qkv):
    q, k, v = draw_qkv(0, 1, 2, 70, 2)
    terms = mixed(mixer, Inputs(v, q, k), backend=backend).terms
    for name in ("direct", "recurrent", "readout"):
        pattern = getattr(mixer, name)
        count = 0 if pattern is None else sum(len(pattern.sources(t)) for t in range(70))
        assert getattr(terms, name) == count


@pytest.mark.parametrize("backend", ON_CPU)
def test_solve_equals_the_mixing_matrix(mixer, backend, draw):
    n = 70
    pairs = edges(mixer, n)
    values, dense = {}, {}
    for seed, (name, found) in enumerate(zip(("alpha", "beta", "gamma"), pairs)):
        if found is not None:
            values[name] = draw(seed, 1, 2, len(found[0])) / 4
            dense[name] = torch.zeros(1, 2, n, n, dtype=torch.float64)
            dense[name][:, :, found[0], found[1]] = values[name]
    x = draw(9, 1, 2, n, 3)
    result = solve(mixer, values["alpha"], values["beta"], x, values.get("gamma"), backend=backend)
    for head in range(2):
        M = mixer.matrix(*(matrix[0, head].numpy() for matrix in dense.values()))
        torch.testing.assert_close(result[0, head], torch.from_numpy(M) @ x[0, head], rtol=1e-8, atol=1e-8)


def test_edges_come_in_the_order_of_the_rows(mixer):
    for part in ("direct", "recurrent", "readout"):
        pattern, found = getattr(mixer, part), getattr(edges(mixer, 20), part)
        if pattern is not None:
            expected = [(t, s) for t in range(20) for s in pattern.sources(t)]
            assert list(zip(*(x.tolist() for x in found))) == expected


positions = st.integers(0, 23)
pairs = st.lists(st.tuples(positions, positions).map(lambda pair: (max(pair), min(pair))), max_size=60)
strict_pairs = pairs.map(lambda found: [(t, s) for t, s in found if s < t])
families = st.sampled_from(
    [glm.Offsets(2**glm.k), glm.CacheEfficient(glm.k**2 + 1), glm.Lags([3]), glm.Fenwick(), glm.Empty()]
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(direct=pairs, recurrent=strict_pairs, readout=st.none() | pairs, family=families, n=st.integers(1, 26))
def test_drawn_graphs_agree_with_the_token_loops(draw_qkv, direct, recurrent, readout, family, n):
    mixer = glm.Mixer(
        direct=glm.Explicit(direct),
        recurrent=glm.Explicit(recurrent) | family,
        readout=None if readout is None else glm.Explicit(readout),
    )
    q, k, v = draw_qkv(n, 1, 1, n, 2)
    inputs = Inputs(v, q, k)
    expected = token_loops(mixer, "softmax", inputs)[0]
    torch.testing.assert_close(
        blocked_backend.mix(structure_of(mixer, n), "softmax", inputs, block=5).z, expected, **EXACT
    )
    for backend in ON_CPU:
        torch.testing.assert_close(mixed(mixer, inputs, backend=backend).z, expected, **EXACT)
