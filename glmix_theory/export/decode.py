"""Decoding one position at a time, from exactly the rows the slot plan keeps."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch

from glmix_theory.complexity.slots import NO_SLOT, SlotPlan, Step
from glmix_theory.errors import CacheError, check_length
from glmix_theory.export.backend import Terms, working_dtype


class Cache:
    """The rows a layer still needs: one slot per live position, holding its key and its value.

    Claim: the storage has exactly ``plan.peak(max(position, horizon))`` slots; it grows when the plan
    needs one more, and never otherwise. A slot of an input row holds ``k_s, v_s``, one of an output row
    ``k_s, y_s``, for every head. Made by :meth:`GLMixer.empty_cache` and :meth:`GLMixer.prefill`,
    changed in place by :meth:`GLMixer.step`.

    Parameters
    ----------
    owner : object
        The layer it belongs to; no other layer may use it.
    plan : SlotPlan
        Which step reads and writes which slot.
    shape : (batch, heads, width)
        Of the rows.
    horizon : int, optional
        Length to allocate for at once; growing step by step copies the storage each time it grows.
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
        shape: tuple[int, int, int],
        horizon: int | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._owner = weakref.ref(owner)
        self._plan = plan
        self.horizon = 0 if horizon is None else check_length(horizon, "horizon")
        self.position = 0
        """Positions consumed so far: the next step is step ``position``."""
        self.terms = Terms(0, 0, 0)
        """Terms applied by the latest step."""
        self._occupied: set[int] = set()
        self._storage = torch.zeros(2, self._planned(0, self.horizon), *shape, dtype=dtype, device=device)

    # --- what it holds ----------------------------------------------------------------------------

    @property
    def batch(self) -> int:
        """Sequences decoded side by side."""
        return self._storage.shape[2]

    @property
    def rows(self) -> int:
        """Slots allocated, per sequence; each is one row per head."""
        return self._storage.shape[1]

    @property
    def occupied(self) -> frozenset[int]:
        """Slots that hold a row some later step may read."""
        return frozenset(self._occupied)

    @property
    def nbytes(self) -> int:
        """Bytes of the storage, for the whole batch."""
        return self._storage.nbytes

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the rows."""
        return self._storage.dtype

    @property
    def device(self) -> torch.device:
        """Where the rows live."""
        return self._storage.device

    def poison(self) -> None:
        """Overwrite every slot that is not occupied with NaN: a later read of one shows in the output."""
        dead = [slot for slot in range(self.rows) if slot not in self._occupied]
        self._storage[:, dead] = float("nan")

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
        return {
            "storage": self._storage.clone(),
            "position": torch.tensor(self.position),
            "horizon": torch.tensor(self.horizon),
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what :meth:`state` returned for a cache of the same layer shape.

        Raises :class:`CacheError` when the tensors do not fit.
        """
        missing = {"storage", "position", "horizon"} - set(state)
        if missing:
            raise CacheError(f"the state lacks {', '.join(sorted(missing))}; give what state() returned")
        storage, position, horizon = state["storage"], int(state["position"]), int(state["horizon"])
        needed = (2, self._planned(position, horizon), storage.shape[2], *self._storage.shape[3:])
        if tuple(storage.shape) != needed:
            raise CacheError(
                f"the saved rows have shape {tuple(storage.shape)}; this layer at position {position} needs {needed}"
            )
        self._storage = storage.to(self._storage, copy=True)
        self.position, self.horizon = position, horizon
        self._occupied = set(self._plan.occupied(position - 1)) if position else set()

    # --- changing ---------------------------------------------------------------------------------

    def fill(self, keys: torch.Tensor, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        """Take over the live rows of a whole prefix.

        Parameters
        ----------
        keys, inputs, outputs : tensor (batch, heads, n, d)
            ``k``, ``v`` and ``y`` of positions ``0 … n-1``.
        """
        n = keys.shape[2]
        live = self._plan.occupied(n - 1)
        self.position = n
        self._occupied = set(live)
        self._allocate(self._planned(n, self.horizon))
        for name, values in (("input", inputs), ("output", outputs)):
            slots = [slot for slot, (part, _) in live.items() if part == name]
            if slots:
                positions = torch.tensor([live[slot][1] for slot in slots], device=self.device)
                for half, rows in enumerate((keys, values)):
                    chosen = rows.detach()[:, :, positions].permute(2, 0, 1, 3)
                    self._storage[half, slots] = chosen.to(self.dtype)

    def advance(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """One step: read the slots the plan names, mix, then write the rows later steps read.

        Parameters
        ----------
        q, k, v : tensor (batch, heads, d)
            Of the new position.

        Returns
        -------
        tensor (batch, heads, d)
            ``z`` of the new position.
        """
        step = self._plan.step(self.position)
        given, work = v.dtype, working_dtype(self.dtype)
        queries, own_key, own_value = q.to(work) * q.shape[-1] ** -0.5, k.to(work), v.to(work)
        with torch.autocast(self.device.type, enabled=False):
            direct = self._read(step.direct_slots, own_key, own_value)
            recurrent = self._read(step.recurrent_slots, own_key, own_value)
            y = _attended(queries, direct + recurrent)
            z, readout = y, []
            if step.readout_slots is not None:
                readout = self._read(step.readout_slots, own_key, y)
                z = _attended(queries, readout)
        self._write(step, k, v, y)
        self.terms = Terms(*(sum(rows.shape[1] for rows in part) for part in (direct, recurrent, readout)))
        return z.to(given)

    def _read(self, slots: np.ndarray, own_key: torch.Tensor, own_value: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values ``(2, sources, batch, heads, d)``: the stored ones, and the own row where named."""
        stored, pieces = slots[slots != NO_SLOT], []
        if len(stored):
            if (np.diff(stored) == 1).all():  # a range needs no copy
                rows = self._storage[:, stored[0] : stored[-1] + 1]
            else:
                rows = self._storage.index_select(1, torch.from_numpy(stored).to(self.device))
            pieces.append(rows.to(own_key.dtype))
        if len(stored) < len(slots):
            pieces.append(torch.stack([own_key, own_value]).unsqueeze(1))
        return pieces

    def _write(self, step: Step, k: torch.Tensor, v: torch.Tensor, y: torch.Tensor) -> None:
        self._occupied.difference_update(step.freed)
        self.position += 1
        self._allocate(step.held)  # the largest so far is what the plan's peak is
        for slot, row in ((step.input_slot, v), (step.output_slot, y)):
            if slot != NO_SLOT:
                self._storage[0, slot] = k
                self._storage[1, slot] = row
                self._occupied.add(slot)

    def _planned(self, position: int, horizon: int) -> int:
        length = max(position, horizon)
        return self._plan.peak(length) if length else 0

    def _allocate(self, rows: int) -> None:
        if rows > self.rows:
            _, _, *shape = self._storage.shape
            more = self._storage.new_zeros(2, rows - self.rows, *shape)
            self._storage = torch.cat([self._storage, more], dim=1)

    def __repr__(self) -> str:
        return (
            f"Cache(position={self.position}, batch={self.batch}, rows={self.rows}, "
            f"occupied={len(self._occupied)}, nbytes={self.nbytes})"
        )

    def __reduce__(self) -> Any:
        raise CacheError("a cache is tied to its layer; save cache.state(), then layer.restore_cache(state)")


def _attended(q: torch.Tensor, pieces: list[torch.Tensor]) -> torch.Tensor:
    """Softmax-weighted mean of values over keys, each ``(2, sources, batch, heads, d)``; zero without any.

    The pieces are never joined: that would copy every row once more.
    """
    if not pieces:
        return torch.zeros_like(q)
    scores = [torch.einsum("bhd,mbhd->bhm", q, piece[0]) for piece in pieces]
    weights = torch.cat(scores, dim=2).softmax(dim=2).split([piece.shape[1] for piece in pieces], dim=2)
    sums = [torch.einsum("bhm,mbhd->bhd", weight, piece[1]) for weight, piece in zip(weights, pieces)]
    return torch.stack(sums).sum(dim=0) if len(sums) > 1 else sums[0]
