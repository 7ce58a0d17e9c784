"""One decode step on CPU as one compiled loop over batch, heads and the rows the step reads.

The formulas are those of :mod:`glmix_theory.export.stepping`, its plain form, which the tests hold against
this one and both against the forward. The outer loop of a part runs over slots and the inner one over heads,
so the storage is read in the order it lies in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from glmix_theory.complexity.slots import NO_SLOT, Steps
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.kernels.weights import CHACAL, DELTA, FIXED, GATED, SIGNED, SOFTMAX
from glmix_theory.export.kinds import KINDS
from glmix_theory.export.stepping import Rule

# Sums may be reordered, which lets loops use vectors; NaN must stay NaN, as poisoned rows rely on it.
_compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")
_NO_CLASSES = np.zeros(0, dtype=np.int64)


def step(
    rule: Rule,
    place: int,
    steps: Steps,
    classes: tuple[np.ndarray, ...],
    own: Inputs,
    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """One step of a cache: reads its slots, writes the new rows, and returns ``z`` ``(batch, heads, width)``.

    Parameters
    ----------
    rule : Rule
        Of the layer.
    place : int
        Which of the steps it is.
    steps : Steps
        A block of the plan.
    classes : tuple of int64 arrays
        Lag classes of the reads of each part; empty without a bias.
    own : Inputs
        Of the new position, ``n = 1``.
    tensors : (storage, decays, total)
        Of the cache, fp32 or fp64 on the CPU; changed in place.
    """
    storage, decays, total = tensors
    z = torch.empty(own.v.shape[0], rule.heads, rule.projected.width, dtype=storage.dtype)
    given = [_array(rows, storage) for rows in (own.v, own.q, own.k, own.gate, own.write)]
    bias = _NO_BIAS[storage.dtype] if own.bias is None else own.bias.detach().to(storage.dtype).numpy()
    reads: list[Any] = []
    for number, part in enumerate((steps.direct, steps.recurrent, steps.readout)):
        low, high = (0, 0) if part is None else part.indptr[place : place + 2].tolist()
        reads += [
            _NO_CLASSES if part is None else part.slots[low:high],
            classes[number][low:high] if own.bias is not None else _NO_CLASSES,
        ]
    slots = int(steps.input_slots[place]), int(steps.output_slots[place])
    held = storage.numpy(), decays.numpy(), total.numpy()
    if rule.projected.expanded:
        _state_step(*given, bias, *reads, *slots, *held, rule.read_once, z.numpy())
    else:
        kind = KINDS.index(rule.projected.kind)
        _row_step(kind, rule.mixer.readout is not None, *given, bias, *reads, *slots, held[0], z.numpy())
    return z.to(own.v.dtype)


def _array(rows: torch.Tensor | None, like: torch.Tensor) -> np.ndarray:
    """``(batch, heads, ·)``, contiguous, in the cache's dtype; nothing wide where the tensor is absent."""
    if rows is None:
        return _ABSENT[like.dtype]
    array: np.ndarray = rows.detach().squeeze(2).to(like.dtype).contiguous().numpy()
    return array


_ABSENT = {dtype: np.zeros((0, 0, 0), dtype=name) for dtype, name in ((torch.float32, "f4"), (torch.float64, "f8"))}
_NO_BIAS = _ABSENT


@_compiled
def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + np.exp(-x))
    power = np.exp(x)
    return power / (1.0 + power)


@_compiled
def _log_sigmoid(x: float) -> float:
    return min(x, 0.0) - np.log1p(np.exp(-abs(x)))


@_compiled
def _softmax(scores: np.ndarray, start: int, stop: int) -> None:
    """In place, over a range; nothing to do for an empty one."""
    if start == stop:
        return
    top = scores[start]
    for j in range(start, stop):
        top = max(top, scores[j])
    whole = scores[start] * 0
    for j in range(start, stop):
        scores[j] = np.exp(scores[j] - top)
        whole += scores[j]
    for j in range(start, stop):
        scores[j] /= whole


@_compiled
def _signed(scores: np.ndarray, start: int, stop: int) -> None:
    if start == stop:
        return
    top = abs(scores[start])
    for j in range(start, stop):
        top = max(top, abs(scores[j]))
    whole = scores[start] * 0
    for j in range(start, stop):
        up, down = np.exp(scores[j] - top), np.exp(-scores[j] - top)
        scores[j] = up - down
        whole += up + down
    for j in range(start, stop):
        scores[j] /= whole


@_compiled
def _fixed(scores: np.ndarray, start: int, stop: int) -> None:
    whole = 0.0
    for j in range(start, stop):
        whole += abs(scores[j])
    for j in range(start, stop):
        scores[j] /= max(1.0, whole)


