"""The functional core under ``torch.compile(fullgraph=True)`` and ``torch.export``."""

import pytest
import torch

import glmix_theory as glm
from tests.export.conftest import ON_CPU

k = glm.k
BACKEND_NAMES = list(ON_CPU)
POWERS = glm.Mixer(recurrent=glm.Offsets(2**k))


def rows(n: int = 37, seed: int = 0) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(2, 2, n, 4, requires_grad=True) for _ in range(3)]


def gradients(function, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(function(*tensors).sin().sum(), tensors))


def assert_alike(first, second, tensors: list[torch.Tensor]) -> None:
    torch.testing.assert_close(first(*tensors), second(*tensors))
    for one, other in zip(gradients(first, tensors), gradients(second, tensors)):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_mix_is_one_graph(backend: str) -> None:
    def run(q: torch.Tensor, keys: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return glm.mix(POWERS, q, keys, v, backend=backend) * 2

    torch.compiler.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert_alike(run, compiled, rows())
    assert_alike(run, compiled, rows(52))  # another length: recompiled with n as a symbol
    assert_alike(run, compiled, rows(9))


def test_inductor() -> None:
    torch.compiler.reset()
    compiled = torch.compile(lambda q, keys, v: glm.mix(POWERS, q * 2, keys, v).relu(), fullgraph=True)
    assert_alike(lambda q, keys, v: glm.mix(POWERS, q * 2, keys, v).relu(), compiled, rows())


def test_another_mixer_is_another_graph() -> None:
    torch.compiler.reset()
    compiled = torch.compile(lambda mixer, *tensors: glm.mix(mixer, *tensors), fullgraph=True, backend="aot_eager")
    for mixer in (POWERS, glm.Mixer(recurrent=glm.Lags([1, 5])), glm.Mixer(direct=glm.Window(3))):
        tensors = rows()
        torch.testing.assert_close(compiled(mixer, *tensors), glm.mix(mixer, *tensors))


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_solve_is_one_graph(backend: str) -> None:
    torch.compiler.reset()
    run = torch.compile(
        lambda alpha, beta, x: glm.solve(POWERS, alpha, beta, x, backend=backend), fullgraph=True, backend="aot_eager"
    )
    for n in (20, 33):
        pairs = glm.edges(POWERS, n)
        tensors = [
            torch.randn(1, 2, len(pairs.direct[0]), requires_grad=True),
            (0.1 * torch.randn(1, 2, len(pairs.recurrent[0]))).requires_grad_(),
            torch.randn(1, 2, n, 4, requires_grad=True),
        ]
        assert_alike(lambda *three: glm.solve(POWERS, *three, backend=backend), run, tensors)


def test_exported_program_runs_at_other_lengths() -> None:
    class Mixed(torch.nn.Module):
        def forward(self, q: torch.Tensor, keys: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return glm.mix(POWERS, q, keys, v)

    n = torch.export.Dim("n", min=2, max=4096)
    example = tuple(row.detach() for row in rows())
    program = torch.export.export(Mixed(), example, dynamic_shapes=({2: n}, {2: n}, {2: n}))
    longer = [row.detach() for row in rows(91)]
    torch.testing.assert_close(program.module()(*longer), glm.mix(POWERS, *longer))
