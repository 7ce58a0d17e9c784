"""The operators: what ``torch.compile`` and ``torch.export`` rely on."""

import subprocess
import sys
import textwrap

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import FormulaError
from glmix_theory.export.backends import BACKENDS
from glmix_theory.export.inputs import Inputs, tensors_of
from glmix_theory.export.kinds import check_kind
from glmix_theory.export.operators import (
    mix_backward_operator,
    mix_operator,
    mixer_of,
    solve_backward_operator,
    solve_operator,
    text_of,
)
from glmix_theory.export.structure import LAG_CLASSES, structure_of
from tests.export.conftest import ON_CPU

k = glm.k

CASES = {
    "softmax": glm.Mixer(recurrent=glm.Offsets(2**k)),
    "softmax_readout": glm.Mixer(recurrent=glm.CacheEfficient(2**k), readout=glm.Window(3)),
    "signed": glm.Mixer(direct=glm.Window(2), recurrent=glm.Lags([2]), coefficients="signed"),
    "chacal": glm.Mixer(direct=glm.Dense(), recurrent=glm.Dense().strict(), coefficients="chacal"),
    "gated": glm.Mixer(recurrent=glm.Lags([1]), coefficients="gated"),
    "fixed": glm.Mixer(recurrent=glm.Lags([1, 3]), coefficients="fixed"),
    "delta": glm.catalogue["delta_net_ut"],
    "gated_state": glm.catalogue["mamba2"],
    "delta_state": glm.catalogue["delta_net"],
    "tree_state": glm.catalogue["log_linear_attention"],
}
OWN = [name for name in BACKENDS if name in ON_CPU and name != "reference"]
EDGE_CASES = ("softmax", "softmax_readout", "gated_state")


def draw(mixer: glm.Mixer, kind: str, n: int = 9, requires_grad: bool = True) -> list[torch.Tensor | None]:
    """The operator's tensors, in its order."""
    torch.manual_seed(5)
    batch, heads, width = 2, 2, 3
    d = mixer.state if mixer.state > 1 else 4
    shapes = {
        "v": (batch, heads, n, width),
        "q": (batch, heads, n, d),
        "k": (batch, heads, n, d),
        "gate": (batch, heads, n, 1),
        "write": (batch, heads, n, 1),
        "bias": (3, heads, LAG_CLASSES),
    }
    taken = tensors_of(mixer, kind)[1]
    made = [torch.randn(*shapes[name], dtype=torch.float64) * 0.5 if name in taken else None for name in shapes]
    return [None if t is None else t.requires_grad_(requires_grad) for t in made] + [None]


@pytest.mark.parametrize("backend", OWN)
@pytest.mark.parametrize("example", CASES)
def test_operators_keep_their_promises(example: str, backend: str) -> None:
    mixer = CASES[example]
    kind = check_kind(mixer)
    names = (text_of(mixer), kind, backend)
    torch.library.opcheck(mix_operator, (*names, *draw(mixer, kind)))
    plain = draw(mixer, kind, requires_grad=False)
    z, y = mix_operator(*names, *plain)
    torch.library.opcheck(mix_backward_operator, (*names, *plain, y if y.numel() else z, torch.randn_like(z)))


@pytest.mark.parametrize("backend", OWN)
@pytest.mark.parametrize("example", CASES)
def test_gradients_of_the_operator(example: str, backend: str) -> None:
    mixer = CASES[example]
    kind = check_kind(mixer)
    tensors = draw(mixer, kind, n=6)
    given = [t for t in tensors if t is not None]

    def run(*values: torch.Tensor) -> torch.Tensor:
        left = iter(values)
        return mix_operator(text_of(mixer), kind, backend, *(None if t is None else next(left) for t in tensors))[0]

    for tensor in given:
        if tensor.shape[0] == 3 and tensor.shape[-1] == LAG_CLASSES:
            tensor.requires_grad_(False)  # too wide for finite differences; test_agreement covers it
    assert torch.autograd.gradcheck(run, tuple(given), fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("backend", OWN)
@pytest.mark.parametrize("name", EDGE_CASES)
def test_solve_operators(name: str, backend: str) -> None:
    mixer, n = CASES[name], 7
    structure = structure_of(mixer, n)
    torch.manual_seed(2)
    block = (mixer.state,) if mixer.state > 1 else ()
    values = [0.3 * torch.randn(1, 2, part.number, *block, dtype=torch.float64) for part in structure.parts]
    alpha, beta, *rest = values
    gamma = rest[0] if rest else None
    x = torch.randn(1, 2, n, 3, dtype=torch.float64)
    tensors = [None if t is None else t.requires_grad_() for t in (alpha, beta, gamma, x)]
    torch.library.opcheck(solve_operator, (text_of(mixer), backend, *tensors))
    plain = [None if t is None else t.detach() for t in tensors]
    z, y = solve_operator(text_of(mixer), backend, *plain)
    torch.library.opcheck(
        solve_backward_operator, (text_of(mixer), backend, *plain, y if y.numel() else z, torch.randn_like(z))
    )
    given = [t for t in tensors if t is not None]

    def run(*rows: torch.Tensor) -> torch.Tensor:
        left = iter(rows)
        return solve_operator(text_of(mixer), backend, *(None if t is None else next(left) for t in tensors))[0]

    assert torch.autograd.gradcheck(run, tuple(given), fast_mode=True)


def test_two_functions_that_print_alike_are_two_mixers() -> None:
    first = glm.Mixer(recurrent=glm.Predicate(lambda t, s: s == t - 1))
    second = glm.Mixer(recurrent=glm.Predicate(lambda t, s: s == t - 2))
    assert repr(first) == repr(second)
    assert mixer_of(text_of(first)) is first
    assert mixer_of(text_of(second)) is second
    assert mixer_of(text_of(first)) is first


def test_equal_mixers_share_a_text() -> None:
    first, second = (glm.Mixer(recurrent=glm.Lags([1, 4])) for _ in range(2))
    assert text_of(first) == text_of(second)


def test_another_process_rebuilds_the_mixer_from_its_text(tmp_path) -> None:
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1))
    torch.manual_seed(0)
    rows = torch.randn(3, 1, 2, 20, 4)
    torch.save((rows, glm.mix(mixer, *rows)), tmp_path / "expected.pt")
    program = f"""
        import torch
        from glmix_theory.export.operators import mix_operator
        rows, expected = torch.load({str(tmp_path / "expected.pt")!r})
        q, k, v = rows
        z, _ = mix_operator({text_of(mixer)!r}, "softmax", "torch", v, q, k, None, None, None, None)
        assert torch.allclose(z, expected, atol=1e-5)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=120)


def test_a_function_cannot_be_rebuilt() -> None:
    mixer = glm.Mixer(recurrent=glm.Predicate(lambda t, s: s == t - 3))
    text = text_of(mixer)
    assert mixer_of(text) is mixer
    del mixer
    with pytest.raises(FormulaError, match="cannot be rebuilt from its text"):
        mixer_of(text + " elsewhere")


def test_mixed_gives_outputs_without_gradient() -> None:
    mixer = CASES["softmax_readout"]
    q, keys, v = (torch.randn(1, 1, 8, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    for backend in OWN:
        from glmix_theory.export import mixed

        result = mixed(mixer, Inputs(v, q, keys), backend=backend)
        assert result.z.requires_grad
        assert result.terms.total == sum(part.number for part in structure_of(mixer, 8).parts)
