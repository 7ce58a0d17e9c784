"""Delta rule and log-linear attention against the reference code of flash-linear-attention, where installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from glmix_theory.mixers import catalogue
from tests.mixers.references.delta_rules import delta_inputs, delta_net, delta_net_ut
from tests.mixers.references.linear_attention import log_linear_coefficients, log_linear_inputs

torch = pytest.importorskip("torch", reason="flash-linear-attention's references need torch")


def _naive(operation: str) -> ModuleType:
    """One ``naive.py``, loaded from its file: the package around it needs a GPU compiler to import."""
    package = importlib.util.find_spec("fla")
    if package is None or not package.submodule_search_locations:
        pytest.skip("flash-linear-attention (fla-core) is not installed")
    path = Path(package.submodule_search_locations[0], "ops", operation, "naive.py")
    specification = importlib.util.spec_from_file_location(f"fla_naive_{operation}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(f"{path.name} of flash-linear-attention needs {error.name}, which is not installed")
    return module


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 16, 17])
def test_delta_rule(n: int):
    naive, state = _naive("delta_rule"), 4
    queries, keys, strengths = delta_inputs(n, np.random.default_rng(n), state)

    def batched(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array)[None, None]

    outputs, _ = naive.delta_rule_chunkwise(
        batched(queries * state**0.5), batched(keys), batched(np.eye(n)), batched(strengths), chunk_size=n
    )
    for name, reference in (("delta_net", delta_net), ("delta_net_ut", delta_net_ut)):
        mixer = catalogue.entry(name).build(**({"state": state} if name == "delta_net" else {}))
        case = reference(mixer, n, np.random.default_rng(n), state)
        matrix = mixer.matrix(case.alpha, case.beta, case.gamma)
        np.testing.assert_allclose(matrix, outputs[0, 0].numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 16, 17])
def test_log_linear_attention(n: int):
    naive, state = _naive("log_linear_attn"), 4
    mixer = catalogue.entry("log_linear_attention").build(state=state)
    queries, keys, decays, weights = log_linear_inputs(n, np.random.default_rng(n), state)

    def batched(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array)[None, :, None]

    outputs = naive.naive_log_linear_attn(
        batched(queries), batched(keys), batched(np.eye(n)), batched(np.log(decays)), batched(weights)
    )
    case = log_linear_coefficients(mixer, queries, keys, decays, weights, merged=False)
    matrix = mixer.matrix(case.alpha, case.beta, case.gamma)
    np.testing.assert_allclose(matrix, outputs[0, :, 0].numpy(), rtol=0, atol=1e-11)
