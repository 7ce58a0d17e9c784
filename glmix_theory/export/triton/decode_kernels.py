"""The kernels of a decode step: one program for a sequence and a head, one launch for all of them.

Each program counts its own steps, so a launch has the same arguments at every step and a CUDA graph can
repeat it. A program walks all terms of its step: where the step cost grows with ``n``, so does the latency.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl

from glmix_theory.export.kinds import KINDS
from glmix_theory.export.triton.tiles import NOTHING, PLAIN, SINH

SOFTMAX: tl.constexpr = tl.constexpr(KINDS.index("softmax"))
CHACAL: tl.constexpr = tl.constexpr(KINDS.index("chacal"))
SIGNED: tl.constexpr = tl.constexpr(KINDS.index("signed"))
GATED: tl.constexpr = tl.constexpr(KINDS.index("gated"))
FIXED: tl.constexpr = tl.constexpr(KINDS.index("fixed"))
DELTA: tl.constexpr = tl.constexpr(KINDS.index("delta"))


@triton.jit
def log_sigmoid(x):
    """``log σ(x)`` without overflow."""
    return tl.minimum(x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def log_add(a, b):
    """``log(exp a + exp b)`` of two numbers."""
    top = tl.maximum(a, b)
    return top + tl.log(tl.exp(a - top) + tl.exp(b - top))


# fmt: off
@triton.jit
def read_slots(
    limits_ptr, slots_ptr, classes_ptr, step, query, scale, own_key, own_value, storage_ptr, slot_size,
    stored, bias_ptr, wide, width,
    WEIGHT: tl.constexpr, HAS_DOT: tl.constexpr, HAS_BIAS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """Statistic of the scores of a part's sources, and the mean of their values by weight (see ``attend``)."""
    top = tl.full([], NOTHING, tl.float32)
    total = tl.full([], 0.0, tl.float32)
    sums = tl.zeros([BLOCK_W], tl.float32)
    high = tl.load(limits_ptr + step + 1)
    for low in range(tl.load(limits_ptr + step), high, BLOCK_M):
        place = low + tl.arange(0, BLOCK_M)
        there = place < high
        slots = tl.load(slots_ptr + place, mask=there, other=-1)
        held = (there & (slots >= 0))[:, None] & (wide < width)[None, :]
        address = storage_ptr + slots.to(tl.int64)[:, None] * slot_size + wide[None, :]
        own = (slots < 0)[:, None]
        scores = tl.zeros([BLOCK_M], tl.float32)
        if HAS_DOT:
            keys = tl.load(address, mask=held, other=0.0).to(tl.float32)
            scores = tl.sum(tl.where(own, own_key[None, :], keys) * query[None, :], 1) * scale
        if HAS_BIAS:
            scores += tl.load(bias_ptr + tl.load(classes_ptr + place, mask=there, other=0)).to(tl.float32)
        values = tl.load(address + (stored - 1) * width, mask=held, other=0.0).to(tl.float32)
        values = tl.where(own, own_value[None, :], values)
        if WEIGHT <= SINH:  # exponentials, summed relative to the largest
            sizes = tl.abs(scores) if WEIGHT == SINH else scores
            higher = tl.maximum(top, tl.max(tl.where(there, sizes, NOTHING), 0))
            fade = tl.exp(top - higher)
            weights = tl.where(there, tl.exp(tl.where(there, scores - higher, 0.0)), 0.0)
            counted = weights
            if WEIGHT == SINH:
                falling = tl.where(there, tl.exp(tl.where(there, -scores - higher, 0.0)), 0.0)
                counted, weights = 0.5 * (weights + falling), 0.5 * (weights - falling)
            total = total * fade + tl.sum(counted, 0)
            sums *= fade
            top = higher
        else:
            weights = tl.where(there, scores, 0.0)
            total += tl.sum(tl.abs(weights), 0)
        sums += tl.sum(weights[:, None] * tl.where(there[:, None], values, 0.0), 0)
    statistic = tl.full([], NOTHING, tl.float32)
    if WEIGHT != PLAIN:
        divisor = tl.where(total > 0, total, 1.0)
        sums = sums / divisor
        base = top if WEIGHT <= SINH else 0.0
        statistic = tl.where(total > 0, base + tl.log(divisor), NOTHING)
    return statistic, sums


