"""Sequences cut into chunks: the Triton backend against the reference, and the plan against brute force.

How many chunks there are is forced, as one multiprocessor never makes a cut worth while; interpreted, a block has
16 rows, and a chunk one or two of them.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory.export import availability, backends
from glmix_theory.export.backend import EdgeValues
from glmix_theory.export.backends import BACKENDS
from glmix_theory.export.structure import EdgeTable, structure_of
from glmix_theory.export.triton import BACKEND, kernels, launch, splitting
from tests.export.test_triton import CLOSE, DEVICE, check_mix, check_solve, on_device, without_edges_into

CACHE_EFFICIENT = glm.CacheEfficient(2**glm.k)
READ = glm.Mixer(direct=glm.Window(3), recurrent=CACHE_EFFICIENT, readout=glm.Window(3))
KINDS = ("softmax", "chacal", "signed", "gated", "fixed")

CROSSED = {
    "first order": glm.Lags([1]),
    "fifth order": glm.Window(6).strict(),
    "powers": CACHE_EFFICIENT,
    "squares": glm.CacheEfficient(glm.k**2 + 1),
    "across two cuts": glm.Lags([1, 20]),
    "of every age": glm.GlobalTokens(2).strict() | glm.Lags([3]),
    "drawn": glm.RandomSources(2, seed=3),
    "dense": glm.Dense().strict(),
    "nowhere": glm.Blocks(16).strict(),
}
"""Patterns by the outputs that are read across a cut."""


@pytest.fixture
def cut(monkeypatch):
    """``cut(chunks)`` forces the number of chunks; the chunks of every solve are listed in ``cut.done``."""
    original, done = launch.run, []

    def run(kernel, work, grid, *arguments, **options):
        if kernel in (kernels.solve, kernels.solve_adjoint):
            done.append(grid[2])
        original(kernel, work, grid, *arguments, **options)

    def force(chunks):
        monkeypatch.setattr(splitting, "chunks_of", lambda work, width, live: chunks)

    force.done = done
    monkeypatch.setattr(launch, "run", run)
    return force


# --- against the reference ------------------------------------------------------------------------------


@pytest.mark.parametrize("crossed", [glm.Mixer(recurrent=glm.Lags([1, 20])), READ], ids=["plain", "readout"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind, crossed, cut, draw_inputs):
    """Three chunks, the last of half a block; forward, then ``T`` again and the backward."""
    cut(3)
    check_mix(structure_of(crossed, 40), kind, draw_inputs(crossed, kind, 2, heads=1, n=40, d=5))
    assert cut.done == [3, 3, 3]


@pytest.mark.parametrize("readout", [None, glm.Window(2)])
def test_delta(readout, cut, draw_inputs):
    cut(3)
    mixer = glm.Mixer(recurrent=glm.Dense().strict(), readout=readout, coefficients="delta")
    check_mix(structure_of(mixer, 34), "delta", draw_inputs(mixer, "delta", 3, heads=1, n=34))
    assert cut.done == [3, 3, 3]


@pytest.mark.parametrize(("n", "chunks"), [(33, 3), (40, 2), (47, 3)])
@pytest.mark.parametrize("name", CROSSED)
def test_given_coefficients(name, n, chunks, cut, draw):
    """Cuts at multiples of a block or of two, and last chunks of 1, 8 and 15 rows."""
    cut(chunks)
    check_solve(glm.Mixer(recurrent=CROSSED[name]), n, draw)
    assert cut.done == [chunks] * 3


def test_several_sequences_and_heads(cut, draw_inputs):
    cut(2)
    inputs = draw_inputs(READ, "softmax", 4, batch=2, heads=2, n=33, width=17)
    check_mix(structure_of(READ, 33), "softmax", inputs)
    assert cut.done == [2, 2, 2]


PAIRS = st.tuples(st.integers(0, 47), st.integers(0, 47)).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # interpreted, examples take too long to shrink
@given(pairs=st.sets(PAIRS, min_size=1, max_size=40), chunks=st.integers(2, 3))
def test_any_graph(pairs, chunks, draw):
    mixer = glm.Mixer(recurrent=glm.Explicit({(max(pair), min(pair)) for pair in pairs}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "chunks_of", lambda work, width, live: chunks)
        check_solve(mixer, 48, draw)


@pytest.mark.parametrize("known", [1, 5, 19])
def test_known_rows_are_read_across_cuts(known, cut, draw_inputs):
    structure = structure_of(READ, 44)
    inputs = on_device(draw_inputs(READ, "softmax", 7, n=44).map(torch.Tensor.float))
    whole = BACKEND.mix(structure, "softmax", inputs)
    cut(2)
    given = replace(inputs, outputs=whole.y[:, :, :known, None])
    rest = BACKEND.mix(without_edges_into(structure, known), "softmax", given)
    assert cut.done == [1, 2]
    torch.testing.assert_close(rest.y, whole.y, **CLOSE)
    torch.testing.assert_close(rest.z[:, :, known:], whole.z[:, :, known:], **CLOSE)


def test_transfers_that_cancel_lose_nothing(cut, draw):
    """Equal keys and strength 1 of the delta rule: powers of ``B`` reach 10^8, its inverse has two diagonals."""
    cut(2)
    n = 32
    x = draw(1, 1, 1, n, 3).float()
    ones = torch.ones(1, 1, n * (n - 1) // 2)
    values = EdgeValues(torch.ones(1, 1, n).to(DEVICE), -ones.to(DEVICE), None, x.to(DEVICE))
    expected = x - torch.cat([torch.zeros(1, 1, 1, 3), x[:, :, :-1]], dim=2)
    found = BACKEND.solve(structure_of(glm.Mixer(recurrent=glm.Dense().strict()), n), values)
    torch.testing.assert_close(found.z.cpu(), expected, **CLOSE)


def test_half_precision_sums_in_single(cut, draw_inputs):
    inputs = on_device(draw_inputs(READ, "softmax", 9, n=40, dtype=torch.bfloat16))
    structure = structure_of(READ, 40)
    whole = BACKEND.mix(structure, "softmax", inputs)
    cut(3)
    split = BACKEND.mix(structure, "softmax", inputs)
    step = torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(split.z, whole.z, rtol=2 * step, atol=2 * step)


def test_it_runs_behind_the_door(cut, monkeypatch, draw):
    """Through the torch operator of given coefficients, with its gradient."""
    monkeypatch.setitem(BACKENDS, "triton", availability.TRITON)
    monkeypatch.delitem(backends.MISSING, "triton", raising=False)
    cut(3)
    mixer, n = glm.Mixer(recurrent=CACHE_EFFICIENT), 40
    edges = [part.number for part in structure_of(mixer, n).parts]
    drawn = [draw(1, 1, 2, edges[0]), 0.4 * draw(2, 1, 2, edges[1]), draw(3, 1, 2, n, 3)]
    single = [tensor.float().to(DEVICE).requires_grad_() for tensor in drawn]
    exact = [tensor.detach().double().requires_grad_() for tensor in single]
    found = glm.solve(mixer, *single, backend="triton")
    expected = glm.solve(mixer, *exact, backend="reference")
    torch.testing.assert_close(found.double(), expected, **CLOSE)
    slopes = torch.autograd.grad(found.square().sum(), single)
    for got, gradient in zip(slopes, torch.autograd.grad(expected.square().sum(), exact)):
        scale = 1 + gradient.abs().max()
        torch.testing.assert_close(got.double() / scale, gradient / scale, **CLOSE)
    assert cut.done == [3, 3, 3]


# --- what is not split ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 10, 16])
def test_a_sequence_of_one_block_stays_whole(n, cut, draw):
    cut(4)
    check_solve(glm.Mixer(recurrent=CACHE_EFFICIENT), n, draw)
    assert cut.done == [1, 1]


def test_gates_per_channel_and_segments_stay_whole(cut, draw_inputs):
    cut(2)
    mixer = glm.Mixer(recurrent=CACHE_EFFICIENT)
    check_mix(structure_of(mixer, 33), "gated", draw_inputs(mixer, "gated", 5, heads=1, n=33, wide=True))
    segments = torch.tensor([[0, 0, 33], [1, 2, 34]])
    inputs = replace(draw_inputs(mixer, "softmax", 5, batch=2, heads=1, n=35), segments=segments)
    check_mix(structure_of(mixer, 33), "softmax", inputs)
    assert cut.done == [1, 1, 1, 1]


# --- how many chunks ------------------------------------------------------------------------------------


@pytest.fixture
def chunks_for(monkeypatch):
    """Chunks of a call on a device with 132 multiprocessors, blocks of 64 rows."""
    monkeypatch.setattr(launch, "multiprocessors", lambda device: 132)

    def run(pattern, n, sequences, width=64):
        device = torch.device("cpu")
        segments = torch.zeros(sequences, 3, dtype=torch.int64)
        work = launch.Work(sequences, 1, n, n, 0, segments, device, torch.bfloat16)
        return splitting.chunks_of(work, width, splitting.live_rows(EdgeTable.of(pattern, n), 0, 64))

    return run


def test_few_long_sequences_are_split_and_many_are_not(chunks_for):
    chunks = [chunks_for(CACHE_EFFICIENT, 16384, sequences) for sequences in (1, 4, 16, 64, 256)]
    assert chunks == sorted(chunks, reverse=True)
    assert chunks[0] > 8
    assert chunks[-1] == 1


def test_chunks_have_four_blocks_and_are_32_at_most(chunks_for):
    for n in (64, 256, 500, 1024, 4096, 16384, 131072):
        assert 1 <= chunks_for(glm.Lags([1]), n, 1) <= min(32, max(1, n // 64 // 4))
    assert chunks_for(glm.Lags([1]), 256, 1) == 1
    assert chunks_for(glm.Lags([1]), 131072, 1, width=16) == 32


def test_outputs_that_cross_decide(chunks_for):
    """All of ``2^k``'s stay live; a window's do as far as it reaches; blocks that meet at the cuts share none."""
    assert chunks_for(glm.Offsets(2**glm.k), 8192, 1) == 1
    assert chunks_for(glm.Window(65).strict(), 8192, 1) > 1
    assert chunks_for(glm.Window(66).strict(), 8192, 1) == 1
    assert chunks_for(glm.Blocks(512).strict(), 8192, 1) > 1


# --- the plan -------------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 40),
    pairs=st.sets(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60),
    start=st.integers(0, 5),
    block=st.integers(1, 5),
    size=st.integers(1, 4),
)
def test_slots_hold_the_rows_that_cross_every_cut(n, pairs, start, block, size):
    """Slots are filled cut by cut as the plan says, and compared with the rows that edges cross with."""
    start = min(start, n - 1)
    edges = [(max(pair), min(pair)) for pair in pairs if max(pair) < n and pair[0] != pair[1] and max(pair) >= start]
    table = EdgeTable.of(glm.Explicit(edges), n)
    split = splitting.split_of(table, start, block, size, torch.device("cpu"))
    assert split.chunks == -(-(n - start) // (size * block))
    entering, cuts, places, held = (t.numpy() for t in (split.entering, split.cuts, split.places, split.held))
    live = splitting.live_rows(table, start, block)
    content = np.full(split.slots, -1)
    most = 0
    for cut in range(split.chunks - 1):
        boundary = start + (cut + 1) * size * block
        content = np.where(held[cut] > 0, content, -1)
        new = cuts == cut
        assert (content[places[new]] == -1).all()
        assert ((entering[new] >= boundary - size * block) | (cut == 0)).all()
        content[places[new]] = entering[new]
        crossing = {s for t, s in edges if s < boundary <= t}
        assert set(content[content >= 0].tolist()) == crossing
        assert (content >= 0).sum() == len(crossing) == live[(cut + 1) * size]
        assert all(content[split.slot[s]] == s for s in crossing)
        most = max(most, len(crossing))
    assert len(set(places.tolist())) == most
    assert split.slots == 16 * max(1, -(-most // 16))
