"""The bounds that kinds claim, at n = 4096, and adversarial inputs: equal, dominating and huge scores, odd lengths."""

from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import mixed
from glmix_theory.export.coefficients import Scores, edge_values
from glmix_theory.export.inputs import DIFFERENTIABLE
from glmix_theory.export.kinds import STABILITY
from glmix_theory.export.structure import structure_of
from tests.export.conftest import CASES, ON_CPU

k = glm.k
LONG = 4096
BOUNDED = {
    "softmax": glm.Mixer(recurrent=glm.Offsets(2**k)),
    "softmax_readout": glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()),
    "chacal": glm.Mixer(direct=glm.Window(3), recurrent=glm.Offsets(2**k)),
    "signed": glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)),
    "signed_readout": glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(3)),
    "gated": glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(3)),
    "fixed": glm.Mixer(direct=glm.Window(3), recurrent=glm.Offsets(2**k)),
}
bounded = pytest.mark.parametrize(("name", "stable_mixer"), BOUNDED.items(), ids=BOUNDED.keys())


def test_every_kind_with_a_bound_is_tested():
    assert {name.split("_")[0] for name in BOUNDED} == {kind for kind, bound in STABILITY.items() if bound.row_sum}


@bounded
def test_row_sums_stay_below_their_bound(name, stable_mixer, draw_inputs):
    kind = name.split("_")[0]
    inputs = draw_inputs(stable_mixer, kind, 0, heads=1, n=LONG, dtype=torch.float32)
    inputs = inputs.map(lambda x: 4 * x)
    structure = structure_of(stable_mixer, LONG)
    values = edge_values(kind, Scores(structure, inputs, 64))
    parts = [part.index("targets", inputs.v.device) for part in structure.parts]
    sums = torch.zeros(LONG, dtype=torch.float64)
    for targets, value in zip(parts[:2], values[:2]):
        sums.index_add_(0, targets, value[0].double().abs())
    assert float(sums.max()) <= STABILITY[kind].row_sum + 1e-5
    if kind in ("softmax", "chacal"):
        torch.testing.assert_close(sums, torch.ones(LONG, dtype=torch.float64), rtol=0, atol=1e-5)
    for targets, value in zip(parts[2:], values[2:]):
        read = torch.zeros(LONG, dtype=torch.float64).index_add_(0, targets, value[0].double().abs())
        assert float(read.max()) <= 1 + 1e-5


@bounded
@pytest.mark.parametrize("wide", [False, True])
def test_outputs_are_no_larger_than_inputs(name, stable_mixer, wide, fast, draw_inputs):
    kind = name.split("_")[0]
    inputs = draw_inputs(stable_mixer, kind, 1, heads=1, n=LONG, wide=wide, dtype=torch.float32)
    z = mixed(stable_mixer, inputs.map(lambda x: 3 * x), kind, fast).z
    assert float(z.abs().max()) <= 3 * float(inputs.v.abs().max()) * (1 + 1e-5)


def test_chacal_with_a_readout_is_bounded_for_constant_gates(fast, draw_inputs):
    mixer = glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Offsets(2**k) | glm.Diagonal())
    inputs = draw_inputs(mixer, "chacal", 0, heads=1, n=LONG, dtype=torch.float32)
    inputs = replace(inputs, gate=torch.full_like(inputs.gate, 2.0))
    z = mixed(mixer, inputs, "chacal", fast).z
    assert float(z.abs().max()) <= float(inputs.v.abs().max()) * (1 + 1e-5)


@pytest.mark.parametrize("wide", [None, False, True])
def test_a_delta_rule_never_enlarges_a_write(wide, fast, draw_inputs):
    """One write ``v_s``: every later state is a contraction of ``b_s k_s v_sᵀ``, whatever follows."""
    mixer = replace(glm.catalogue["kimi_delta_attention"], state=4)
    inputs = draw_inputs(mixer, "delta", 2, heads=2, n=LONG, wide=bool(wide), dtype=torch.float32)
    inputs = replace(inputs, gate=None if wide is None else inputs.gate, write=4 * inputs.write)
    alone = torch.zeros_like(inputs.v)
    alone[:, :, 70] = inputs.v[:, :, 70]
    norms = mixed(mixer, replace(inputs, v=alone), "delta", fast).y.double().flatten(3).norm(dim=3)
    assert not norms[:, :, :70].any()
    first = torch.sigmoid(inputs.write[:, :, 70, 0]).double() * inputs.v[:, :, 70].double().norm(dim=2)
    torch.testing.assert_close(norms[:, :, 70], first, rtol=1e-5, atol=0)
    # Rounding is at the scale of the write, however little of it is left.
    assert bool((norms[:, :, 71:] <= norms[:, :, 70:-1] + 1e-6 * first.unsqueeze(2)).all())


def test_decaying_states_stay_below_the_sum_of_what_was_written(fast, draw_inputs):
    mixer = replace(glm.catalogue["log_linear_attention"], state=3)
    inputs = draw_inputs(mixer, "gated", 3, heads=1, n=LONG, dtype=torch.float32, wide=True)
    inputs = replace(inputs, k=torch.nn.functional.normalize(inputs.k, dim=3))
    written = inputs.v.abs().sum(dim=2)
    assert bool((mixed(mixer, inputs, "gated", fast).y.abs() <= written[:, :, None, None] * (1 + 1e-5)).all())


ADVERSARIAL = ("equal", "dominating", "huge", "open_gates", "shut_gates")