# fmt: off
@triton.jit
def row_step(
    position_ptr, direct_ptr, direct_slots_ptr, direct_classes_ptr,
    recurrent_ptr, recurrent_slots_ptr, recurrent_classes_ptr,
    readout_ptr, readout_slots_ptr, readout_classes_ptr, input_ptr, output_ptr,
    v_ptr, q_ptr, k_ptr, gate_ptr, gate_width, write_ptr, bias_ptr, classes,
    storage_ptr, slot_size, stored, z_ptr, heads, width, scale,
    KIND: tl.constexpr, WEIGHT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_GATE: tl.constexpr, HAS_READOUT: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """One position with one row per position: the formulas of ``glmix_theory.export.kinds``."""
    program = tl.program_id(0)
    head = program % heads
    step = tl.load(position_ptr + program)
    wide = tl.arange(0, BLOCK_W)
    inside = wide < width
    v = tl.load(v_ptr + program * width + wide, mask=inside, other=0.0).to(tl.float32)
    q = tl.load(q_ptr + program * width + wide, mask=inside & HAS_KEY, other=0.0).to(tl.float32)
    k = tl.load(k_ptr + program * width + wide, mask=inside & HAS_KEY, other=0.0).to(tl.float32)
    storage_ptr += program.to(tl.int64) * stored * width
    gate = tl.zeros([BLOCK_W], tl.float32)
    if HAS_GATE:  # a gate of one number is read into every channel
        channel = tl.where(gate_width > 1, wide, 0)
        gate = tl.load(gate_ptr + program * gate_width + channel, mask=inside, other=0.0).to(tl.float32)
    kept, left = log_sigmoid(gate), log_sigmoid(-gate)
    own_scale = scale
    left_query = q
    if KIND == DELTA:
        strength = tl.sigmoid(tl.load(write_ptr + program).to(tl.float32))
        left_query, own_scale = -strength * k, 1.0
    else:
        direct, mean = read_slots(
            direct_ptr, direct_slots_ptr, direct_classes_ptr, step, q, scale, k, v, storage_ptr, slot_size, stored,
            bias_ptr + head * classes, wide, width, WEIGHT, HAS_KEY, HAS_BIAS, BLOCK_M, BLOCK_W,
        )
    recurrent, past = read_slots(
        recurrent_ptr, recurrent_slots_ptr, recurrent_classes_ptr, step, left_query, own_scale, k, v, storage_ptr,
        slot_size, stored, bias_ptr + (heads + head) * classes, wide, width,
        WEIGHT, HAS_KEY, HAS_BIAS, BLOCK_M, BLOCK_W,
    )
    if KIND == DELTA:
        y = strength * v + past
    elif KIND == GATED:
        y = tl.exp(left) * mean + tl.exp(kept) * past
    elif KIND == CHACAL and HAS_READOUT:
        own = tl.sum(q * k, 0) * scale
        y = mean + tl.exp(kept + recurrent - log_add(recurrent, own)) * past
    elif KIND == CHACAL:
        joint = log_add(direct + left, recurrent + kept)
        y = tl.exp(direct + left - joint) * mean + tl.exp(recurrent + kept - joint) * past
    else:
        joint = log_add(direct, recurrent)
        if KIND == FIXED:
            joint = tl.maximum(joint, 0.0)
        y = tl.exp(direct - joint) * mean + tl.exp(recurrent - joint) * past
    z = y
    if HAS_READOUT:
        statistic, z = read_slots(
            readout_ptr, readout_slots_ptr, readout_classes_ptr, step, q, own_scale, k, y, storage_ptr, slot_size,
            stored, bias_ptr + (2 * heads + head) * classes, wide, width, WEIGHT, HAS_KEY, HAS_BIAS, BLOCK_M, BLOCK_W,
        )
        if KIND == CHACAL:
            z *= tl.exp(left)
        elif KIND == FIXED:
            z *= tl.exp(tl.minimum(statistic, 0.0))
    tl.store(z_ptr + program * width + wide, z, mask=inside)
    tl.debug_barrier()  # a slot may be written in the step that reads it last
    for part in tl.static_range(0, 2):
        slot = tl.load((output_ptr if part else input_ptr) + step).to(tl.int64)
        address = storage_ptr + slot * slot_size + wide
        if HAS_KEY:
            tl.store(address, k, mask=inside & (slot >= 0))
        tl.store(address + (stored - 1) * width, y if part else v, mask=inside & (slot >= 0))
    tl.store(position_ptr + program, step + 1)


# fmt: off
@triton.jit
def share_of(
    limits_ptr, classes_ptr, step, bias_ptr, HAS_BIAS: tl.constexpr, SOLE: tl.constexpr, BLOCK_M: tl.constexpr,
):
    # fmt: on
    """Logarithm of the sum of ``exp(bias)`` over a part's sources; 0 where an output has a sole reader."""
    total = tl.full([], 0.0, tl.float32)
    if not SOLE:
        low, high = tl.load(limits_ptr + step), tl.load(limits_ptr + step + 1)
        total = (high - low).to(tl.float32)
        if HAS_BIAS:
            top = tl.full([], NOTHING, tl.float32)
            total = tl.full([], 0.0, tl.float32)
            for start in range(low, high, BLOCK_M):
                place = start + tl.arange(0, BLOCK_M)
                there = place < high
                bias = tl.load(bias_ptr + tl.load(classes_ptr + place, mask=there, other=0)).to(tl.float32)
                higher = tl.maximum(top, tl.max(tl.where(there, bias, NOTHING), 0))
                total = total * tl.exp(top - higher) + tl.sum(
                    tl.where(there, tl.exp(tl.where(there, bias - higher, 0.0)), 0.0), 0
                )
                top = higher
            total = tl.log(tl.where(total > 0, total, 1.0)) + tl.where(total > 0, top, 0.0)
        else:
            total = tl.log(tl.where(total > 0, total, 1.0))
    return total


# fmt: off
@triton.jit
def read_states(
    limits_ptr, slots_ptr, classes_ptr, step, own, storage_ptr, slot_size, cell, inside, bias_ptr, share,
    gate, sums_ptr, sum_size, total, deep, decays,
    HAS_BIAS: tl.constexpr, WEIGHTED: tl.constexpr, FADING: tl.constexpr, HAS_SUMS: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """Weighted, decayed sum of the states of a part's sources."""
    result = tl.zeros([BLOCK_R, BLOCK_W], tl.float32)
    for place in range(tl.load(limits_ptr + step), tl.load(limits_ptr + step + 1)):
        slot = tl.load(slots_ptr + place).to(tl.int64)
        weight = -share
        if HAS_BIAS and WEIGHTED:
            weight += tl.load(bias_ptr + tl.load(classes_ptr + place)).to(tl.float32)
        factor = tl.exp(weight)
        held = tl.load(storage_ptr + slot * slot_size + cell, mask=inside & (slot >= 0), other=0.0).to(tl.float32)
        if FADING:
            if HAS_SUMS:
                which = tl.where(decays > 1, deep, 0)
                before = tl.load(sums_ptr + slot * sum_size + which, mask=(which < decays) & (slot >= 0), other=0.0)
                fade = tl.exp(total - before).to(tl.float32)
            else:
                fade = gate
            held *= fade[:, None]
        result += factor * tl.where(slot >= 0, held, own)
    return result


# fmt: off
@triton.jit
def state_step(
    position_ptr, direct_ptr, direct_slots_ptr, direct_classes_ptr,
    recurrent_ptr, recurrent_slots_ptr, recurrent_classes_ptr,
    readout_ptr, readout_slots_ptr, readout_classes_ptr, input_ptr, output_ptr,
    v_ptr, q_ptr, k_ptr, gate_ptr, gate_width, write_ptr, bias_ptr, classes,
    storage_ptr, slot_size, sums_ptr, sum_size, total_ptr, decays, z_ptr, heads, state, width,
    HAS_BIAS: tl.constexpr, HAS_GATE: tl.constexpr, HAS_WRITE: tl.constexpr, HAS_SUMS: tl.constexpr,
    SOLE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_W: tl.constexpr,
):
    # fmt: on
    """One position with state expansion."""
    program = tl.program_id(0)
    head = program % heads
    step = tl.load(position_ptr + program)
    deep, wide = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_W)
    inside = (deep < state)[:, None] & (wide < width)[None, :]
    cell = deep[:, None] * width + wide[None, :]
    v = tl.load(v_ptr + program * width + wide, mask=wide < width, other=0.0).to(tl.float32)
    q = tl.load(q_ptr + program * state + deep, mask=deep < state, other=0.0).to(tl.float32)
    k = tl.load(k_ptr + program * state + deep, mask=deep < state, other=0.0).to(tl.float32)
    storage_ptr += program.to(tl.int64) * state * width
    gate = tl.full([BLOCK_R], 1.0, tl.float32)
    total = tl.zeros([BLOCK_R], tl.float64)
    if HAS_GATE:
        channel = tl.where(gate_width > 1, deep, 0)
        logits = tl.load(gate_ptr + program * gate_width + channel, mask=deep < state, other=0.0)
        gate = tl.sigmoid(logits.to(tl.float32))
        if HAS_SUMS:
            sums_ptr += program.to(tl.int64) * decays
            which = tl.where(decays > 1, deep, 0)
            before = tl.load(total_ptr + program * decays + which, mask=which < decays, other=0.0)
            total = before + log_sigmoid(logits.to(tl.float64))
    written = k
    if HAS_WRITE:
        strength = tl.sigmoid(tl.load(write_ptr + program).to(tl.float32))
        written = strength * k
    own = written[:, None] * v[None, :]
    bias = bias_ptr + head * classes
    share = share_of(recurrent_ptr, recurrent_classes_ptr, step, bias + heads * classes, HAS_BIAS, SOLE, BLOCK_M)
    matrix = read_states(
        recurrent_ptr, recurrent_slots_ptr, recurrent_classes_ptr, step, own, storage_ptr, slot_size, cell, inside,
        bias + heads * classes, share, gate, sums_ptr, sum_size, total, deep, decays,
        HAS_BIAS, not SOLE, HAS_GATE, HAS_SUMS, BLOCK_R, BLOCK_W,
    )
    if HAS_WRITE:
        matrix -= written[:, None] * tl.sum(k[:, None] * matrix, 0)[None, :]
    share = share_of(direct_ptr, direct_classes_ptr, step, bias, HAS_BIAS, False, BLOCK_M)
    matrix += read_states(
        direct_ptr, direct_slots_ptr, direct_classes_ptr, step, own, storage_ptr, slot_size, cell, inside,
        bias, share, gate, sums_ptr, sum_size, total, deep, decays,
        HAS_BIAS, True, False, False, BLOCK_R, BLOCK_W,
    )
    read = read_states(
        readout_ptr, readout_slots_ptr, readout_classes_ptr, step, matrix, storage_ptr, slot_size, cell, inside,
        bias + 2 * heads * classes, 0.0, gate, sums_ptr, sum_size, total, deep, decays,
        HAS_BIAS, True, HAS_GATE, HAS_SUMS, BLOCK_R, BLOCK_W,
    )
    tl.store(z_ptr + program * width + wide, tl.sum(q[:, None] * read, 0), mask=wide < width)
    tl.debug_barrier()
    slot = tl.load(input_ptr + step).to(tl.int64)
    tl.store(storage_ptr + slot * slot_size + cell, own, mask=inside & (slot >= 0))
    slot = tl.load(output_ptr + step).to(tl.int64)
    tl.store(storage_ptr + slot * slot_size + cell, matrix, mask=inside & (slot >= 0))
    if HAS_SUMS:
        kept = (deep < decays) & (deep < state)
        tl.store(sums_ptr + slot * sum_size + deep, total, mask=kept & (slot >= 0))
        tl.store(total_ptr + program * decays + deep, total, mask=kept)
    tl.store(position_ptr + program, step + 1)