@_compiled
def _score(kind, q, k, bias, part, slots, classes, storage, b, scale, scores, start):  # type: ignore[no-untyped-def]
    """``scale · q_h · k_s + bias`` of every head and source into ``scores[h, start:]``; the bias alone for fixed."""
    heads, d, zero = scores.shape[0], q.shape[2], scores[0, 0] * 0
    for j in range(len(slots)):
        slot = slots[j]
        for h in range(heads):
            value = zero  # of the storage's dtype: one fp64 number would slow the loop
            if kind != FIXED:
                if slot == NO_SLOT:
                    for c in range(d):
                        value += q[b, h, c] * k[b, h, c]
                else:
                    for c in range(d):
                        value += q[b, h, c] * storage[slot, b, h, 0, c]
                value *= scale[0]
            if len(classes):
                value += bias[part, h, classes[j]]
            scores[h, start + j] = value


@_compiled
def _combine(weights, start, slots, own, storage, b, factor, out):  # type: ignore[no-untyped-def]
    """Add ``factor[h, c] · weight · value`` of every source to ``out[h, c]``; ``own`` is the row of the position."""
    heads, width = out.shape
    last = storage.shape[3] - 1
    for j in range(len(slots)):
        slot = slots[j]
        for h in range(heads):
            weight = weights[h, start + j]
            if slot == NO_SLOT:
                for c in range(width):
                    out[h, c] += weight * factor[h, c] * own[h, c]
            else:
                for c in range(width):
                    out[h, c] += weight * factor[h, c] * storage[slot, b, h, last, c]


@_compiled
def _row_step(  # type: ignore[no-untyped-def]
    kind, has_readout, v, q, k, gate, write, bias, direct, direct_classes, recurrent, recurrent_classes,
    readout, readout_classes, input_slot, output_slot, storage, z,
):  # fmt: skip
    batch, heads, width = v.shape
    number, joint = len(direct), len(direct) + len(recurrent)
    scores = np.zeros((heads, max(joint, len(readout)) + 1), dtype=v.dtype)
    one, kept, written = np.ones_like(z[0]), np.ones_like(z[0]), np.ones_like(z[0])
    y = np.empty_like(z[0])
    scale = np.full(1, 1.0 if kind == DELTA else 1.0 / np.sqrt(max(1, q.shape[2])), dtype=v.dtype)
    for b in range(batch):
        _score(kind, q, k, bias, 0, direct, direct_classes, storage, b, scale, scores, 0)
        _score(
            kind,
            k if kind == DELTA else q,
            k,
            bias,
            1,
            recurrent,
            recurrent_classes,
            storage,
            b,
            scale,
            scores,
            number,
        )
        for h in range(heads):
            row = scores[h]
            if kind == SOFTMAX:
                _softmax(row, 0, joint)
            elif kind == SIGNED:
                _signed(row, 0, joint)
            elif kind == FIXED:
                _fixed(row, 0, joint)
            elif kind == DELTA:
                strength = _sigmoid(write[b, h, 0])
                for j in range(number):
                    row[j] = strength
                for j in range(number, joint):
                    row[j] *= -strength
            elif kind == CHACAL and not has_readout:
                on_direct, on_recurrent = _log_sigmoid(-gate[b, h, 0]), _log_sigmoid(gate[b, h, 0])
                for j in range(joint):
                    row[j] += on_direct if j < number else on_recurrent
                _softmax(row, 0, joint)
            else:
                last = joint
                if kind == CHACAL:  # the own position takes a share that is left out
                    row[joint] = 0
                    for c in range(q.shape[2]):
                        row[joint] += scale[0] * q[b, h, c] * k[b, h, c]
                    last += 1
                _softmax(row, 0, number)
                _softmax(row, number, last)
                for c in range(width):
                    a = _sigmoid(gate[b, h, c if gate.shape[2] > 1 else 0])
                    kept[h, c] = a
                    written[h, c] = 1.0 - a if kind == GATED else 1.0
        y[:] = 0
        _combine(scores, 0, direct, v[b], storage, b, written, y)
        _combine(scores, number, recurrent, v[b], storage, b, kept, y)
        if has_readout:
            _score(kind, q, k, bias, 2, readout, readout_classes, storage, b, scale, scores, 0)
            for h in range(heads):
                row = scores[h]
                if kind == SIGNED:
                    _signed(row, 0, len(readout))
                elif kind == FIXED:
                    _fixed(row, 0, len(readout))
                elif kind != DELTA:
                    _softmax(row, 0, len(readout))
                if kind == CHACAL:
                    for j in range(len(readout)):
                        row[j] *= 1.0 - kept[h, 0]
            z[b] = 0
            _combine(scores, 0, readout, y, storage, b, one, z[b])
        else:
            z[b] = y
        last = storage.shape[3] - 1
        for h in range(heads):
            for c in range(width):
                if input_slot != NO_SLOT:
                    storage[input_slot, b, h, last, c] = v[b, h, c]
                    if last:
                        storage[input_slot, b, h, 0, c] = k[b, h, c]
                if output_slot != NO_SLOT:
                    storage[output_slot, b, h, last, c] = y[h, c]
                    if last:
                        storage[output_slot, b, h, 0, c] = k[b, h, c]


