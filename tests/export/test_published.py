"""Layers' coefficients against published formulas: each architecture as its paper writes it."""

import zlib

import numpy as np
import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import edges, mix, solve
from tests.export.conftest import ON_CPU
from tests.mixers.references import REFERENCES, delta_rules, linear_attention, state_space
from tests.mixers.references.case import sigmoid
from tests.mixers.test_against_fla import _naive

every_backend = pytest.mark.parametrize("backend", ON_CPU)
lengths = pytest.mark.parametrize("n", [1, 2, 17, 65])


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None, None]


def logit(probability: np.ndarray) -> torch.Tensor:
    return tensor(np.log(probability) - np.log1p(-probability))


def assert_mixes(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=0, atol=1e-11 * max(1.0, np.abs(expected).max()))


@every_backend
@pytest.mark.parametrize("name", glm.catalogue.names())
def test_solve_runs_every_architecture_of_the_catalogue(name, backend):
    """The reference's α, β and γ, edge by edge, on the identity: the published mixing matrix."""
    entry = glm.catalogue.entry(name)
    mixer = entry.build()
    for n in (1, 2, 17):
        case = REFERENCES[name](mixer, n, np.random.default_rng(zlib.crc32(f"{name}/{n}".encode())), **entry.parameters)
        values = []
        for pairs, dense in zip(edges(mixer, n), (case.alpha, case.beta, case.gamma)):
            found = None
            if pairs is not None and dense is not None:
                found = tensor(dense[pairs[0].numpy(), pairs[1].numpy()])
                found = found.unsqueeze(3) if mixer.state > 1 and found.dim() == 3 else found
            values.append(found)
        assert_mixes(solve(mixer, values[0], values[1], tensor(np.eye(n)), values[2], backend=backend), case.expected)


