"""The compiled CPU backend: equal to the dense oracle, forward and backward, for any shape, thread or process."""

import multiprocessing
import threading

import pytest
import torch

import glmix_theory as glm
from glmix_theory.export import fused, reference
from glmix_theory.export.backend import EdgeValues
from glmix_theory.export.inputs import DIFFERENTIABLE, Inputs, tensors_of
from glmix_theory.export.structure import LAG_CLASSES, EdgeTable, Structure, structure_of

k = glm.k
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
ROW_KINDS = ("softmax", "chacal", "signed", "gated", "fixed")
POWERS = glm.Mixer(recurrent=glm.Offsets(2**k))
WITH_READOUT = glm.Mixer(direct=glm.Window(2), recurrent=glm.CacheEfficient(2**k), readout=glm.Window(3))
UT_TRANSFORM = glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Dense().strict(), readout=glm.Dense())
EXPANDED = {
    "linear": glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=3),
    "two_lags": glm.Mixer(direct=glm.Window(2), recurrent=glm.Lags([1, 4]), readout=glm.Window(3), state=5),
    "log_linear": glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix(), state=4),
    "powers": glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Lags([0, 2]), state=17),
}


def draw_inputs(mixer, kind, batch, heads, n, d, width, *, gate=1, bias=True, seed=0, dtype=torch.float64):
    """Every tensor that the kind takes."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    d = mixer.state if mixer.state > 1 else d
    shapes = {"v": width, "q": d, "k": d, "gate": gate, "write": 1}
    taken = [name for name in tensors_of(mixer, kind)[1] if name != "bias"]
    tensors = {name: draw(batch, heads, n, shapes[name]) for name in taken}
    if mixer.state > 1:
        tensors["k"] = torch.nn.functional.normalize(tensors["k"], dim=3)
    if "bias" in tensors_of(mixer, kind)[1] and (bias or kind == "fixed"):
        tensors["bias"] = draw(3, heads, LAG_CLASSES) * 0.5
    return Inputs(**tensors)


def gradients_of(structure, kind, inputs, dz):
    """The oracle's gradients by autograd, in fp64."""
    leaves = inputs.map(lambda tensor: tensor.detach().double().requires_grad_())
    names = [name for name in DIFFERENTIABLE if getattr(leaves, name) is not None]
    z = reference.mix(structure, kind, leaves).z
    if not z.requires_grad:
        return {name: torch.zeros_like(getattr(leaves, name)) for name in names}
    found = torch.autograd.grad(z, [getattr(leaves, name) for name in names], dz.double(), allow_unused=True)
    return {
        name: torch.zeros_like(getattr(leaves, name)) if gradient is None else gradient
        for name, gradient in zip(names, found)
    }


def assert_agrees(structure, kind, inputs, **tolerance):
    """Outputs and every gradient equal those of the oracle."""
    tolerance = tolerance or CLOSE
    result, expected = (
        fused.mix(structure, kind, inputs),
        reference.mix(structure, kind, inputs.map(torch.Tensor.double)),
    )
    torch.testing.assert_close(result.z.double(), expected.z, **tolerance)
    torch.testing.assert_close(result.y.double(), expected.y, **tolerance)
    assert result.terms == expected.terms
    dz = torch.linspace(-1, 1, result.z.numel(), dtype=torch.float64).view(result.z.shape).cos().to(inputs.v.dtype)
    gradients = fused.mix_backward(structure, kind, inputs, result.y, dz)
    for name, gradient in gradients_of(structure, kind, inputs, dz).items():
        found = getattr(gradients, name)
        assert found.shape == gradient.shape
        torch.testing.assert_close(found.double(), gradient, **tolerance, msg=lambda text: f"{name}: {text}")  # noqa: B023


@pytest.mark.parametrize("kind", ROW_KINDS)
def test_every_kind_on_every_pattern_equals_the_oracle(mixer, kind):
    for n, d, width in ((1, 1, 1), (2, 3, 8), (19, 3, 5), (67, 8, 9)):
        assert_agrees(structure_of(mixer, n), kind, draw_inputs(mixer, kind, 1, 2, n, d, width, bias=n != 19))