@_compiled
def _state_step(  # type: ignore[no-untyped-def]
    v, q, k, gate, write, bias, direct, direct_classes, recurrent, recurrent_classes,
    readout, readout_classes, input_slot, output_slot, storage, decays, total, read_once, z,
):  # fmt: skip
    batch, heads, width = v.shape
    rows, gates, kept_sums = k.shape[2], gate.shape[2], decays.shape[3]
    shares = np.zeros(max(len(direct), len(recurrent), 1), dtype=v.dtype)
    state = np.empty((rows, width), dtype=v.dtype)
    along, fading = np.empty(width, dtype=v.dtype), np.ones(rows, dtype=v.dtype)
    u, last_kept = np.empty(rows, dtype=v.dtype), np.ones(rows, dtype=v.dtype)
    for b in range(batch):
        for h in range(heads):
            for g in range(kept_sums):
                total[b, h, g] += _log_sigmoid(np.float64(gate[b, h, g]))
            if gates:
                for i in range(rows):
                    last_kept[i] = _sigmoid(gate[b, h, i if gates > 1 else 0])
            strength = _sigmoid(write[b, h, 0]) if write.shape[2] else 1.0
            for i in range(rows):
                u[i] = strength * k[b, h, i]
            state[:] = 0
            for j in range(len(recurrent)):
                shares[j] = bias[1, h, recurrent_classes[j]] if len(recurrent_classes) else 0.0
            if read_once:
                shares[: len(recurrent)] = 1
            else:
                _softmax(shares, 0, len(recurrent))
            for j in range(len(recurrent)):
                slot = recurrent[j]
                _fade(fading, last_kept, decays, total, slot, b, h)
                for i in range(rows):
                    weight = shares[j] * fading[i]
                    for c in range(width):
                        state[i, c] += weight * storage[slot, b, h, i, c]
            if write.shape[2]:
                along[:] = 0
                for i in range(rows):
                    for c in range(width):
                        along[c] += k[b, h, i] * state[i, c]
                for i in range(rows):
                    for c in range(width):
                        state[i, c] -= u[i] * along[c]
            for j in range(len(direct)):
                shares[j] = bias[0, h, direct_classes[j]] if len(direct_classes) else 0.0
            _softmax(shares, 0, len(direct))
            for j in range(len(direct)):
                slot = direct[j]
                for i in range(rows):
                    for c in range(width):
                        row = u[i] * v[b, h, c] if slot == NO_SLOT else storage[slot, b, h, i, c]
                        state[i, c] += shares[j] * row
            for c in range(width):
                z[b, h, c] = 0
            for j in range(len(readout)):
                slot = readout[j]
                share = np.exp(bias[2, h, readout_classes[j]]) if len(readout_classes) else 1.0
                if slot != NO_SLOT:
                    _fade(fading, last_kept, decays, total, slot, b, h)
                for i in range(rows):
                    weight = share * q[b, h, i]
                    if slot == NO_SLOT:
                        for c in range(width):
                            z[b, h, c] += weight * state[i, c]
                    else:
                        weight *= fading[i]
                        for c in range(width):
                            z[b, h, c] += weight * storage[slot, b, h, i, c]
            if input_slot != NO_SLOT:
                for i in range(rows):
                    for c in range(width):
                        storage[input_slot, b, h, i, c] = u[i] * v[b, h, c]
            if output_slot != NO_SLOT:
                storage[output_slot, b, h] = state
                for g in range(kept_sums):
                    decays[output_slot, b, h, g] = total[b, h, g]


@_compiled
def _fade(fading, last_kept, decays, total, slot, b, h):  # type: ignore[no-untyped-def]
    """The decay of each state row from a slot's position to this step."""
    sums = decays.shape[3]
    for i in range(len(fading)):
        if sums == 0:
            fading[i] = last_kept[i]  # the slot is the step before
        elif sums == 1:
            fading[i] = np.exp(total[b, h, 0] - decays[slot, b, h, 0]) if i == 0 else fading[0]
        else:
            fading[i] = np.exp(total[b, h, i] - decays[slot, b, h, i])
