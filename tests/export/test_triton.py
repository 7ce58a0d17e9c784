"""The Triton kernels against the reference: interpreted on the CPU, or compiled where there is a CUDA device.

Interpreted, a program takes milliseconds: lengths are such that two blocks of 16 rows are touched. What only
a device can show is in ``test_triton_on_gpu.py``; that every kernel compiles, in ``test_triton_compiled.py``.
"""

from dataclasses import replace

import pytest
import torch

import glmix_theory as glm
from glmix_theory.errors import DtypeError, ShapeError
from glmix_theory.export import availability, backends, reference
from glmix_theory.export.backend import EdgeValues
from glmix_theory.export.backends import BACKENDS
from glmix_theory.export.inputs import DIFFERENTIABLE
from glmix_theory.export.structure import EdgeTable, Structure, structure_of
from glmix_theory.export.triton import BACKEND, launch
from glmix_theory.export.triton.panels import panels_of

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
CLOSE = {"rtol": 1e-4, "atol": 2e-5} if not ON_GPU else {"rtol": 1e-3, "atol": 1e-3}
POWERS = glm.Offsets(2**glm.k)

BY_ROW = {
    "plain": glm.Mixer(recurrent=POWERS),
    "readout": glm.Mixer(direct=glm.Window(3), recurrent=glm.CacheEfficient(2**glm.k), readout=glm.Window(3)),
}
KINDS = [("softmax", False), ("chacal", False), ("signed", False), ("gated", False), ("gated", True), ("fixed", False)]

CHAIN = {"recurrent": glm.Lags([1]), "readout": glm.Diagonal()}
TREE = {"recurrent": glm.Fenwick(), "readout": glm.FenwickPrefix()}
GRAPH = {"direct": glm.Window(2), "recurrent": POWERS, "readout": glm.Lags([0, 2])}
BY_MATRIX = {"chain": CHAIN, "tree": TREE, "graph": GRAPH}


def on_device(inputs):
    return replace(inputs.map(lambda tensor: tensor.to(DEVICE)))


def check_mix(structure, kind, inputs, gradients=True):
    """Outputs and, where asked for, every gradient, as the reference has them in fp64."""
    single = on_device(inputs.map(torch.Tensor.float))
    leaves = inputs.map(lambda tensor: tensor.float().double().requires_grad_())
    expected = reference.mix(structure, kind, leaves)
    found = BACKEND.mix(structure, kind, single)
    torch.testing.assert_close(found.z.cpu().double(), expected.z, **CLOSE)
    torch.testing.assert_close(found.y.cpu().double(), expected.y, **CLOSE)
    assert found.terms == expected.terms
    if not gradients:
        return
    dz = torch.randn(expected.z.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    names = [name for name in DIFFERENTIABLE if getattr(inputs, name) is not None]
    wanted = torch.autograd.grad(expected.z, [getattr(leaves, name) for name in names], dz, allow_unused=True)
    slopes = BACKEND.mix_backward(structure, kind, single, found.y, dz.float().to(DEVICE))
    for name, gradient in zip(names, wanted):
        got = getattr(slopes, name)
        gradient = torch.zeros_like(getattr(inputs, name)) if gradient is None else gradient
        scale = 1 + gradient.abs().max()
        got = torch.zeros_like(gradient) if got is None else got.cpu().double()
        torch.testing.assert_close(
            got / scale, gradient / scale, **CLOSE, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_every_pattern_family(mixer, draw_inputs):
    inputs = draw_inputs(mixer, "softmax", 1, heads=1, n=20)
    check_mix(structure_of(mixer, 20), "softmax", inputs, gradients=mixer.readout is None)


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17])
def test_short_sequences_and_edges_of_blocks(n, draw_inputs):
    mixer = BY_ROW["readout"]
    check_mix(structure_of(mixer, n), "softmax", draw_inputs(mixer, "softmax", n, heads=1, n=n))