@every_backend
@lengths
@pytest.mark.parametrize("name", ["chacal", "chacal_strict"])
def test_chacal(name, n, backend):
    rng, gamma = np.random.default_rng(n), 0.9
    q, k, v = rng.standard_normal((3, n, 4))
    scores = np.where(np.tri(n) > 0, q @ k.T / 2, -np.inf)
    attention = np.exp(scores - scores.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    inside = attention if name == "chacal" else np.tril(attention, -1)
    resolvent = np.linalg.inv(np.eye(n) - gamma * inside)
    gate = logit(np.full((n, 1), gamma))
    found = mix(glm.catalogue[name], tensor(q), tensor(k), tensor(v), backend=backend, gate=gate)
    if name == "chacal":
        # The layer splits γ between the own input and the past before the softmax; the resolvent's diagonal
        # is that of a softmax in which the own position counts once for each.
        weights = np.concatenate([(1 - gamma) * attention, gamma * np.tril(attention, -1)], axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        expected = np.linalg.solve(np.eye(n) - weights[:, n:], weights[:, :n] @ v)
        np.testing.assert_allclose(expected, (1 - gamma) * attention @ resolvent @ v, atol=1e-12)
    else:
        expected = (1 - gamma) * attention @ resolvent @ v
    assert_mixes(found, expected)


@every_backend
@lengths
@pytest.mark.parametrize("name", ["delta_net", "delta_net_ut"])
def test_delta_net(name, n, backend):
    q, k, strength = delta_rules.delta_inputs(n, np.random.default_rng(n), 4)
    v = np.random.default_rng(n + 1).standard_normal((n, 5))
    mixer = glm.catalogue[name] if name == "delta_net_ut" else glm.catalogue.entry(name).build(state=4)
    found = mix(mixer, tensor(q), tensor(k), tensor(v), backend=backend, write=logit(strength[:, None]))
    assert_mixes(found, delta_rules.delta_rule(q, k, strength) @ v)


@every_backend
@lengths
@pytest.mark.parametrize("name", ["gated_delta_net", "kimi_delta_attention"])
def test_gated_delta_rules(name, n, backend):
    mixer = glm.catalogue.entry(name).build(state=4)
    expected = delta_rules.REFERENCES[name](mixer, n, np.random.default_rng(n), 4).expected
    rng = np.random.default_rng(n)
    q, k, strength = delta_rules.delta_inputs(n, rng, 4)
    decay = sigmoid(rng.standard_normal((n, 4) if name == "kimi_delta_attention" else (n, 1)))
    options = {"gate": logit(decay), "write": logit(strength[:, None])}
    assert_mixes(mix(mixer, tensor(q), tensor(k), tensor(np.eye(n)), backend=backend, **options), expected)


@every_backend
@lengths
@pytest.mark.parametrize("name", ["gla", "retnet", "mamba2"])
def test_decaying_linear_attention(name, n, backend):
    mixer = glm.catalogue.entry(name).build(state=4)
    module = state_space if name == "mamba2" else linear_attention
    expected = module.REFERENCES[name](mixer, n, np.random.default_rng(n), 4).expected
    rng = np.random.default_rng(n)
    if name == "mamba2":
        decay, steps = sigmoid(rng.standard_normal(n)), np.log1p(np.exp(rng.standard_normal(n)))
        k, q = rng.standard_normal((2, n, 4))
        k, decay = steps[:, None] * k, decay[:, None]
    else:
        q, k = rng.standard_normal((2, n, 4))
        decay = sigmoid(rng.standard_normal((n, 4))) if name == "gla" else np.full((n, 1), 1 - 2.0**-5)
    found = mix(mixer, tensor(q), tensor(k), tensor(np.eye(n)), backend=backend, gate=logit(decay))
    assert_mixes(found, expected)


@every_backend
@lengths
def test_linear_attention_without_normaliser(n, backend):
    q, k, v = np.random.default_rng(n).standard_normal((3, n, 4))
    mixer = glm.catalogue.entry("linear_attention").build(state=4)
    assert_mixes(mix(mixer, tensor(q), tensor(k), tensor(v), backend=backend), np.tril(q @ k.T) @ v)


@every_backend
@lengths
@pytest.mark.parametrize("name", ["rg_lru", "diagonal_ssm"])
def test_gated_recurrence_with_a_gate_per_channel(name, n, backend):
    """``h_t = a_t ⊙ h_{t-1} + (1 - a_t) ⊙ x_t``: what precedes ``x`` is the layer's business."""
    rng = np.random.default_rng(n)
    q, k, x, gate = rng.standard_normal((4, n, 6))
    a, h, expected = sigmoid(gate), np.zeros(6), np.zeros((n, 6))
    for t in range(n):
        h = (a[t] if t else 0) * h + (1 - a[t]) * x[t]
        expected[t] = h
    assert_mixes(mix(glm.catalogue[name], *map(tensor, (q, k, x)), backend=backend, gate=tensor(gate)), expected)


@every_backend
@pytest.mark.parametrize(
    ("name", "operation", "function"),
    [
        ("gla", "gla", "naive_recurrent_gla"),
        ("gated_delta_net", "gated_delta_rule", "naive_recurrent_gated_delta_rule"),
        ("kimi_delta_attention", "kda", "naive_recurrent_kda"),
    ],
)
def test_reference_code_of_flash_linear_attention(name, operation, function, backend):
    """Its loops over tokens, where installed; they run in fp32 and scale queries by ``1/√r``."""
    naive, n, state = getattr(_naive(operation), function), 50, 4
    rng = np.random.default_rng(1)
    q, k, strength = delta_rules.delta_inputs(n, rng, state)
    v, gate = rng.standard_normal((n, 5)), rng.standard_normal((n, 1 if name == "gated_delta_net" else state))
    logs = np.log(sigmoid(gate))

    def batched(array):
        return torch.from_numpy(array)[None, :, None]  # (batch, token, head, …)

    options = {"gk": batched(logs)}
    write = {}
    if name != "gla":
        write = {"write": logit(strength[:, None])}
        options = {"g": batched(logs[:, 0] if name == "gated_delta_net" else logs), "beta": batched(strength)}
    found = naive(batched(q), batched(k), batched(v), **options)
    expected = (found[0] if isinstance(found, tuple) else found)[0, :, 0].double()
    mixer = glm.catalogue.entry(name).build(state=state)
    z = mix(mixer, tensor(q) / state**0.5, tensor(k), tensor(v), backend=backend, gate=tensor(gate), **write)
    torch.testing.assert_close(z[0, 0], expected, rtol=0, atol=2e-5)
