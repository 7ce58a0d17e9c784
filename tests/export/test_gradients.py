"""Backward passes: against finite differences and against the oracle's own derivative."""

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import Inputs, edges, mix, solve
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export.layout import Layout
from glmix_theory.export.row_solves import channel_solve, delta_solve, grouped, ungrouped
from glmix_theory.export.sparse import sampled_product, sparse_rows, sparse_solve
from glmix_theory.export.structure import EdgeTable, structure_of


def layout_of(pattern, n, block=64):
    return Layout(EdgeTable.of(pattern, n), torch.device("cpu"), block)


def test_gradients_equal_the_reference(mixer, fast, draw, draw_qkv):
    inputs = [x.requires_grad_() for x in draw_qkv(0, 1, 2, 70, 3)]
    weight = draw(5, 1, 2, 70, 3)
    found, expected = (
        torch.autograd.grad(
            (mix(mixer, *inputs, backend=backend) * weight).sum(), inputs, allow_unused=True, materialize_grads=True
        )
        for backend in (fast, "reference")
    )
    torch.testing.assert_close(found, expected)


def test_gradcheck_of_mix(sparse_mixer, draw_qkv):
    inputs = [x.requires_grad_() for x in draw_qkv(0, 1, 1, 9, 2)]
    structure = structure_of(sparse_mixer, 9)

    def run(q, k, v):
        return blocked_backend.mix(structure, "softmax", Inputs(v, q, k), block=4).z

    assert torch.autograd.gradcheck(run, inputs)


def test_gradcheck_of_solve(sparse_mixer, fast, draw):
    inputs = [draw(0, 1, 1, 9, 2)]
    inputs += [draw(1, 1, 1, len(found[0])) for found in edges(sparse_mixer, 9) if found is not None]
    inputs = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(lambda x, a, b, *c: solve(sparse_mixer, a, b, x, *c, backend=fast), inputs)


def test_solve_gradients_equal_the_reference(mixer, fast, draw):
    inputs = [draw(0, 1, 2, 70, 2)]
    inputs += [draw(1, 1, 2, len(found[0])) / 8 for found in edges(mixer, 70) if found is not None]
    assert_solve_gradients(mixer, fast, inputs, draw(7, 1, 2, 70, 2))


@pytest.mark.parametrize("block", [(1,), (3,), (3, 3)], ids=["number", "row", "matrix"])
@pytest.mark.parametrize("recurrent", [glm.Lags([1]), glm.Fenwick(), glm.RandomSources(2, seed=3)], ids=str)
def test_expanded_solve_gradients_equal_the_reference(recurrent, block, fast, draw):
    mixer = glm.Mixer(glm.Window(2), recurrent, glm.Lags([0, 3]), "gated", state=3)
    direct, inner, readout = (len(found[0]) for found in edges(mixer, 37))
    inputs = [
        draw(0, 1, 2, 37, 2),
        draw(1, 1, 2, direct, 3),
        draw(2, 1, 2, inner, *block) / 4,
        draw(3, 1, 2, readout, 3),
    ]
    assert_solve_gradients(mixer, fast, inputs, draw(7, 1, 2, 37, 2))


def assert_solve_gradients(mixer, fast, inputs, weight):
    inputs = [x.requires_grad_() for x in inputs]
    results = []
    for backend in (fast, "reference"):
        z = solve(mixer, inputs[1], inputs[2], inputs[0], *inputs[3:], backend=backend)
        gradients = torch.autograd.grad((z * weight).sum(), inputs, allow_unused=True, materialize_grads=True)
        results.append((z.detach(), *gradients))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("pattern", [glm.Fenwick(), glm.Lags([1, 6]), glm.RandomSources(3, seed=0)])
def test_gradcheck_of_the_primitives(pattern, draw):
    layout = layout_of(pattern, 10, block=4)
    rows, values = draw(0, 2, 10, 2).requires_grad_(), draw(1, 2, layout.number_edges).requires_grad_()
    other = draw(2, 2, 10, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sampled_product(layout, a, b), (rows, other))
    assert torch.autograd.gradcheck(lambda a, b: sparse_rows(layout, a, b), (values, rows))
    assert torch.autograd.gradcheck(lambda a, b: sparse_solve(layout, a, b), (values, rows))
    assert torch.autograd.gradcheck(lambda a, g, b: channel_solve(layout, a, g, b), (values, other, rows))


@pytest.mark.parametrize("pattern", [glm.Diagonal(), glm.Explicit([(2, 2), (5, 5), (6, 6)])])
def test_diagonal_parts_need_no_panels(pattern, draw):
    layout = layout_of(pattern, 8, block=4)
    rows, values = draw(0, 2, 8, 2).requires_grad_(), draw(1, 2, layout.number_edges).requires_grad_()
    other = draw(2, 2, 8, 2).requires_grad_()
    dense = torch.zeros(2, 8, 8, dtype=torch.float64)
    where = EdgeTable.of(pattern, 8).sources
    dense[:, where, where] = values
    torch.testing.assert_close(sparse_rows(layout, values, rows), dense @ rows)
    torch.testing.assert_close(sampled_product(layout, rows, other), (rows @ other.mT)[:, where, where])
    assert torch.autograd.gradcheck(lambda a, b: sampled_product(layout, a, b), (rows, other))
    assert torch.autograd.gradcheck(lambda a, b: sparse_rows(layout, a, b), (values, rows))


@pytest.mark.parametrize("decays", [1, 3])
@pytest.mark.parametrize("pattern", [glm.Lags([1]), glm.Lags([2, 5]), glm.Fenwick(), glm.Lags([4])], ids=str)
def test_the_delta_solve_satisfies_its_equation(pattern, decays, draw):
    n, state = 23, 3
    layout = layout_of(pattern, n, block=4)
    values, keys = draw(0, 2 * decays, layout.number_edges) / 4, draw(1, 2, n, state)
    strength, right = draw(2, 2, n, 1).sigmoid(), draw(3, 2, n, state, 2)
    solved = delta_solve(layout, values, keys, strength, grouped(right, decays))
    read = ungrouped(sparse_rows(layout, values, solved), state, decays)
    changed = read - strength.unsqueeze(3) * keys.unsqueeze(3) * torch.einsum("gtr,gtrw->gtw", keys, read).unsqueeze(2)
    torch.testing.assert_close(ungrouped(solved, state, decays), right + changed)


def test_the_solve_satisfies_its_equation_and_its_adjoint(sparse_mixer, draw):
    """``(I - B) Y = R``, and the backward solve is the transpose: ``⟨L, solve(R)⟩ = ⟨solveᵀ(L), R⟩``."""
    layout = layout_of(sparse_mixer.recurrent, 150)
    values, right = draw(0, 2, layout.number_edges) / 8, draw(1, 2, 150, 3).requires_grad_()
    y = sparse_solve(layout, values, right)
    torch.testing.assert_close(y - sparse_rows(layout, values, y), right)
    left = draw(2, 2, 150, 3)
    (adjoint,) = torch.autograd.grad((left * y).sum(), right)
    torch.testing.assert_close((left * y).sum(), (adjoint * right).sum())