@pytest.mark.parametrize("optional", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("name", BY_ROW)
@pytest.mark.parametrize(("kind", "wide"), KINDS)
def test_every_kind_by_row(kind, wide, name, optional, draw_inputs):
    mixer = BY_ROW[name]
    inputs = draw_inputs(mixer, kind, 2, heads=1, n=18, d=5, wide=wide, optional=optional)
    check_mix(structure_of(mixer, 18), kind, inputs)


@pytest.mark.parametrize("n", [1, 2, 16, 17, 35])
def test_a_first_order_recurrence_is_scanned(n, draw_inputs):
    mixer = glm.Mixer(recurrent=glm.Lags([1]))
    check_mix(structure_of(mixer, n), "gated", draw_inputs(mixer, "gated", 13, heads=1, n=n, wide=True))


def test_a_scan_of_segments_and_after_known_rows(draw_inputs):
    mixer = glm.Mixer(recurrent=glm.Lags([1]))
    inputs = draw_inputs(mixer, "gated", 14, batch=2, heads=1, n=20, wide=True)
    segments = torch.tensor([[0, 0, 5], [0, 6, 9], [1, 2, 19]])
    check_mix(structure_of(mixer, 17), "gated", replace(inputs, segments=segments))
    structure, single = structure_of(mixer, 20), on_device(inputs.map(torch.Tensor.float))
    whole = BACKEND.mix(structure, "gated", single).y
    given = replace(single, outputs=whole[:, :, :7, None])
    torch.testing.assert_close(BACKEND.mix(without_edges_into(structure, 7), "gated", given).y, whole, **CLOSE)


@pytest.mark.parametrize("readout", [None, glm.Dense(), glm.Window(2)])
def test_delta_by_row(readout, draw_inputs):
    mixer = glm.Mixer(recurrent=glm.Dense().strict(), readout=readout, coefficients="delta")
    check_mix(structure_of(mixer, 34), "delta", draw_inputs(mixer, "delta", 3, heads=1, n=34))


@pytest.mark.parametrize("extra", ["", "gate+bias", "wide gate+bias"])
@pytest.mark.parametrize("kind", ["gated", "fixed", "delta"])
@pytest.mark.parametrize("name", BY_MATRIX)
def test_every_kind_by_matrix(name, kind, extra, draw_inputs):
    mixer = glm.Mixer(**BY_MATRIX[name], state=3)
    options = {"wide": "wide" in extra, "optional": bool(extra)}
    check_mix(structure_of(mixer, 9), kind, draw_inputs(mixer, kind, 4, heads=1, n=9, width=2, **options))


@pytest.mark.parametrize("kind", ["softmax", "gated", "fixed", "delta"])
def test_segments_are_independent_and_rows_outside_are_zero(kind, draw_inputs):
    segments = torch.tensor([[0, 0, 5], [0, 6, 9], [1, 2, 19]])
    if kind == "delta":
        mixer = glm.Mixer(recurrent=glm.Dense().strict(), readout=glm.Dense())
    else:
        mixer = BY_ROW["readout"]
    inputs = replace(draw_inputs(mixer, kind, 5, batch=2, heads=1, n=20), segments=segments)
    check_mix(structure_of(mixer, 17), kind, inputs)


def test_segments_by_matrix(draw_inputs):
    mixer = glm.Mixer(**CHAIN, state=2)
    inputs = replace(draw_inputs(mixer, "gated", 6, batch=2, n=9), segments=torch.tensor([[0, 1, 4], [1, 0, 9]]))
    check_mix(structure_of(mixer, 9), "gated", inputs)


# --- given coefficients ---------------------------------------------------------------------------------


def check_solve(mixer, n, draw, block=()):
    structure, state = structure_of(mixer, n), (mixer.state,) if mixer.state > 1 else ()
    gamma = None if structure.readout is None else draw(3, 1, 2, structure.readout.number, *state)
    given = EdgeValues(
        draw(1, 1, 2, structure.direct.number, *state),
        0.4 * draw(2, 1, 2, structure.recurrent.number, *block),
        gamma,
        draw(4, 1, 2, n, 3),
    )
    leaves = EdgeValues(*(None if value is None else value.float().double().requires_grad_() for value in given))
    single = EdgeValues(*(None if value is None else value.float().to(DEVICE) for value in given))
    expected, found = reference.solve(structure, leaves), BACKEND.solve(structure, single)
    torch.testing.assert_close(found.z.cpu().double(), expected.z, **CLOSE)
    assert found.terms == expected.terms
    dz = draw(5, *expected.z.shape)
    wanted = torch.autograd.grad(expected.z, [leaf for leaf in leaves if leaf is not None], dz)
    slopes = BACKEND.solve_backward(structure, single, found.y, dz.float().to(DEVICE))
    for got, gradient in zip([slope for slope in slopes if slope is not None], wanted, strict=True):
        scale = 1 + gradient.abs().max()
        torch.testing.assert_close(got.cpu().double() / scale, gradient / scale, **CLOSE)


@pytest.mark.parametrize("name", BY_ROW)
def test_given_numbers(name, draw):
    check_solve(BY_ROW[name], 20, draw)


@pytest.mark.parametrize("block", [(1,), (3,), (3, 3)], ids=["number", "decays", "matrix"])
@pytest.mark.parametrize("name", BY_MATRIX)
def test_given_matrices(name, block, draw):
    check_solve(glm.Mixer(**BY_MATRIX[name], state=3), 7, draw, block)


def test_a_block_is_inverted_without_cancellation(draw):
    """Where powers of ``B`` reach 10^8 and cancel, as with equal keys and strength 1 of the delta rule."""
    mixer = glm.Mixer(recurrent=glm.Dense().strict())
    n = 32
    beta = -torch.ones(1, 1, n * (n - 1) // 2)
    x = draw(1, 1, 1, n, 3).float()
    values = EdgeValues(torch.ones(1, 1, n).to(DEVICE), beta.to(DEVICE), None, x.to(DEVICE))
    expected = x - torch.cat([torch.zeros(1, 1, 1, 3), x[:, :, :-1]], dim=2)
    torch.testing.assert_close(BACKEND.solve(structure_of(mixer, n), values).z.cpu(), expected, **CLOSE)


# --- continuing, precision, refusals, tables --------------------------------------------------------------


def without_edges_into(structure, known):
    """The structure in which the first rows are known."""

    def cut(table):
        first = int(table.indptr[known])
        return EdgeTable(np_maximum(table.indptr, first) - first, table.sources[first:], table.classes[first:])

    def np_maximum(array, least):
        return array.clip(min=least)

    return Structure(
        cut(structure.direct),
        cut(structure.recurrent),
        None if structure.readout is None else cut(structure.readout),
        structure.state,
        structure.read_once,
        known,
    )


@pytest.mark.parametrize("known", [1, 5, 19])
def test_known_rows_are_read_and_not_computed(known, draw_inputs):
    mixer = BY_ROW["readout"]
    structure = structure_of(mixer, 21)
    inputs = on_device(draw_inputs(mixer, "softmax", 7, n=21).map(torch.Tensor.float))
    whole = BACKEND.mix(structure, "softmax", inputs)
    given = replace(inputs, outputs=whole.y[:, :, :known, None])
    rest = BACKEND.mix(without_edges_into(structure, known), "softmax", given)
    torch.testing.assert_close(rest.z[:, :, known:], whole.z[:, :, known:], **CLOSE)
    torch.testing.assert_close(rest.y, whole.y, **CLOSE)
    assert not rest.z[:, :, :known].any()


@pytest.mark.parametrize("name", ["chain", "graph"])
def test_known_matrices_are_read_and_not_computed(name, draw_inputs):
    mixer = glm.Mixer(**BY_MATRIX[name], state=2)
    structure, known = structure_of(mixer, 9), 4
    inputs = on_device(draw_inputs(mixer, "gated", 8, n=9).map(torch.Tensor.float))
    whole = BACKEND.mix(structure, "gated", inputs)
    logs = torch.nn.functional.logsigmoid(inputs.gate.double())[:, :, :known]
    kept = logs.sum(2, keepdim=True) - logs.cumsum(2)
    rest = BACKEND.mix(
        without_edges_into(structure, known), "gated", replace(inputs, outputs=whole.y[:, :, :known], kept=kept)
    )
    torch.testing.assert_close(rest.z[:, :, known:], whole.z[:, :, known:], **CLOSE)
    torch.testing.assert_close(rest.y[:, :, known:], whole.y[:, :, known:], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_in_single(dtype, draw_inputs):
    mixer = BY_ROW["plain"]
    inputs = on_device(draw_inputs(mixer, "softmax", 9, n=20, dtype=dtype))
    structure = structure_of(mixer, 20)
    half = BACKEND.mix(structure, "softmax", inputs)
    full = BACKEND.mix(structure, "softmax", inputs.map(torch.Tensor.float))
    assert half.z.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(half.z.float(), full.z, rtol=2 * step, atol=2 * step)


def test_strided_inputs_need_no_copy(draw_inputs):
    mixer = BY_ROW["plain"]
    inputs = on_device(draw_inputs(mixer, "softmax", 10, n=18).map(torch.Tensor.float))
    structure = structure_of(mixer, 18)

    def stored_by_position(tensor):
        return tensor if tensor.dim() == 3 else tensor.transpose(1, 2).contiguous().transpose(1, 2)

    turned = inputs.map(stored_by_position)
    assert not turned.v.is_contiguous()
    assert torch.equal(BACKEND.mix(structure, "softmax", turned).z, BACKEND.mix(structure, "softmax", inputs).z)


@pytest.mark.parametrize("kind", ["softmax", "signed", "chacal", "gated"])
def test_large_scores_and_gates_neither_overflow_nor_lose_gradients(kind, draw_inputs):
    mixer = BY_ROW["readout"]
    drawn = draw_inputs(mixer, kind, 11, heads=1, n=18, optional=False)
    gate = None if drawn.gate is None else 60 * drawn.gate
    check_mix(structure_of(mixer, 18), kind, replace(drawn, q=30 * drawn.q, gate=gate))


def test_what_the_kernels_do_not_take_is_refused(draw_inputs):
    mixer = BY_ROW["plain"]
    inputs = on_device(draw_inputs(mixer, "softmax", 12, n=4))
    with pytest.raises(DtypeError, match="the tensors are torch"):
        BACKEND.mix(structure_of(mixer, 4), "softmax", inputs)
    wide = on_device(draw_inputs(mixer, "softmax", 12, n=4, d=300).map(torch.Tensor.float))
    with pytest.raises(ShapeError, match="256 channels, not 300"):
        BACKEND.mix(structure_of(mixer, 4), "softmax", wide)


@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
def test_panels_hold_the_edges_and_their_numbers(mixer, transposed):
    """Read back by plain loops."""
    n, block = 50, 16
    for table in structure_of(mixer, n).parts:
        panels = panels_of(table, block, torch.device("cpu"), transposed=transposed)
        first, inside = panels.first.tolist(), panels.inside.tolist()
        found = {}
        for b in range(panels.blocks):
            for tile in range(first[b], first[b + 1]):
                columns = panels.columns[tile].tolist()
                own = list(range(b * block, (b + 1) * block))
                assert (columns == own) == (tile == inside[b])
                for row, word in enumerate(panels.bits[tile].tolist()):
                    number = int(panels.edges[tile, row])
                    for c in range(block):
                        if word >> c & 1:
                            found[b * block + row, columns[c]] = int(panels.order[number]) if transposed else number
                            number += 1
        pairs = zip(table.sources, table.targets) if transposed else zip(table.targets, table.sources)
        assert found == {(int(a), int(b)): number for number, (a, b) in enumerate(pairs)}


def test_too_old_or_missing_triton_is_said(monkeypatch):
    for version, reason in (("3.5.1", "too old"), ("3.6.0+git1", None), ("3.10.0rc1", None), ("2.9", "too old")):
        availability.triton_available.cache_clear()
        monkeypatch.setattr(availability.metadata, "version", lambda name, version=version: version)
        found = availability.triton_available()
        assert found is None if reason is None else reason in found
    availability.triton_available.cache_clear()
    monkeypatch.setattr(availability.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in availability.triton_available()
    availability.triton_available.cache_clear()


def test_refusals_are_reasons():
    cuda = torch.device("cuda")
    assert "on cpu" in availability.triton_refuses(torch.device("cpu"), torch.float32, 64)
    assert "float64" in availability.triton_refuses(cuda, torch.float64, 64)
    assert "not 300" in availability.triton_refuses(cuda, torch.float32, 300)


def test_it_runs_behind_the_door_of_every_backend(monkeypatch, draw_qkv):
    """Through the torch operator, with its gradient."""
    monkeypatch.setitem(BACKENDS, "triton", availability.TRITON)
    monkeypatch.delitem(backends.MISSING, "triton", raising=False)
    mixer = BY_ROW["readout"]
    q, k, v = (tensor.to(DEVICE).requires_grad_() for tensor in draw_qkv(1, 1, 2, 18, 4, dtype=torch.float32))
    exact = [tensor.detach().double().requires_grad_() for tensor in (q, k, v)]
    found = glm.mix(mixer, q, k, v, backend="triton")
    expected = glm.mix(mixer, *exact, backend="reference")
    torch.testing.assert_close(found.double(), expected, **CLOSE)
    slopes = torch.autograd.grad(found.square().sum(), (q, k, v))
    wanted = torch.autograd.grad(expected.square().sum(), exact)
    for got, gradient in zip(slopes, wanted):
        torch.testing.assert_close(got.double(), gradient, **CLOSE)


def test_the_interpreter_takes_cpu_tensors_and_the_compiled_kernels_do_not():
    assert (BACKEND.devices == {"cuda", "cpu"}) == launch.INTERPRETED
    assert "cuda" in BACKEND.devices