@pytest.mark.parametrize("width", [1, 3, 33, 64])
@pytest.mark.parametrize(("batch", "heads"), [(1, 1), (3, 1), (2, 3)])
@pytest.mark.parametrize("kind", ROW_KINDS)
def test_any_shape_equals_the_oracle(kind, batch, heads, width):
    mixer = WITH_READOUT
    for gate in {1, width} if kind == "gated" else {1}:
        inputs = draw_inputs(mixer, kind, batch, heads, 21, 34 - min(width, 33), width, gate=gate)
        assert_agrees(structure_of(mixer, 21), kind, inputs)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_the_ut_transform_equals_the_oracle(n):
    inputs = draw_inputs(UT_TRANSFORM, "delta", 2, 2, n, 5, 7)
    inputs = Inputs(inputs.v, inputs.q, torch.nn.functional.normalize(inputs.k, dim=3), write=inputs.write)
    assert_agrees(structure_of(UT_TRANSFORM, n), "delta", inputs)


@pytest.mark.parametrize("kind", ["gated", "fixed", "delta"])
@pytest.mark.parametrize("name", EXPANDED)
def test_state_expansion_equals_the_oracle(name, kind):
    mixer = EXPANDED[name]
    for n, width, gate, bias in ((1, 1, 1, True), (7, 16, mixer.state, False), (23, 5, mixer.state, True)):
        inputs = draw_inputs(mixer, kind, 2, 2, n, 0, width, gate=gate, bias=bias)
        assert_agrees(structure_of(mixer, n), kind, inputs)
    ungated = draw_inputs(mixer, kind, 1, 1, 9, 0, 4)
    without = Inputs(ungated.v, ungated.q, ungated.k, write=ungated.write, bias=ungated.bias)
    assert_agrees(structure_of(mixer, 9), kind, without)


def check_solve(structure, values):
    values = EdgeValues(*(None if value is None else value.requires_grad_() for value in values))
    result, expected = fused.solve(structure, values), reference.solve(structure, values)
    torch.testing.assert_close(result.z, expected.z.detach(), **CLOSE)
    torch.testing.assert_close(result.y, expected.y.detach(), **CLOSE)
    dz = torch.linspace(-1, 1, result.z.numel(), dtype=torch.float64).view(result.z.shape)
    given = [value for value in values if value is not None]
    wanted = torch.autograd.grad(expected.z, given, dz, allow_unused=True, materialize_grads=True)
    found = [gradient for gradient in fused.solve_backward(structure, values, result.y, dz) if gradient is not None]
    for gradient, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, exact, **CLOSE)


def test_given_coefficients_equal_the_oracle(mixer, draw):
    for n, width in ((1, 1), (20, 5), (66, 16)):
        structure = structure_of(mixer, n)
        numbers = [part.number for part in structure.parts]
        edges = [draw(i, 2, 2, number) * 0.3 for i, number in enumerate(numbers)]
        check_solve(
            structure, EdgeValues(edges[0], edges[1], edges[2] if len(edges) == 3 else None, draw(9, 2, 2, n, width))
        )


