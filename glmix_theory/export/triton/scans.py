"""First-order recurrences with a gate per channel: ``y_t = a_t ⊙ y_{t-1} + u_t``, by a scan over blocks."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# Arguments of kernels are handles of Triton's compiler.
from __future__ import annotations

import triton
import triton.language as tl

from glmix_theory.export.triton.tiles import sequence


@triton.jit
def composed(gate, row, next_gate, next_row):
    """Two steps as one: ``y → a y + u``, then ``y → a' y + u'``."""
    return gate * next_gate, next_gate * row + next_row


@triton.jit
def scan(segments_ptr, begin, gate_ptr, input_ptr, y_ptr, width, heads, n, BLOCK: tl.constexpr, BLOCK_W: tl.constexpr):
    """The outputs of all positions; a program owns a sequence, a head and ``BLOCK_W`` channels."""
    batch, head, start, length = sequence(segments_ptr, heads)
    wide = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    lane = tl.arange(0, BLOCK)
    offset = ((batch * heads + head) * n + start) * width
    gate_ptr += offset
    input_ptr += offset
    y_ptr += offset
    carried = tl.load(y_ptr + (begin - 1) * width + wide, mask=(wide < width) & (begin > 0), other=0.0)
    for block in range(tl.cdiv(length - begin, BLOCK)):
        place = begin + block * BLOCK + lane
        mask = (place < length)[:, None] & (wide < width)[None, :]
        address = place[:, None].to(tl.int64) * width + wide[None, :]
        gate = tl.load(gate_ptr + address, mask=mask & (place > 0)[:, None], other=0.0)
        row = tl.load(input_ptr + address, mask=mask, other=0.0)
        gate, row = tl.associative_scan((gate, row), 0, composed)
        y = row + gate * carried[None, :]
        tl.store(y_ptr + address, y, mask=mask)
        carried = tl.sum(tl.where((lane == BLOCK - 1)[:, None], y, 0.0), 0)


@triton.jit
def scan_adjoint(segments_ptr, gate_ptr, adjoint_ptr, width, heads, n, BLOCK: tl.constexpr, BLOCK_W: tl.constexpr):
    """``λ_t = g_t + a_{t+1} ⊙ λ_{t+1}`` in place of ``g``, from the last block to the first."""
    batch, head, start, length = sequence(segments_ptr, heads)
    wide = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    lane = tl.arange(0, BLOCK)
    offset = ((batch * heads + head) * n + start) * width
    gate_ptr += offset
    adjoint_ptr += offset
    carried = tl.zeros([BLOCK_W], tl.float32)
    last = tl.cdiv(length, BLOCK) - 1
    for step in range(last + 1):
        place = (last - step) * BLOCK + lane
        mask = (place < length)[:, None] & (wide < width)[None, :]
        address = place[:, None].to(tl.int64) * width + wide[None, :]
        later = mask & (place + 1 < length)[:, None]
        gate = tl.load(gate_ptr + address + width, mask=later, other=0.0)
        row = tl.load(adjoint_ptr + address, mask=mask, other=0.0)
        gate, row = tl.associative_scan((gate, row), 0, composed, reverse=True)
        adjoint = row + gate * carried[None, :]
        tl.store(adjoint_ptr + address, adjoint, mask=mask)
        carried = tl.sum(tl.where((lane == 0)[:, None], adjoint, 0.0), 0)
