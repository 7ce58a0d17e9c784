"""Decoding from exactly the rows the slot plan keeps: position by position, or a chunk at a time."""

from __future__ import annotations

import importlib
import weakref
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from glmix_theory.complexity.slots import NO_SLOT, Reads, SlotPlan, Steps
from glmix_theory.errors import CacheError, check_length
from glmix_theory.export.backend import Terms, working_dtype
from glmix_theory.export.inputs import Inputs
from glmix_theory.export.stepping import Part, Rule, lag_classes, row_step, state_step
from glmix_theory.patterns import Pattern

if TYPE_CHECKING:
    from glmix_theory.export.triton.decode import DeviceSteps

_TENSORS = ("storage", "decays", "total")

COMPILED: dict[str, frozenset[torch.dtype]] = {
    "numba": frozenset({torch.float32, torch.float64}),
    "triton": frozenset({torch.float32, torch.float16, torch.bfloat16}),
}
"""Backends with a decode step of their own, and the rows it takes; every other step is in plain torch."""


@cache
def _compiled(backend: str) -> Any:
    """The module with a backend's decode step, loaded when it is first run."""
    folder = {"numba": "kernels", "triton": "triton"}[backend]
    return importlib.import_module(f"glmix_theory.export.{folder}.decode")


class Cache:
    """The rows a layer still needs: one slot per live position.

    Claim: the storage has exactly ``plan.peak(max(position, horizon))`` slots; it grows when the plan
    needs one more, and never otherwise. A slot holds, for every head, ``k_s`` and ``v_s`` (or ``y_s``);
    the value alone where coefficients need no key; the ``r`` rows of ``S_s`` (or ``u_s v_sᵀ``) under state
    expansion, with its log-decay sum in fp64 where outputs older than one step are read through decays.
    Made by :meth:`GLMixer.empty_cache` and :meth:`GLMixer.prefill`, changed in place by both and by
    :meth:`GLMixer.step`.

    Parameters
    ----------
    owner : object
        The layer it belongs to; no other layer may use it.
    plan : SlotPlan
        Which step reads and writes which slot.
    rule : Rule
        Kind, sizes and what a slot holds.
    batch : int
        Sequences decoded side by side.
    horizon : int, optional
        Length to allocate for at once; growing step by step copies the storage each time it grows.
    backend : str
        Name of the one that runs; those of :data:`COMPILED` take each step as one call of a kernel.
    dtype, device
        Of the rows.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> from glmix_theory.export import to_torch
    >>> layer = to_torch(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), d_model=8)
    >>> y, cache = layer.prefill(torch.zeros(1, 100, 8))
    >>> cache.rows, cache.position, cache.nbytes == cache.rows * layer.cache_row_bytes
    (7, 100, True)
    """

    def __init__(
        self,
        owner: object,
        plan: SlotPlan,
        rule: Rule,
        batch: int,
        horizon: int | None,
        backend: str,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._owner = weakref.ref(owner)
        self._plan = plan
        self.rule = rule
        self.horizon = 0 if horizon is None else check_length(horizon, "horizon")
        self.position = 0
        """Positions consumed so far: the next step is step ``position``."""
        self.terms = Terms(0, 0, 0)
        """Terms applied by the latest step."""
        self._backend = backend if dtype in COMPILED.get(backend, ()) else "torch"
        self._occupied: set[int] = set()
        rows = self._planned(0, self.horizon)
        self._storage = torch.zeros(rows, batch, *rule.slot_shape, dtype=dtype, device=device)
        self._decays = torch.zeros(rows, batch, rule.heads, rule.decays, dtype=torch.float64, device=device)
        self._total = self._decays.new_zeros(batch, rule.heads, rule.decays)
        self._steps: Steps | None = None
        self._classes: tuple[np.ndarray, ...] = ()
        self._window: DeviceSteps | None = None

    # --- what it holds ----------------------------------------------------------------------------

    @property
    def batch(self) -> int:
        """Sequences decoded side by side."""
        return self._storage.shape[1]

    @property
    def rows(self) -> int:
        """Slots allocated, per sequence; each is one position's rows for every head."""
        return self._storage.shape[0]

    @property
    def occupied(self) -> frozenset[int]:
        """Slots that hold a row some later step may read."""
        return frozenset(self._occupied)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots, for the whole batch.

        Beside them a layer that keeps decays holds one running fp64 sum of ``log a`` per sequence and gate.
        """
        return self._storage.nbytes + self._decays.nbytes

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the rows."""
        return self._storage.dtype

    @property
    def device(self) -> torch.device:
        """Where the rows live."""
        return self._storage.device

    @property
    def replays(self) -> int:
        """How often a step captured now in a CUDA graph may be replayed; see :meth:`GLMixer.step`.

        For so many steps the device has tables and rows. 0 where steps are not launches, and before the first
        step after a chunk.
        """
        if self._window is None:
            return 0
        ahead = range(self.position, self._window.steps.stop)
        return sum(1 for _ in takewhile(lambda t: self._plan.held(t) <= self.rows, ahead))

    def poison(self) -> None:
        """Overwrite every slot that is not occupied with NaN: a later read of one shows in the output."""
        dead = [slot for slot in range(self.rows) if slot not in self._occupied]
        self._storage[dead] = float("nan")
        self._decays[dead] = float("nan")

    def require_owner(self, layer: object) -> None:
        """Raise :class:`CacheError` unless the cache was made by this layer."""
        if self._owner() is not layer:
            raise CacheError(
                "this cache belongs to another layer; use the one that this layer's prefill, empty_cache or "
                "restore_cache returned"
            )

    # --- saving -----------------------------------------------------------------------------------

    def state(self) -> dict[str, torch.Tensor]:
        """Copies of all it holds, as plain tensors; :meth:`GLMixer.restore_cache` makes a cache of them."""
        tensors = {name: getattr(self, f"_{name}").clone() for name in _TENSORS}
        return {**tensors, "position": torch.tensor(self.position), "horizon": torch.tensor(self.horizon)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what :meth:`state` returned for a cache of the same layer shape.

        Raises :class:`CacheError` when the tensors do not fit.
        """
        missing = {*_TENSORS, "position", "horizon"} - set(state)
        if missing:
            raise CacheError(f"the state lacks {', '.join(sorted(missing))}; give what state() returned")
        position, horizon = int(state["position"]), int(state["horizon"])
        rows, batch = self._planned(position, horizon), state["total"].shape[0]
        shapes = {
            "storage": (rows, batch, *self.rule.slot_shape),
            "decays": (rows, batch, self.rule.heads, self.rule.decays),
            "total": (batch, self.rule.heads, self.rule.decays),
        }
        for name, needed in shapes.items():
            if tuple(state[name].shape) != needed:
                found = tuple(state[name].shape)
                raise CacheError(
                    f"the saved {name} has shape {found}; this layer at position {position} needs {needed}"
                )
        for name in _TENSORS:
            setattr(self, f"_{name}", state[name].to(getattr(self, f"_{name}"), copy=True))
        self.position, self.horizon = position, horizon
        self._occupied = set(self._plan.occupied(position - 1)) if position else set()
        self._window = None

    # --- a whole chunk ----------------------------------------------------------------------------

    def rows_of(self, slots: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Copies of slots' rows ``(batch, heads, slots, stored, width)`` and log-decay sums; 0 at ``NO_SLOT``."""
        place = torch.from_numpy(np.maximum(slots, 0)).to(self.device)
        absent = torch.from_numpy(slots == NO_SLOT).to(self.device)
        if not self.rows:
            return self._storage.new_zeros(
                self.batch, self.rule.heads, len(slots), *self.rule.slot_shape[1:]
            ), self._decays.new_zeros(self.batch, self.rule.heads, len(slots), self.rule.decays)
        rows = self._storage.index_select(0, place).movedim(0, 2)
        sums = self._decays.index_select(0, place).movedim(0, 2)
        rows = rows.masked_fill(absent[:, None, None], 0.0)
        return rows, sums.masked_fill(absent[:, None], 0.0)

    @property
    def total(self) -> torch.Tensor:
        """Sum of ``log a`` of all positions so far, fp64 ``(batch, heads, rule.decays)``."""
        return self._total

    @torch.no_grad()
    def extend(self, own: Inputs, y: torch.Tensor) -> None:
        """Take over the live rows of the next ``c`` positions.

        Parameters
        ----------
        own : Inputs
            Of these positions.
        y : tensor (batch, heads, c, width) or (batch, heads, c, r, width)
            Their outputs before the readout.
        """
        start, number = self.position, own.v.shape[2]
        live = self._plan.occupied(start + number - 1)
        self.position, self._window = start + number, None
        self._occupied = set(live)
        self._allocate(self._planned(self.position, self.horizon))
        sums = None
        if self.rule.decays:
            assert own.gate is not None
            sums = self._total.unsqueeze(2) + torch.nn.functional.logsigmoid(own.gate.double()).cumsum(dim=2)
            self._total = sums[:, :, -1].clone()
        for part in ("input", "output"):
            slots = [slot for slot, (name, s) in live.items() if name == part and s >= start]
            if not slots:
                continue
            place = torch.tensor(slots, device=self.device)
            positions = torch.tensor([live[slot][1] - start for slot in slots], device=self.device)
            keys, values, strengths = (
                None if rows is None else rows.index_select(2, positions) for rows in (own.k, own.v, own.write)
            )
            if part == "output":
                values = y.index_select(2, positions)
            assert values is not None
            if not self.rule.projected.expanded:
                rows = torch.stack([values] if keys is None else [keys, values], dim=3)
            elif part == "output":
                rows = values
            else:
                assert keys is not None
                rows = keys.unsqueeze(4) * values.unsqueeze(3)
                if strengths is not None:
                    rows = strengths.sigmoid().unsqueeze(4) * rows
            self._storage[place] = rows.movedim(2, 0).to(self.dtype)
            if sums is not None:
                self._decays[place] = sums.index_select(2, positions).movedim(2, 0)

    # --- one position -----------------------------------------------------------------------------

    def advance(self, own: Inputs) -> torch.Tensor:
        """One step: read the slots the plan names, mix, then write the rows later steps read.

        Parameters
        ----------
        own : Inputs
            Of the new position, ``n = 1``.

        Returns
        -------
        tensor (batch, heads, width)
            ``z`` of the new position.
        """
        t, plan = self.position, self._plan
        steps = self._around(t, own.bias is not None)
        self._allocate(max(self.rows, plan.held(t)))  # the largest so far is what the plan's peak is
        if self._backend == "numba":
            step = _compiled("numba").step
            z = step(self.rule, t - steps.start, steps, self._classes, own, self._tensors())
        elif self._backend == "triton":
            z = own.v.new_empty(self.batch, self.rule.heads, self.rule.projected.width)
            _compiled("triton").step(self.rule, self._window, own, *self._tensors(), z)
        else:
            z = self._portable(t, steps, own)
        i = t - steps.start
        self._occupied.difference_update(plan.freed(t))
        self._occupied.update(slot for slot in (int(steps.input_slots[i]), int(steps.output_slots[i])) if slot >= 0)
        self.position += 1
        parts = (steps.direct, steps.recurrent, steps.readout)
        self.terms = Terms(*(0 if part is None else int(part.indptr[i + 1] - part.indptr[i]) for part in parts))
        return z

    @torch.no_grad()
    def _portable(self, t: int, steps: Steps, own: Inputs) -> torch.Tensor:
        i, rule, given = t - steps.start, self.rule, own.v.dtype
        work = working_dtype(self.dtype)
        own = own.map(lambda rows: rows.to(work))
        reads = (steps.direct, steps.recurrent, steps.readout)
        parts = [
            None if part is None else Part(part.of(i), self._bias(own, place, part, i))
            for place, part in enumerate(reads)
        ]
        direct, recurrent, readout = parts
        assert direct is not None
        assert recurrent is not None
        input_slot, output_slot = int(steps.input_slots[i]), int(steps.output_slots[i])
        with torch.autocast(self.device.type, enabled=False):
            if rule.decays:
                assert own.gate is not None
                self._total += torch.nn.functional.logsigmoid(own.gate.squeeze(2).double())
            if rule.projected.expanded:
                sums = self._decays, self._total
                z, y = state_step(rule, own, (direct, recurrent, readout), self._storage, *sums)
            else:
                z, y = row_step(rule.projected.kind, own, (direct, recurrent, readout), self._storage)
        v, k = own.v.squeeze(2), None if own.k is None else own.k.squeeze(2)
        for slot, row in ((input_slot, v), (output_slot, y)):
            if slot == NO_SLOT:
                continue
            if not rule.projected.expanded:
                self._storage[slot, :, :, -1] = row
                if k is not None:
                    self._storage[slot, :, :, 0] = k
            elif row is y:
                self._storage[slot] = y
                if rule.decays:
                    self._decays[slot] = self._total
            else:
                assert k is not None
                u = k if own.write is None else own.write.squeeze(2).sigmoid() * k
                self._storage[slot] = u.unsqueeze(3) * v.unsqueeze(2)
        return z.to(given)

    def _around(self, t: int, biased: bool) -> Steps:
        """Steps with ``t`` among them: those on the device, or the plan's, with lag classes when there is a bias."""
        if self._backend == "triton":
            if self._window is None or t == self._window.steps.stop:
                programs = self.batch * self.rule.heads
                self._window = _compiled("triton").DeviceSteps.ahead(self._plan, t, programs, self.device)
            return self._window.steps
        steps = self._plan.around(t)
        if steps is not self._steps:
            mixer = self.rule.mixer
            patterns = (mixer.direct, mixer.recurrent, mixer.readout)
            reads = (steps.direct, steps.recurrent, steps.readout)
            if biased:
                self._classes = tuple(_classes(pattern, part, steps.start) for pattern, part in zip(patterns, reads))
            self._steps = steps
        return steps

    def _bias(self, own: Inputs, place: int, part: Reads, i: int) -> torch.Tensor | None:
        if own.bias is None:
            return None
        classes = self._classes[place][part.indptr[i] : part.indptr[i + 1]]
        return own.bias[place].index_select(1, torch.from_numpy(classes).to(self.device))

    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._storage, self._decays, self._total

    def _planned(self, position: int, horizon: int) -> int:
        length = max(position, horizon)
        return self._plan.peak(length) if length else 0

    def _allocate(self, rows: int) -> None:
        if rows > self.rows:
            for name in ("_storage", "_decays"):
                held = getattr(self, name)
                setattr(self, name, torch.cat([held, held.new_zeros(rows - len(held), *held.shape[1:])]))

    def __repr__(self) -> str:
        return (
            f"Cache(position={self.position}, batch={self.batch}, rows={self.rows}, "
            f"occupied={len(self._occupied)}, nbytes={self.nbytes})"
        )

    def __reduce__(self) -> Any:
        raise CacheError("a cache is tied to its layer; save cache.state(), then layer.restore_cache(state)")


def _classes(pattern: Pattern | None, part: Reads | None, start: int) -> np.ndarray:
    if pattern is None or part is None:
        return np.zeros(0, dtype=np.int64)
    targets = start + np.repeat(np.arange(len(part.indptr) - 1), np.diff(part.indptr))
    return lag_classes(pattern, targets, part.sources)
