"""Bad input to the functional core is named; what is refused, and why."""

import warnings

import pytest
import sympy
import torch

import glmix_theory as glm
from glmix_theory.errors import (
    CoefficientError,
    DeviceError,
    DtypeError,
    MissingDependencyError,
    PatternError,
    ShapeError,
    SymbolicError,
    UnknownNameError,
)
from glmix_theory.export import backends
from glmix_theory.export.structure import LAG_CLASSES

k = glm.k
W = sympy.Symbol("w", integer=True, positive=True)
POWERS = glm.Mixer(recurrent=glm.Offsets(2**k))
ROWS = torch.zeros(1, 2, 5, 4)


def options(**changed) -> dict:
    return {"mixer": POWERS, "q": ROWS, "k": ROWS, "v": ROWS} | changed


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (options(mixer=glm.Lags([1])), PatternError, "a glm.Mixer is needed"),
        (
            options(mixer=glm.Mixer(direct=glm.Window(W))),
            SymbolicError,
            "needs numbers",
        ),
        (options(v=[1.0]), DtypeError, "a torch.Tensor is needed"),
        (options(v=torch.zeros(2, 5, 4)), ShapeError, r"\(batch, heads, n, d\)"),
        (options(v=torch.zeros(1, 2, 0, 4)), ShapeError, "each at least 1"),
        (options(k=torch.zeros(1, 2, 5, 3)), ShapeError, "k has shape"),
        (options(q=torch.zeros(1, 2, 4, 4)), ShapeError, "q has shape"),
        (options(q=None), CoefficientError, "q is missing"),
        (options(q=ROWS.double()), DtypeError, "dtype"),
        (options(q=ROWS.int(), k=ROWS.int(), v=ROWS.int()), DtypeError, "one of"),
        (options(q=ROWS.to("meta"), k=ROWS.to("meta")), DeviceError, "is needed"),
        (options(coefficients="softmx"), CoefficientError, "did you mean 'softmax'"),
        (options(coefficients="delta"), CoefficientError, "UT transform"),
        (options(coefficients="gated"), CoefficientError, "gate is missing"),
        (options(gate=torch.zeros(1, 2, 5, 1)), CoefficientError, "take only"),
        (options(coefficients="gated", gate=torch.zeros(1, 2, 5, 3)), ShapeError, "1 or 4"),
        (options(coefficients="chacal", gate=torch.zeros(1, 2, 5, 4)), ShapeError, "1"),
        (options(bias=torch.zeros(3, 2, 7)), ShapeError, str(LAG_CLASSES)),
        (options(backend="nunba"), UnknownNameError, "did you mean 'numba'"),
        (options(mask=torch.ones(1, 4).bool()), ShapeError, "mask"),
        (options(mixer=glm.catalogue["mamba2"]), ShapeError, "16"),
        (options(mixer=glm.catalogue["mamba2"], coefficients="softmax"), CoefficientError, "state = 16"),
        (options(mixer=glm.Mixer(state=2, coefficients="gated")), CoefficientError, "without a readout"),
    ],
)
def test_bad_input_to_mix(given: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        glm.mix(**given)


def edge_values(mixer: glm.Mixer = POWERS, n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = glm.edges(mixer, n)
    return torch.ones(1, 2, len(pairs.direct[0])), torch.ones(1, 2, len(pairs.recurrent[0]))


@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_bad_input_to_solve(backend: str) -> None:
    alpha, beta = edge_values()
    cases = [
        ((alpha, None, ROWS), CoefficientError, "beta is missing"),
        ((alpha[..., :-1], beta, ROWS), CoefficientError, r"alpha has shape .* is needed"),
        ((alpha, beta, ROWS, alpha), CoefficientError, "takes no gamma"),
        ((alpha.double(), beta, ROWS), DtypeError, "alpha"),
        ((alpha, beta, ROWS[0]), ShapeError, "x has shape"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            glm.solve(POWERS, *arguments, backend=backend)
    with pytest.raises(CoefficientError, match="needs gamma"):
        glm.solve(glm.Mixer(readout=glm.Window(2)), alpha, None, ROWS)


def test_beta_may_be_left_out_without_recurrent_edges() -> None:
    alpha, _ = edge_values()
    torch.testing.assert_close(glm.solve(glm.Mixer(), alpha, None, ROWS + 1), ROWS + 1)


def test_a_backend_on_the_wrong_device() -> None:
    meta = ROWS.to("meta")
    with pytest.raises(DeviceError, match="runs on cpu and the tensors are on meta"):
        glm.mix(POWERS, meta, meta, meta, backend="numba")


def test_a_missing_package_is_named_when_forced_and_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(backends.BACKENDS, "numba")
    monkeypatch.setitem(backends.MISSING, "numba", "numba is not installed")
    backends._warn_once.cache_clear()
    with pytest.raises(MissingDependencyError, match="'numba' cannot run: numba is not installed"):
        glm.mix(POWERS, ROWS, ROWS, ROWS, backend="numba")
    with pytest.warns(UserWarning, match="slower backend 'torch' is used"):
        glm.mix(POWERS, ROWS, ROWS, ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glm.mix(POWERS, ROWS, ROWS, ROWS)


def test_automatic_choice_on_a_graphics_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule, with the answers of a machine that has Triton put in its place."""
    cuda = torch.device("cuda")
    monkeypatch.delitem(backends.MISSING, "triton", raising=False)
    monkeypatch.setattr(backends, "triton_refuses", lambda device, dtype, widest: "too wide" if widest > 256 else None)
    assert backends.choose_backend("auto", cuda, torch.bfloat16, 64) == "triton"
    backends._warn_once.cache_clear()
    with pytest.warns(UserWarning, match="slower backend 'torch' is used: too wide"):
        assert backends.choose_backend("auto", cuda, torch.bfloat16, 512) == "torch"
    monkeypatch.setitem(backends.MISSING, "triton", "triton 3.0 is too old")
    with pytest.warns(UserWarning, match="too old"):
        assert backends.choose_backend("auto", cuda, torch.float32, 64) == "torch"
    with pytest.raises(MissingDependencyError, match="too old"):
        backends.choose_backend("triton", cuda, torch.float32, 64)
