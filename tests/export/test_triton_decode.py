"""The decode kernels against the portable decode step, and the tables they walk."""

from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import LengthError
from glmix_theory.export.decode import Cache
from glmix_theory.export.projections import Projected
from glmix_theory.export.stepping import Rule
from glmix_theory.export.triton import decode

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
STEPS, WIDTH, HEADS = 12, 3, 2

PLAIN = glm.Mixer(recurrent=glm.Offsets(2**glm.k))
READ = glm.Mixer(direct=glm.Window(3), recurrent=glm.CacheEfficient(2**glm.k), readout=glm.Window(3))
DENSE = glm.Mixer(recurrent=glm.Dense().strict(), readout=glm.Dense())
CHAIN = glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=3)
TREE = glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), state=3)
GRAPH = glm.Mixer(direct=glm.Window(2), recurrent=glm.Offsets(2**glm.k), readout=glm.Lags([0, 2]), state=3)
CASES = [(PLAIN, "softmax", "auto", False), (READ, "softmax", "auto", True)]
CASES += [(mixer, kind, "auto", True) for mixer in (PLAIN, READ) for kind in ("chacal", "signed", "gated", "fixed")]
CASES += [(PLAIN, "gated", "channel", False), (DENSE, "delta", "auto", False)]
CASES += [(CHAIN, "gated", "channel", False), (TREE, "gated", "channel", True), (GRAPH, "gated", "head", False)]
CASES += [(CHAIN, "delta", "auto", True), (TREE, "delta", "head", False), (GRAPH, "fixed", "auto", True)]


def prepared(mixer, kind, gate, biased, batch=1):
    mixer = replace(mixer, coefficients=kind)
    rule = Rule.of(mixer, Projected.of(mixer, WIDTH, gate, biased), HEADS)
    plan = glm.SlotPlan(mixer)
    cache = Cache(rule, plan, rule, batch, STEPS, False, torch.float32, DEVICE)
    return mixer, rule, plan, cache


def tensors(cache):
    return [tensor.clone() for tensor in cache._tensors()]


@pytest.mark.parametrize("decoded", CASES, ids=lambda case: f"{case[1]}-{case[0].state}-{case[2]}")
def test_every_step_is_the_portable_one(decoded, draw_inputs):
    kind = decoded[1]
    mixer, rule, plan, cache = prepared(*decoded)
    held = tensors(cache)
    steps = decode.DeviceSteps.of(plan, 0, STEPS, HEADS, DEVICE)
    wide = rule.projected.gate_width > 1
    inputs = draw_inputs(mixer, kind, 1, n=STEPS, width=WIDTH, wide=wide, dtype=torch.float32)
    inputs = inputs.map(lambda tensor: tensor.to(DEVICE))
    if not rule.projected.lag_bias:
        inputs = replace(inputs, bias=None)
    if not rule.projected.gate_width:
        inputs = replace(inputs, gate=None)
    z = torch.empty(1, HEADS, WIDTH, device=DEVICE)
    for t in range(STEPS):
        own = inputs.map(lambda tensor, t=t: tensor if tensor.shape[0] == 3 else tensor[:, :, t : t + 1].contiguous())
        expected = cache.advance(own)
        decode.step(rule, steps, own, *held, z)
        torch.testing.assert_close(z, expected, **CLOSE)
    for found, wanted in zip(held, cache._tensors()):
        torch.testing.assert_close(found, wanted, **CLOSE)
    assert steps.position.tolist() == [STEPS] * HEADS


def test_half_precision_rows_and_tables_that_start_later(draw_inputs):
    mixer, rule, plan, cache = prepared(PLAIN, "softmax", "auto", False, batch=2)
    rows = torch.randn(cache._storage.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    half = rows.to(torch.bfloat16)
    inputs = draw_inputs(mixer, "softmax", 2, batch=2, n=1, optional=False, dtype=torch.bfloat16)
    inputs = inputs.map(lambda tensor: tensor.to(DEVICE))
    found = []
    for storage, own in ((half, inputs), (half.float(), inputs.map(torch.Tensor.float))):
        steps = decode.DeviceSteps.of(plan, 7, 9, 2 * HEADS, DEVICE)
        z = torch.empty(2, HEADS, WIDTH, dtype=storage.dtype, device=DEVICE)
        decode.step(rule, steps, own, storage, cache._decays, cache._total, z)
        found.append(z.float())
        assert steps.position.tolist() == [8] * 2 * HEADS
    torch.testing.assert_close(found[0], found[1], rtol=1e-2, atol=1e-2)


def test_a_step_beyond_the_tables_is_refused():
    _, _, plan, _ = prepared(PLAIN, "softmax", "auto", False)
    steps = decode.DeviceSteps.of(plan, 3, 5, HEADS, DEVICE)
    decode.check_room(steps, 2)
    with pytest.raises(LengthError, match="3 steps are asked for and the tables hold 2 more"):
        decode.check_room(steps, 3)
