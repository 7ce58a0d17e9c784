"""Every coefficient kind on every catalogue entry: outputs and gradients, whatever the shape, block or packing."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.errors import CoefficientError
from glmix_theory.export import BACKENDS, Inputs, mixed
from glmix_theory.export import blocked as blocked_backend
from glmix_theory.export.inputs import DIFFERENTIABLE
from glmix_theory.export.kinds import check_kind
from glmix_theory.export.structure import EdgeTable, structure_of
from glmix_theory.mixers import COEFFICIENTS
from tests.export.conftest import CASES, ON_CPU
from tests.export.token_loops import token_loops
from tests.strategies import mixers


def assert_near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-11) -> None:
    """To fp64 rounding, at the scale of the largest number."""
    scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale)


def differentiated(mixer: glm.Mixer, kind: str, inputs: Inputs, backend: str, weight: torch.Tensor) -> dict:
    """``z`` and the gradient of every input."""
    leaves = inputs.map(lambda x: x.detach().requires_grad_())
    given_names = [name for name in DIFFERENTIABLE if getattr(leaves, name) is not None]
    z = mixed(mixer, leaves, kind, backend).z
    gradients = torch.autograd.grad(
        (z * weight).sum(), [getattr(leaves, name) for name in given_names], allow_unused=True, materialize_grads=True
    )
    return {"z": z.detach(), **dict(zip(given_names, gradients))}


def assert_agreement(mixer: glm.Mixer, kind: str, inputs: Inputs, weight: torch.Tensor) -> None:
    expected = differentiated(mixer, kind, inputs, "reference", weight)
    for backend in ON_CPU:
        if backend != "reference":
            found = differentiated(mixer, kind, inputs, backend, weight)
            for name, tensor in expected.items():
                assert_near(found[name], tensor, 1e-9)


@pytest.mark.parametrize("backend", ON_CPU)
def test_every_kind_equals_the_token_loops(case, backend, draw_inputs):
    mixer, kind = case
    for n, wide, optional in ((1, False, True), (2, True, False), (11, False, False), (18, True, True)):
        inputs = draw_inputs(mixer, kind, n, n=n, wide=wide, optional=optional)
        z, y = token_loops(mixer, kind, inputs)
        found = mixed(mixer, inputs, kind, backend)
        assert_near(found.z, z)
        assert_near(found.y, y)
        assert (found.y is found.z) == (mixer.readout is None)


@settings(max_examples=4, deadline=None)
@given(st.data())
def test_backends_agree_with_every_gradient(case, draw, draw_inputs, data):
    mixer, kind = case
    batch, heads, d, width = (data.draw(st.integers(1, top)) for top in (2, 2, 5, 5))
    n, seed = data.draw(st.integers(1, 70)), data.draw(st.integers(0, 99))
    wide, optional = data.draw(st.booleans()), data.draw(st.booleans())
    inputs = draw_inputs(mixer, kind, seed, batch, heads, n, d, width, wide=wide, optional=optional)
    assert_agreement(mixer, kind, inputs, draw(seed + 5, batch, heads, n, width))


@settings(max_examples=60, deadline=None)
@given(
    drawn=mixers(),
    kind=st.sampled_from(COEFFICIENTS),
    n=st.integers(1, 40),
    seed=st.integers(0, 99),
    wide=st.booleans(),
)
def test_backends_agree_on_drawn_patterns(draw, draw_inputs, drawn, kind, n, seed, wide):
    mixer = drawn.mixer
    if mixer.state > 1 and mixer.readout is None:
        mixer = replace(mixer, readout=glm.Diagonal())
    try:
        check_kind(mixer, kind)
    except CoefficientError:
        kind = "gated"
    inputs = draw_inputs(mixer, kind, seed, n=n, wide=wide)
    assert_agreement(mixer, kind, inputs, draw(seed, 1, 2, n, 3))


SAMPLE = {
    name: CASES[name]
    for name in (
        "exponential_recurrence-softmax",
        "exponential_cache_efficient-chacal",
        "chacal_strict-chacal",
        "quadratic_recurrence-signed",
        "rg_lru-gated",
        "kth_order_recurrence-fixed",
        "delta_net_ut-delta",
        "mamba2-gated",
        "rwkv6-gated",
        "log_linear_attention-gated",
        "chimera-gated",
        "kimi_delta_attention-delta",
        "log_linear_attention-delta",
    )
}
SAMPLE["several_sources-gated"] = (glm.Mixer(glm.Window(2), glm.Lags([1, 3]), glm.Window(2), "gated", 2), "gated")
SAMPLE["several_sources-delta"] = (
    glm.Mixer(glm.Window(2), glm.Offsets(2**glm.k), glm.Lags([0, 2]), "delta", 2),
    "delta",
)
sampled = pytest.mark.parametrize(("mixer_of_kind", "kind"), SAMPLE.values(), ids=SAMPLE.keys())
wide_or_not = pytest.mark.parametrize("wide", [False, True], ids=["scalar_gate", "wide_gate"])


@sampled
@wide_or_not
def test_gradcheck(mixer_of_kind, kind, wide, draw_inputs):
    inputs = draw_inputs(mixer_of_kind, kind, 3, heads=1, n=9, d=2, width=2, wide=wide)
    names = [name for name in ("v", "q", "k", "gate", "write") if getattr(inputs, name) is not None]
    structure = structure_of(mixer_of_kind, 9)

    def run(*tensors):
        return blocked_backend.mix(structure, kind, replace(inputs, **dict(zip(names, tensors))), block=4).z

    leaves = [getattr(inputs, name).requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, leaves)
    if inputs.bias is not None:
        few = inputs.bias[:, :, :6].clone().requires_grad_()

        def biased(first):
            return blocked_backend.mix(
                structure, kind, replace(inputs, bias=torch.cat([first, inputs.bias[:, :, 6:]], dim=2)), block=4
            ).z

        assert torch.autograd.gradcheck(biased, (few,))


@sampled
@wide_or_not
def test_block_size_does_not_matter(mixer_of_kind, kind, wide, draw_inputs):
    inputs = draw_inputs(mixer_of_kind, kind, 1, n=45, wide=wide)
    structure = structure_of(mixer_of_kind, 45)
    expected = blocked_backend.mix(structure, kind, inputs)
    for block in (1, 7, 16, 44, 45):
        found = blocked_backend.mix(structure, kind, inputs, block=block)
        assert_near(found.z, expected.z)
        assert_near(found.y, expected.y)


@sampled
def test_the_first_rows_of_a_sequence_are_those_of_a_shorter_one(mixer_of_kind, kind, fast, draw_inputs):
    inputs = draw_inputs(mixer_of_kind, kind, 2, n=70)
    long = mixed(mixer_of_kind, inputs, kind, fast)
    for n in (1, 2, 33, 64, 69):
        cut = {
            name: x[:, :, :n] for name in ("v", "q", "k", "gate", "write") if (x := getattr(inputs, name)) is not None
        }
        short = mixed(mixer_of_kind, replace(inputs, **cut), kind, fast)
        assert_near(short.z, long.z[:, :, :n])
        assert_near(short.y, long.y[:, :, :n])


@sampled
@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize(
    "segments",
    [
        [[0, 0, 30], [1, 0, 17]],
        [[0, 7, 30], [1, 29, 30]],
        [[1, 0, 1], [0, 0, 9], [0, 9, 11], [0, 12, 29], [1, 5, 6], [1, 8, 30]],
    ],
    ids=["padded_right", "padded_left", "packed"],
)
def test_segments_are_separate_sequences(mixer_of_kind, kind, backend, segments, draw, draw_inputs):
    inputs = draw_inputs(mixer_of_kind, kind, 4, batch=2, n=30, wide=True)
    weight = draw(6, 2, 2, 30, 3)
    packed = replace(inputs, segments=torch.tensor(segments))
    found = differentiated(mixer_of_kind, kind, packed, backend, weight)
    bias = torch.zeros_like(inputs.bias) if inputs.bias is not None else None
    inside = torch.zeros(2, 30, dtype=torch.bool)
    y = mixed(mixer_of_kind, packed, kind, backend).y
    for b, start, stop in segments:
        inside[b, start:stop] = True
        rows = (slice(b, b + 1), slice(None), slice(start, stop))
        cut = {name: x[rows] for name in ("v", "q", "k", "gate", "write") if (x := getattr(inputs, name)) is not None}
        alone = replace(inputs, **cut)
        expected = differentiated(mixer_of_kind, kind, alone, backend, weight[rows])
        for name, tensor in expected.items():
            if name == "bias":
                bias += tensor
            else:
                assert_near(found[name][rows], tensor)
        assert_near(y[rows], mixed(mixer_of_kind, alone, kind, backend).y)
    if bias is not None:
        assert_near(found["bias"], bias)
    for name, tensor in found.items():
        if name != "bias":
            assert not tensor.transpose(1, 2)[~inside].any()
    assert not y.transpose(1, 2)[~inside].any()


def continued(structure, m: int):
    """The structure in which the first ``m`` rows stand for a cache."""

    def later(table: EdgeTable) -> EdgeTable:
        first = int(table.indptr[m])
        return EdgeTable((table.indptr - first).clip(0), table.sources[first:], table.classes[first:])

    readout = None if structure.readout is None else later(structure.readout)
    return replace(
        structure, direct=later(structure.direct), recurrent=later(structure.recurrent), readout=readout, known=m
    )


@sampled
@wide_or_not
@pytest.mark.parametrize("backend", ON_CPU)
def test_known_rows_continue_a_sequence(mixer_of_kind, kind, wide, backend, draw_inputs):
    n, m = 40, 13
    inputs = draw_inputs(mixer_of_kind, kind, 5, n=n, wide=wide)
    run, structure = BACKENDS[backend].mix, structure_of(mixer_of_kind, n)
    whole = run(structure, kind, inputs)
    outputs = whole.y[:, :, :m] if mixer_of_kind.state > 1 else whole.y[:, :, :m].unsqueeze(3)
    kept = None
    if mixer_of_kind.state > 1 and inputs.gate is not None:
        logs = torch.nn.functional.logsigmoid(inputs.gate[:, :, :m])
        kept = logs.sum(dim=2, keepdim=True) - logs.cumsum(dim=2)
    hidden = {  # what the known rows must not read
        name: torch.cat([torch.full_like(x[:, :, :m], 1e3), x[:, :, m:]], dim=2)
        for name in ("q", "gate")
        if (x := getattr(inputs, name)) is not None
    }
    part = run(continued(structure, m), kind, replace(inputs, outputs=outputs, kept=kept, **hidden))
    assert_near(part.z[:, :, m:], whole.z[:, :, m:])
    assert_near(part.y, whole.y)
    assert not part.z[:, :, :m].any()


@sampled
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_only_at_the_end(mixer_of_kind, kind, fast, dtype, draw_inputs):
    inputs = draw_inputs(mixer_of_kind, kind, 6, n=150, d=8, width=8, dtype=dtype)
    found = mixed(mixer_of_kind, inputs, kind, fast)
    full = mixed(mixer_of_kind, inputs.map(lambda x: x.float()), kind, fast)
    assert found.z.dtype == found.y.dtype == dtype
    assert torch.equal(found.z, full.z.to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mixed(mixer_of_kind, inputs.map(lambda x: x.float()), kind, fast).z, full.z)


def test_every_field_of_the_inputs_is_drawn(draw_inputs):
    """So that a new input cannot stay untested: each is drawn for some kind, or named here."""
    drawn = {
        field.name
        for mixer, kind in CASES.values()
        for field in fields(Inputs)
        if getattr(draw_inputs(mixer, kind, 0, n=2), field.name) is not None
    }
    assert drawn | {"segments", "outputs", "kept"} == {field.name for field in fields(Inputs)}
