"""The layer: projections around a mixer, one forward for training and one step for decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from glmix_theory.complexity.slots import SlotPlan
from glmix_theory.errors import CacheError, DtypeError, GlmixError, check_length
from glmix_theory.export.backend import Mixed, Terms
from glmix_theory.export.backends import BACKENDS, check_backend, choose_backend
from glmix_theory.export.checkpoints import EXTRA, described, read, rebuilt, require_same, written
from glmix_theory.export.checks import check_cache, check_input, summary
from glmix_theory.export.continuing import continued, with_known_rows
from glmix_theory.export.decode import Cache
from glmix_theory.export.functional import mixed
from glmix_theory.export.inputs import FLOATING, Inputs
from glmix_theory.export.operators import mix_operator, text_of
from glmix_theory.export.projections import (
    Projected,
    check_fraction,
    check_sizes,
    initial_gate,
    initial_lag_bias,
    start_linear,
)
from glmix_theory.export.remembering import remembered
from glmix_theory.export.segments import segments_of, segments_operator
from glmix_theory.export.stepping import Rule
from glmix_theory.mixers import Mixer

_IDENTITY = ("mixer", "d_model", "n_heads", "bias", "gate", "lag_bias")
_OPTIONS = (*_IDENTITY[1:], "dropout", "backend")


class GLMixer(nn.Module):
    """A mixer with query, key, value, gate and output projections; made by :func:`to_torch`.

    ``forward`` runs a whole sequence, ``prefill`` does the same and keeps the rows that later steps
    read, ``step`` continues by one position and ``prefill`` with a cache by a chunk. All agree, and the
    cache holds exactly the rows that ``glm.SlotPlan`` of the mixer assigns.

    Attributes
    ----------
    mixer : Mixer
        What it computes.
    last_terms : Terms
        Coefficients of each part that the latest ``forward`` or ``prefill`` multiplied, per head; not
        updated by a compiled layer.
    """

    def __init__(
        self,
        mixer: Mixer,
        d_model: int,
        n_heads: int = 1,
        *,
        bias: bool = False,
        gate: str = "auto",
        lag_bias: bool = False,
        dropout: float = 0.0,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.d_model, self.n_heads = check_sizes(d_model, n_heads)
        self.projected = Projected.of(mixer, self.d_model // self.n_heads, gate, lag_bias)
        check_backend(backend)
        if dtype is not None and dtype not in FLOATING:
            raise DtypeError(f"dtype = {dtype}; one of {', '.join(map(str, FLOATING))} is needed")
        self.mixer = mixer
        self.bias = bool(bias)
        self.backend = backend
        self.last_terms = Terms(0, 0, 0)
        self._text = text_of(mixer)
        self.plan = SlotPlan(mixer)
        self.rule = Rule.of(mixer, self.projected, self.n_heads)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        total = self.n_heads * sum(self.projected.sections.values())
        self.projection = nn.Linear(self.d_model, total, bias=self.bias, **place)
        self.norm = nn.RMSNorm(self.projected.width, eps=1e-5, **place) if self.projected.normalised else nn.Identity()
        self.output = nn.Linear(self.d_model, self.d_model, bias=self.bias, **place)
        self.dropout = nn.Dropout(check_fraction(dropout, "dropout"))
        self.gate_bias = self.lag_bias = None
        if self.projected.gate_width:
            self.gate_bias = nn.Parameter(initial_gate(self.projected, self.n_heads).to(self.projection.weight))
        if self.projected.lag_bias:
            self.lag_bias = nn.Parameter(initial_lag_bias(self.projected, self.n_heads).to(self.projection.weight))
        start_linear(self.projection)
        start_linear(self.output)

    @property
    def cache_row_bytes(self) -> int:
        """Bytes of one slot of one sequence's cache, all heads together.

        With ``item`` bytes a number and ``d_model = heads · width``: ``2 · d_model · item``, a key and a
        value; ``d_model · item`` for ``"fixed"`` coefficients, which need no key; ``r · d_model · item``
        with state expansion ``r``, and ``8 · heads · g`` more for ``g`` log-decay sums where outputs older
        than one step are read through a gate.
        """
        return self.rule.row_bytes(self.projection.weight.dtype)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mix whole sequences.

        Parameters
        ----------
        x : tensor (batch, n, d_model)
            In the layer's dtype (any floating dtype under autocast) and on its device.
        mask : bool tensor (batch, n), optional
            True at real positions; padding on either side is read by nobody, and its own outputs are 0
            before the output projection.
        cu_seqlens : integer tensor (sequences + 1,), optional
            Ends of sequences packed into a batch of 1, from 0 to ``n``; none reads another.

        Returns
        -------
        tensor (batch, n, d_model)
            With dropout applied to it, the last thing, while training.

        Raises
        ------
        ShapeError, DtypeError, DeviceError, LengthError
            ``x`` does not fit the layer; the mask has a hole; the lengths do not ascend.
        """
        check_input(x, ("batch", "n"), self.projection.weight)
        if torch.compiler.is_compiling():
            whole = mask is None and cu_seqlens is None
            segments = None if whole else segments_operator(x.shape[0], x.shape[1], mask, cu_seqlens)
            inputs = self._inputs(x, segments)
            name = self._backend_for(inputs.v)
            tensors = (inputs.v, inputs.q, inputs.k, inputs.gate, inputs.write, inputs.bias, inputs.segments)
            return self._finished(mix_operator(self._text, self.projected.kind, name, *tensors)[0])
        inputs = self._inputs(x, segments_of(x.shape[0], x.shape[1], mask, cu_seqlens))
        result = mixed(self.mixer, inputs, self.projected.kind, self.backend)
        self.last_terms = result.terms
        return self._finished(result.z)

    def prefill(
        self,
        x: torch.Tensor,
        horizon: int | None = None,
        cache: Cache | None = None,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Cache]:
        """As :meth:`forward`, and the cache from which :meth:`step` or another ``prefill`` continues.

        Parameters
        ----------
        x : tensor (batch, n, d_model)
            The prefix, or the chunk after what the cache has seen; computed in parallel either way.
        horizon : int, optional
            Total length to allocate a new cache for at once. Without it the cache grows as it must.
        cache : Cache, optional
            Of this layer, to continue; changed in place.
        mask : bool tensor (batch, n), optional
            All True: the sequences of one cache advance together, so padding is refused.

        Returns
        -------
        (tensor (batch, n, d_model), Cache)
            The cached rows carry no gradient, and neither do outputs that continue a cache.

        Raises
        ------
        CacheError
            The cache does not belong to the layer or fit ``x``; it is given together with a horizon;
            the mask has padding.
        ShapeError, DtypeError, DeviceError
            ``x`` does not fit the layer.
        """
        check_input(x, ("batch", "n"), self.projection.weight)
        if mask is not None and not bool(mask.all()):
            raise CacheError(
                "the mask has padding, and the sequences of one cache advance together; prefill sequences of "
                "different lengths one by one, or use forward"
            )
        if cache is None:
            cache = self.empty_cache(x.shape[0], horizon)
        elif horizon is not None:
            raise CacheError(f"horizon = {horizon} is given with a cache, which has its own; leave one of them out")
        check_cache(cache, self, x, self.projection.weight.dtype)
        if cache.position:
            with torch.no_grad():
                return self._continue(x, cache), cache
        inputs = self._inputs(x)
        result = mixed(self.mixer, inputs, self.projected.kind, self.backend)
        self.last_terms = result.terms
        cache.extend(inputs, result.y)
        return self._finished(result.z), cache

    @torch.no_grad()
    def step(self, x_t: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """One more position; ``cache.terms`` says how many terms it took.

        With the Triton backend, mixing is one launch of a kernel, and the host waits for the device once in a
        window of 256 steps (fewer where steps have thousands of terms), when their tables are made. A step
        inside a window is designed for capture with ``torch.cuda.graph``, and has so far only been run
        interpreted: the kernel counts its steps on the device, so each replay takes the next one. Take one
        step first, note ``cache.replays``, capture, and replay at most so often; a horizon keeps the rows in
        place. ``cache.position``, ``terms`` and ``occupied`` count calls, not replays: continue with
        ``restore_cache({**cache.state(), "position": torch.tensor(t)})`` at the position ``t`` they reached.

        Parameters
        ----------
        x_t : tensor (batch, d_model)
            The new position.
        cache : Cache
            From this layer; changed in place.

        Returns
        -------
        (tensor (batch, d_model), Cache)
            Without gradient; the cache is the one given.

        Raises
        ------
        CacheError
            The cache belongs to another layer, batch size or device.
        ShapeError, DtypeError, DeviceError
            ``x_t`` does not fit the layer.
        """
        check_input(x_t, ("batch",), self.projection.weight)
        check_cache(cache, self, x_t, self.projection.weight.dtype)
        z = cache.advance(self._inputs(x_t.unsqueeze(1)))
        return self._finished(z.unsqueeze(2)).squeeze(1), cache

    def empty_cache(self, batch: int, horizon: int | None = None) -> Cache:
        """A cache before the first position.

        Parameters
        ----------
        batch : int
            Sequences decoded side by side.
        horizon : int, optional
            Length to allocate for at once; without it the cache starts with no rows.
        """
        weight, batch = self.projection.weight, check_length(batch, "batch")
        backend = self._backend_for(weight)
        return Cache(self, self.plan, self.rule, batch, horizon, backend, weight.dtype, weight.device)

    def restore_cache(self, state: dict[str, torch.Tensor]) -> Cache:
        """A cache of this layer from what :meth:`Cache.state` returned, perhaps in another process."""
        cache = self.empty_cache(1)
        cache.restore(state)
        return cache

    # --- saving -----------------------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """The mixer's text and the layer's options, as plain data."""
        options = {
            "d_model": self.d_model,
            "n_heads": self.n_heads,
            "bias": self.bias,
            "gate": self.projected.gate,
            "lag_bias": self.projected.lag_bias,
            "dropout": self.dropout.p,
            "backend": self.backend,
        }
        return {"mixer": repr(self.mixer), **options}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> GLMixer:
        """A layer rebuilt from its checkpoint alone: mixer, options, weights, their dtype and device.

        Raises
        ------
        CheckpointError
            The mixer holds a Python function, or the checkpoint is not a whole ``state_dict`` of a layer.

        Examples
        --------
        >>> import glmix_theory as glm
        >>> layer = to_torch(glm.catalogue["retnet"], d_model=16, n_heads=2)
        >>> GLMixer.from_state_dict(layer.state_dict()).mixer == layer.mixer
        True
        """
        saved, weight = described(state, "projection.weight", ("mixer", *_OPTIONS))
        options = {name: saved[name] for name in _OPTIONS}
        layer = cls(rebuilt(saved["mixer"]), **options, device=weight.device, dtype=weight.dtype)
        layer.load_state_dict(state)
        return layer

    def get_extra_state(self) -> torch.Tensor:
        """The description as bytes, so that ``state_dict`` holds nothing but tensors."""
        return written(self.description())

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Raise :class:`~glmix_theory.errors.CheckpointError` unless the checkpoint is of such a layer."""
        require_same("layer", self.description(), read(state), _IDENTITY)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if prefix + EXTRA in state_dict:  # before any weight is copied
            self.set_extra_state(state_dict[prefix + EXTRA])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._text = text_of(self.mixer)  # a copy, or another process

    def extra_repr(self) -> str:
        """The mixer, the sizes, the backend that runs and the report in a line, for ``print(layer)``."""
        sizes = f"d_model={self.d_model}, n_heads={self.n_heads}, gate={self.projected.gate!r}"
        try:
            runs = self._backend_for(self.projection.weight)
        except GlmixError:
            runs = f"not on {self.projection.weight.device.type}"
        backend = f"backend={self.backend!r}" + (f" ({runs})" if runs != self.backend else "")
        line = remembered(self.mixer, "summary", lambda: summary(self.mixer))
        return f"{self.mixer!r}, {sizes}, {backend}\n{line}"

    # --- parts of a forward -----------------------------------------------------------------------

    def _backend_for(self, rows: torch.Tensor) -> str:
        """The backend that runs rows of this device and dtype."""
        widest = max(self.projected.sections.values())
        return choose_backend(self.backend, rows.device, rows.dtype, widest)

    def _inputs(self, x: torch.Tensor, segments: torch.Tensor | None = None) -> Inputs:
        """The tensors the kind takes, each ``(batch, heads, n, ·)``."""
        rule, sections = self.projected, self.projected.sections
        rows = self.projection(x).split([self.n_heads * width for width in sections.values()], dim=2)
        made = {name: part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for name, part in zip(sections, rows)}
        v = made["v"]
        if rule.kind == "delta":
            for name in ("q", "k"):
                made[name] = functional.normalize(made[name], dim=3).to(v.dtype)
        elif rule.expanded:
            made["k"] = made["k"] * rule.state**-0.5  # of length about 1
        if self.gate_bias is not None:
            gate = self.gate_bias.to(v.dtype)[:, None]
            made["gate"] = made["gate"] + gate if "gate" in made else gate.expand(*v.shape[:3], -1)
        bias = None if self.lag_bias is None else self.lag_bias.to(v.dtype)
        return Inputs(v, **{name: made[name] for name in made if name != "v"}, bias=bias, segments=segments)

    def _continue(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:
        own = self._inputs(x)
        start = cache.position
        structure, inputs, outputs = continued(self.rule, self.plan.steps(start, start + x.shape[1]))
        known = structure.known
        whole = with_known_rows(cache, own, inputs, outputs) if known else own
        backend = BACKENDS[self._backend_for(whole.v)]
        result: Mixed = backend.mix(structure, self.projected.kind, whole)
        self.last_terms = result.terms
        cache.extend(own, result.y[:, :, known:])
        return self._finished(result.z[:, :, known:])

    def _finished(self, z: torch.Tensor) -> torch.Tensor:
        if self.projected.normalised:
            z = self.norm(z.to(self.projection.weight.dtype))  # in full precision under autocast
        rows: torch.Tensor = self.dropout(self.output(z.transpose(1, 2).flatten(2)))
        return rows


def to_torch(mixer: Mixer, d_model: int, n_heads: int = 1, **options: Any) -> GLMixer:
    """A trainable layer that runs a mixer with exactly its cost, and decodes with exactly its cache.

    Claim: ``forward``, ``prefill`` and ``step`` compute the same ``Y = (I-B)^{-1} A X`` per head, with
    coefficients of the mixer's kind; step ``t`` multiplies as many rows as the step cost counts, and
    the cache holds as many as the cache size counts.

    The layer starts at the scale of its input: projections of variance ``1/d_model`` give unit queries,
    keys and values for unit inputs, rows of ``(A | B)`` sum to at most 1 (:func:`stability`), and kinds
    without such a bound (state expansion, ``"delta"``) normalise each head's output by RMS. For unit inputs
    the output's RMS is then between 0.8 and 1.25; kinds that weigh rows average independent inputs, at
    n = 1024 down to 0.15 (``"softmax"``, ``"gated"``, ``"fixed"``; ``"signed"`` 0.03), and never exceed 1.25.

    Parameters
    ----------
    mixer : Mixer
        Patterns, coefficient kind and state expansion ``r``.
    d_model : int
        Width of the inputs and outputs.
    n_heads : int
        Heads, each of width ``d_model / n_heads`` with its own coefficients; with state expansion queries
        and keys have width ``r`` instead.
    **options
        By keyword, as follows.
    bias : bool
        Whether projections have a bias. Default False.
    gate : str
        What the layer learns to keep of the past: ``"head"`` (one number), ``"channel"`` (one per channel,
        or per state row) or ``"none"``. ``"auto"``: the simplest that the kind takes; none for ``"delta"``.
    lag_bias : bool
        Whether coefficients have a bias per part, head and lag class, zero at the start. ``"fixed"`` with
        one row per position has it always, as a decaying filter.
    dropout : float
        Of the layer's output while training. Default 0.
    backend : str
        ``"auto"``, or a name in ``BACKENDS``; ``"torch"`` also keeps decode steps from the compiled kernel.
    device, dtype
        Of the parameters.

    Raises
    ------
    ShapeError
        ``d_model`` is not a multiple of ``n_heads``.
    CoefficientError
        The coefficient kind does not apply to the mixer, or does not take the gate or the bias asked for.
    DtypeError, UnknownNameError
        A dtype or a backend that layers do not run in.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> layer = to_torch(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), d_model=16, n_heads=2)
    >>> layer(torch.zeros(1, 10, 16)).shape, layer.last_terms
    (torch.Size([1, 10, 16]), Terms(direct=10, recurrent=25, readout=0))
    >>> y, cache = layer.prefill(torch.zeros(1, 10, 16))
    >>> y_t, cache = layer.step(torch.zeros(1, 16), cache)
    >>> cache
    Cache(position=11, batch=1, rows=4, occupied=4, nbytes=512)
    """
    return GLMixer(mixer, d_model, n_heads, **options)
