"""Backward passes: against finite differences and against the oracle's own derivative."""

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export import edges, mix, solve
from glmix_theory.export.layout import Layout
from glmix_theory.export.sparse import sampled_product, sparse_rows, sparse_solve


def test_gradients_equal_the_reference(mixer, draw, draw_qkv):
    inputs = [x.requires_grad_() for x in draw_qkv(0, 1, 2, 70, 3)]
    weight = draw(5, 1, 2, 70, 3)
    fast, slow = (mix(mixer, *inputs, backend=backend) for backend in ("torch", "reference"))
    expected = torch.autograd.grad((slow * weight).sum(), inputs)
    found = torch.autograd.grad((fast * weight).sum(), inputs, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(found, expected)


def test_gradcheck_of_mix(sparse_mixer, draw_qkv):
    inputs = [x.requires_grad_() for x in draw_qkv(0, 1, 1, 9, 2)]
    assert torch.autograd.gradcheck(lambda q, k, v: blocked_backend.mix(sparse_mixer, q, k, v, block=4).z, inputs)


def test_gradcheck_of_solve(sparse_mixer, draw):
    inputs = [draw(0, 1, 1, 9, 2)]
    inputs += [draw(1, 1, 1, len(found[0])) for found in edges(sparse_mixer, 9) if found is not None]
    inputs = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(lambda x, a, b, *c: solve(sparse_mixer, a, b, x, *c), inputs)


def test_solve_gradients_equal_the_reference(mixer, draw):
    inputs = [draw(0, 1, 2, 70, 2)]
    inputs += [draw(1, 1, 2, len(found[0])) / 8 for found in edges(mixer, 70) if found is not None]
    inputs = [x.requires_grad_() for x in inputs]
    weight = draw(7, 1, 2, 70, 2)
    results = []
    for backend in ("torch", "reference"):
        z = solve(mixer, inputs[1], inputs[2], inputs[0], *inputs[3:], backend=backend)
        results.append(torch.autograd.grad((z * weight).sum(), inputs, allow_unused=True, materialize_grads=True))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("pattern", [glm.Fenwick(), glm.Lags([1, 6]), glm.RandomSources(3, seed=0)])
def test_gradcheck_of_the_primitives(pattern, draw):
    layout = Layout(pattern, 10, torch.device("cpu"), block=4)
    rows, values = draw(0, 2, 10, 2).requires_grad_(), draw(1, 2, layout.number_edges).requires_grad_()
    other = draw(2, 2, 10, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sampled_product(layout, a, b), (rows, other))
    assert torch.autograd.gradcheck(lambda a, b: sparse_rows(layout, a, b), (values, rows))
    assert torch.autograd.gradcheck(lambda a, b: sparse_solve(layout, a, b), (values, rows))


def test_the_solve_satisfies_its_equation_and_its_adjoint(sparse_mixer, draw):
    """``(I - B) Y = R``, and the backward solve is the transpose: ``⟨L, solve(R)⟩ = ⟨solveᵀ(L), R⟩``."""
    layout = Layout(sparse_mixer.recurrent, 150, torch.device("cpu"))
    values, right = draw(0, 2, layout.number_edges) / 8, draw(1, 2, 150, 3).requires_grad_()
    y = sparse_solve(layout, values, right)
    torch.testing.assert_close(y - sparse_rows(layout, values, y), right)
    left = draw(2, 2, 150, 3)
    (adjoint,) = torch.autograd.grad((left * y).sum(), right)
    torch.testing.assert_close((left * y).sum(), (adjoint * right).sum())