def adversarial(inputs, name: str):
    """Inputs of a kind made extreme; positions and signs stay as drawn."""
    if name == "equal":
        return replace(inputs.map(torch.zeros_like), v=inputs.v)
    if name == "dominating":  # one key with scores of 1e4 against all others' zeros
        key = None if inputs.k is None else torch.zeros_like(inputs.k)
        if key is not None:
            key[:, :, inputs.v.shape[2] // 2] = 1e4 * inputs.k[:, :, inputs.v.shape[2] // 2]
        return replace(inputs, k=key)
    if name == "huge":
        return replace(inputs, q=None if inputs.q is None else 1e4 * inputs.q)
    sign = 1.0 if name == "open_gates" else -1.0
    logits = {
        field: torch.full_like(x, sign * 1e4)
        for field in ("gate", "write")
        if (x := getattr(inputs, field)) is not None
    }
    return replace(inputs, **logits)


ADVERSARIES = {
    name: CASES[name]
    for name in (
        "exponential_recurrence-softmax",
        "attention-softmax",
        "chacal-chacal",
        "chacal_strict-chacal",
        "quadratic_cache_efficient-signed",
        "diagonal_ssm-gated",
        "long_convolution-fixed",
        "mamba2-gated",
        "log_linear_attention-gated",
        "chimera-fixed",
    )
}
ADVERSARIES["gated_offsets-gated"] = (glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(2)), "gated")


@pytest.mark.parametrize(("extreme_mixer", "kind"), ADVERSARIES.values(), ids=ADVERSARIES.keys())
@pytest.mark.parametrize("extreme", ADVERSARIAL)
def test_adversarial_inputs_stay_finite_and_right(extreme_mixer, kind, extreme, fast, draw_inputs):
    for n, wide in ((1, False), (2, True), (67, False), (67, True)):
        drawn = draw_inputs(extreme_mixer, kind, n, n=n, wide=wide)
        inputs = adversarial(drawn, extreme).map(lambda x: x.float())
        leaves = inputs.map(lambda x: x.detach().requires_grad_())
        z = mixed(extreme_mixer, leaves, kind, fast).z
        expected = mixed(extreme_mixer, inputs.map(lambda x: x.double()), kind, "reference").z
        # Scores of 1e4 are rounded to 1e-3 in fp32, which a softmax passes on; the scale is the result's.
        loose = extreme in ("huge", "dominating")
        scale = max(1.0, float(expected.abs().max()))
        assert bool(z.isfinite().all())
        torch.testing.assert_close(z.double(), expected, rtol=0, atol=(5e-3 if loose else 2e-5) * scale)
        given = [getattr(leaves, name) for name in DIFFERENTIABLE if getattr(leaves, name) is not None]
        gradients = torch.autograd.grad(z.sum(), given, allow_unused=True, materialize_grads=True)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("extreme", ["equal", "open_gates", "shut_gates"])
@pytest.mark.parametrize("name", ["delta_net", "kimi_delta_attention", "delta_net_ut"])
def test_extreme_delta_rules_stay_finite_and_right(name, extreme, fast, draw_inputs):
    mixer, kind = CASES[f"{name}-delta"]
    for n in (1, 2, 67):
        drawn = draw_inputs(mixer, kind, n, n=n)
        inputs = adversarial(drawn, extreme)
        if extreme != "equal":  # one key throughout: every write lands where the last one did
            inputs = replace(inputs, k=inputs.k[:, :, :1].expand_as(inputs.k).contiguous())
        inputs = inputs.map(lambda x: x.float())
        z = mixed(mixer, inputs, kind, fast).z
        expected = mixed(mixer, inputs.map(lambda x: x.double()), kind, "reference").z
        torch.testing.assert_close(z.double(), expected, rtol=0, atol=2e-4 * max(1.0, float(expected.abs().max())))


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize("name", ["exponential_recurrence-softmax", "chacal-chacal", "quadratic_recurrence-signed"])
def test_scores_that_differ_by_thousands_leave_only_the_largest(name, backend, draw_inputs):
    mixer, kind = CASES[name]
    inputs = draw_inputs(mixer, kind, 0, heads=1, n=20, d=1, optional=False)
    # Every query prefers the first position, then the second, and so on.
    inputs = replace(inputs, q=torch.ones_like(inputs.q), k=-5e3 * torch.arange(20.0).double().view(1, 1, 20, 1))
    z = mixed(mixer, inputs, kind, backend).z
    assert bool(z.isfinite().all())
    if kind == "softmax":  # each row copies the earliest row it reads, down to row 0
        torch.testing.assert_close(z, inputs.v[:, :, :1].expand_as(z))


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize(
    "name", ["exponential_recurrence-softmax", "chacal-chacal", "chacal_strict-chacal", "rg_lru-gated"]
)
def test_rows_masked_by_the_bias_give_no_nan(name, backend, draw_inputs):
    """Minus infinity shuts an edge: all of them leave zero rows, some leave the softmax of the others."""
    mixer, kind = CASES[name]
    inputs = draw_inputs(mixer, kind, 0, n=70)
    shut = replace(inputs, bias=torch.full_like(inputs.bias, -torch.inf))
    some = replace(inputs, bias=torch.where(torch.arange(inputs.bias.shape[2]) % 2 == 1, -torch.inf, inputs.bias))
    for masked in (shut, some):
        leaves = masked.map(lambda x: x.detach().requires_grad_())
        z = mixed(mixer, leaves, kind, backend).z
        gradients = torch.autograd.grad(
            z.sum(), (leaves.v, leaves.q, leaves.k), materialize_grads=True, allow_unused=True
        )
        assert all(bool(x.isfinite().all()) for x in (z, *gradients))
    assert not mixed(mixer, shut, kind, backend).z.any()
    expected = mixed(mixer, some, kind, "reference").z
    torch.testing.assert_close(mixed(mixer, some, kind, backend).z, expected)