@pytest.mark.parametrize("name", EXPANDED)
def test_given_blocks_equal_the_oracle(name, draw):
    mixer, r = EXPANDED[name], EXPANDED[name].state
    for block in ((1,), (r,), (r, r)):
        structure = structure_of(mixer, 9)
        direct, recurrent, readout = (part.number for part in structure.parts)
        alpha, gamma = draw(0, 1, 2, direct, r), draw(1, 1, 2, readout, r)
        beta = draw(2, 1, 2, recurrent, *block) * 0.3
        check_solve(structure, EdgeValues(alpha, beta, gamma, draw(3, 1, 2, 9, 5)))


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-4), (torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
@pytest.mark.parametrize("kind", ROW_KINDS)
def test_lower_precision_stays_near_the_oracle(kind, dtype, close):
    inputs = draw_inputs(POWERS, kind, 1, 2, 70, 16, 20, dtype=dtype)
    assert_agrees(structure_of(POWERS, 70), kind, inputs, rtol=close, atol=close)


@pytest.mark.parametrize("kind", ["softmax", "gated", "chacal"])
def test_segments_equal_separate_sequences(kind):
    mixer = glm.Mixer(direct=glm.Window(2), recurrent=glm.Offsets(2**k), readout=glm.Lags([0, 3]))
    inputs = draw_inputs(mixer, kind, 2, 2, 30, 4, 6)
    pieces = [(0, 0, 7), (0, 7, 8), (0, 10, 30), (1, 3, 21)]
    packed = Inputs(**{name: getattr(inputs, name) for name in DIFFERENTIABLE}, segments=torch.tensor(pieces))
    structure = structure_of(mixer, 20)
    result = fused.mix(structure, kind, packed)
    dz = torch.ones_like(result.z)
    gradients = fused.mix_backward(structure, kind, packed, result.y, dz)
    covered = torch.zeros_like(result.z)
    bias = torch.zeros_like(inputs.bias)
    for element, start, stop in pieces:
        part = {name: getattr(inputs, name) for name in DIFFERENTIABLE if getattr(inputs, name) is not None}
        here = (slice(element, element + 1), slice(None), slice(start, stop))
        alone = Inputs(**{name: tensor if name == "bias" else tensor[here] for name, tensor in part.items()})
        single = structure_of(mixer, stop - start)
        expected = reference.mix(single, kind, alone)
        torch.testing.assert_close(result.z[here], expected.z, **CLOSE)
        torch.testing.assert_close(result.y[here], expected.y, **CLOSE)
        exact = gradients_of(single, kind, alone, dz[here])
        bias += exact.pop("bias")
        for name, gradient in exact.items():
            torch.testing.assert_close(getattr(gradients, name)[here], gradient, **CLOSE)
        covered[here] = 1
    torch.testing.assert_close(gradients.bias, bias, **CLOSE)
    for tensor in (result.z, result.y, gradients.v):
        assert not tensor[covered == 0].any()
    assert not (covered == 1).all()


@pytest.mark.parametrize("continued", [POWERS, WITH_READOUT, EXPANDED["two_lags"]])
def test_known_rows_are_read_and_not_computed(continued):
    mixer, n, known, kind = continued, 25, 11, "gated"
    inputs = draw_inputs(mixer, kind, 1, 2, n, 4, 5)
    whole = fused.mix(structure_of(mixer, n), kind, inputs)

    def later(table):
        indptr = table.indptr.copy()
        indptr[:known] = 0
        indptr[known:] -= table.indptr[known]
        indptr[:known] = 0
        return EdgeTable(indptr, table.sources[table.indptr[known] :], table.classes[table.indptr[known] :])

    full = structure_of(mixer, n)
    readout = None if full.readout is None else later(full.readout)
    structure = Structure(later(full.direct), later(full.recurrent), readout, full.state, full.read_once, known)
    tensors = {name: getattr(inputs, name).clone() for name in DIFFERENTIABLE if getattr(inputs, name) is not None}
    for ignored in ("q", "gate"):
        tensors[ignored][:, :, :known] = float("nan")
    logs = torch.nn.functional.logsigmoid(inputs.gate[:, :, :known])
    kept = logs.flip(2).cumsum(2).flip(2) - logs
    outputs = whole.y[:, :, :known].reshape(1, 2, known, mixer.state, 5)
    result = fused.mix(structure, kind, Inputs(**tensors, outputs=outputs, kept=kept if mixer.state > 1 else None))
    torch.testing.assert_close(result.z[:, :, known:], whole.z[:, :, known:], **CLOSE)
    torch.testing.assert_close(result.y, whole.y, **CLOSE)
    assert not result.z[:, :, :known].any()


def test_strided_inputs_run_as_they_lie():
    mixer = glm.Mixer(direct=glm.Window(2), recurrent=glm.Offsets(2**k))
    for width in (5, 16):
        fused_projection = torch.randn(2, 18, 3, 2, width, dtype=torch.float64)
        q, keys, v = (fused_projection[:, :, i].transpose(1, 2) for i in range(3))
        assert_agrees(structure_of(mixer, 18), "softmax", Inputs(v, q, keys))
        turned = torch.randn(2, 2, width, 18, dtype=torch.float64).mT
        assert turned.stride(3) != 1
        assert_agrees(structure_of(mixer, 18), "softmax", Inputs(turned, q, keys))
        one_row = torch.randn(1, 2, 1, width, dtype=torch.float64).expand(2, 2, 18, width)
        assert_agrees(structure_of(mixer, 18), "softmax", Inputs(one_row, q, keys))


def test_rows_without_edges_and_shut_edges_give_zero_not_nan():
    mixer = glm.Mixer(direct=glm.Explicit([(3, 3)]), recurrent=glm.Explicit([(5, 3), (7, 6)]))
    inputs = draw_inputs(mixer, "softmax", 1, 1, 9, 2, 2, bias=False)
    z = fused.mix(structure_of(mixer, 9), "softmax", inputs).z
    assert z[0, 0].any(dim=1).nonzero().flatten().tolist() == [3, 5]
    shut = Inputs(
        inputs.v, inputs.q, inputs.k, bias=torch.full((3, 1, LAG_CLASSES), float("-inf"), dtype=torch.float64)
    )
    assert not fused.mix(structure_of(mixer, 9), "softmax", shut).z.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite_and_nan_stays_where_it_is_read(dtype):
    mixer = glm.Mixer(recurrent=glm.Lags([2]))
    inputs = draw_inputs(mixer, "softmax", 1, 1, 40, 4, 4, bias=False, dtype=dtype)
    structure = structure_of(mixer, 40)
    huge = Inputs(inputs.v, inputs.q * 1e6, inputs.k * 1e6)
    result = fused.mix(structure, "softmax", huge)
    assert result.z.isfinite().all()
    assert fused.mix_backward(structure, "softmax", huge, result.y, torch.ones_like(result.z)).q.isfinite().all()
    inputs.v[0, 0, 8] = float("nan")
    broken = fused.mix(structure, "softmax", inputs).z[0, 0].isnan().any(dim=1)
    assert broken.nonzero().flatten().tolist() == list(range(8, 40, 2))


def _forward_and_backward(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    mixer = glm.Mixer(recurrent=glm.Offsets(2**k), readout=glm.Window(3))
    inputs = draw_inputs(mixer, "softmax", 2, 3, 200, 16, 20, dtype=torch.float32)
    structure = structure_of(mixer, 200)
    result = fused.mix(structure, "softmax", inputs)
    gradients = fused.mix_backward(structure, "softmax", inputs, result.y, torch.ones_like(result.z))
    torch.set_num_threads(before)
    return [result.z, result.y, gradients.q, gradients.k, gradients.v, gradients.bias]


def test_results_do_not_depend_on_runs_or_threads():
    expected = _forward_and_backward(1)
    for threads in (1, 2, 5):
        assert all(torch.equal(a, b) for a, b in zip(_forward_and_backward(threads), expected))


def test_python_threads_may_call_at_once():
    expected = _forward_and_backward(2)
    found = {}

    def work(name):
        for turn in range(5):
            found[name, turn] = _forward_and_backward(2)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(torch.equal(a, b) for tensors in found.values() for a, b in zip(tensors, expected))


def _send_sums(connection):
    connection.send([float(tensor.double().sum()) for tensor in _forward_and_backward(2)])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_forked_process_starts_threads_of_its_own():
    expected = [float(tensor.double().sum()) for tensor in _forward_and_backward(2)]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send_sums, args=(theirs,), daemon=True)
    process.start()
    assert ours.poll(60), "the forked process hangs"
    assert ours.recv() == expected
    process.join()
