"""Real units against what an executed layer does: bytes held, rows read, flops that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import glmix_theory as glm
from glmix_theory.complexity import units
from glmix_theory.complexity.quantity import Bounds
from glmix_theory.complexity.slots import NO_SLOT

D_MODEL, HEADS = 8, 2
WIDTH = D_MODEL // HEADS
SIZES = {"d": WIDTH, "heads": HEADS}


def upper(value):
    return value.upper if isinstance(value, Bounds) else value


def solve_flops(matrix_shape, rows_shape, *args, out_shape=None, **options):
    """A unit triangular solve of height m is m(m-1)/2 multiply-adds per column; torch's counter omits it."""
    *groups, height, _ = matrix_shape
    number = rows_shape[-1] * height * (height - 1)
    for size in groups:
        number *= size
    return number


def counted(run):
    """Flops by torch's counter, with the triangular solves it misses."""
    solve = torch.ops.aten.linalg_solve_triangular
    with FlopCounterMode(display=False, custom_mapping={solve: solve_flops}) as counter:
        run()
    return counter.get_total_flops()


def single_rows(step):
    """Sums of one row, which torch's counter omits: a part sums its stored rows together, its own row apart."""
    parts = [step.direct_slots, step.recurrent_slots]
    parts += [] if step.readout_slots is None else [step.readout_slots]
    pieces = [size for slots in parts for size in ((slots != NO_SLOT).sum(), (slots == NO_SLOT).sum())]
    return pieces.count(1)


def sums_of_one_row(mixer, n):
    """Whether no position reads more than one row in any part: products element by element, which go uncounted."""
    return all(pattern.in_degrees(n).max(initial=0) <= 1 for pattern in mixer.parts.values())


def projections(layer, positions):
    return 2 * positions * (layer.projection.weight.numel() + layer.output.weight.numel())


def test_cache_bytes_equal_the_storage(mixer, make_layer, draw):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        layer = make_layer(mixer, D_MODEL, HEADS, dtype=dtype)
        for n in (1, 2, 17, 50):
            cache = layer.prefill(draw(n, 1, n, D_MODEL, dtype=dtype))[1]
            for name in (dtype, str(dtype).removeprefix("torch.")):
                assert upper(units.cache_bytes(mixer, dtype=name, at=n, **SIZES)) == cache.nbytes


def test_forward_flops_are_the_terms_the_layer_applied(mixer, make_layer, draw):
    layer = make_layer(mixer, D_MODEL, HEADS, backend="torch")
    for n in (1, 9, 40):
        layer(draw(n, 1, n, D_MODEL))
        score = combine = 2 * WIDTH * HEADS * layer.last_terms.total
        assert units.flops(mixer, "forward", at=n, **SIZES) == score + combine
        assert units.flops(mixer, "forward", scores=False, at=n, **SIZES) == combine


def test_decode_flops_and_bytes_are_those_of_the_costliest_step(mixer, make_layer, draw):
    layer = make_layer(mixer, D_MODEL, HEADS, backend="torch")
    n = 24
    x, cache, executed, terms = draw(1, n, D_MODEL), layer.empty_cache(1), [], []
    for t in range(n):
        found = counted(lambda t=t: layer.step(x[t : t + 1], cache)) - projections(layer, 1)
        executed.append(found + 2 * WIDTH * HEADS * single_rows(layer.plan.step(t)))
        terms.append(cache.terms.total)
        assert executed[-1] == 4 * WIDTH * HEADS * terms[-1]
    assert units.flops(mixer, "decode", at=n, **SIZES) == max(executed)
    row = layer.cache_row_bytes
    moved = units.decode_bytes(mixer, dtype="float64", at=n, **SIZES)
    steps = [layer.plan.step(t) for t in range(n)]
    written = any(s.input_slot != NO_SLOT for s in steps) + any(s.output_slot != NO_SLOT for s in steps)
    assert moved == (max(terms) + written) * row


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_forward_executes_at_least_the_necessary_flops(mixer, backend, make_layer, draw, record_property):
    layer = make_layer(mixer, D_MODEL, HEADS, backend=backend)
    n = 40
    x = draw(2, 1, n, D_MODEL)
    layer(x)
    executed = counted(lambda: layer(x)) - projections(layer, n)
    necessary = units.flops(mixer, "forward", at=n, **SIZES)
    if backend == "reference" and mixer.readout is not None:
        # The oracle makes one dense matrix of scores for all parts; a pair in several is scored once.
        necessary = units.flops(mixer, "forward", scores=False, at=n, **SIZES)
    if backend == "torch" and sums_of_one_row(mixer, n):
        necessary = 0
    assert executed >= necessary
    record_property("excess_flops_of_dense_panels", executed - necessary)


def test_backward_executes_at_least_the_necessary_flops(sparse_mixer, make_layer, draw, record_property):
    layer = make_layer(sparse_mixer, D_MODEL, HEADS, backend="torch")
    n = 40
    y = layer(draw(3, 1, n, D_MODEL).requires_grad_())
    executed = counted(lambda: y.sum().backward()) - 2 * projections(layer, n)
    necessary = 0 if sums_of_one_row(sparse_mixer, n) else units.flops(sparse_mixer, "backward", at=n, **SIZES)
    assert executed >= necessary
    record_property("excess_flops_of_dense_panels", executed - necessary)


def test_the_excess_of_dense_panels_is_what_zeros_cost(make_layer, draw):
    mixer = glm.Mixer(direct=glm.Dense())
    layer, n = make_layer(mixer, D_MODEL, HEADS, backend="reference"), 16
    x = draw(4, 1, n, D_MODEL)
    executed = counted(lambda: layer(x)) - projections(layer, n)
    necessary = units.flops(mixer, "forward", at=n, **SIZES)
    zeros_of_scores_and_of_a = 2 * (2 * WIDTH * HEADS) * (n * (n - 1) // 2)
    solve_of_zero_b = WIDTH * HEADS * n * (n - 1)
    assert executed - necessary == zeros_of_scores_and_of_a + solve_of_zero_b
