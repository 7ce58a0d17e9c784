"""The layer: projections around a mixer, one forward for training and one step for decoding."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from glmix_theory.complexity.slots import SlotPlan
from glmix_theory.errors import CacheError, DeviceError, DtypeError, ShapeError, check_length
from glmix_theory.export.backend import Mixed, Terms
from glmix_theory.export.coefficients import check_exported
from glmix_theory.export.decode import Cache
from glmix_theory.export.functional import FLOATING, check_backend, mixed
from glmix_theory.mixers import Mixer


class GLMixer(nn.Module):
    """A mixer with query, key, value and output projections; made by :func:`to_torch`.

    ``forward`` runs a whole sequence, ``prefill`` does the same and keeps the rows that later steps
    read, ``step`` continues by one position. The three agree, and the cache holds exactly the rows that
    ``glm.SlotPlan`` of the mixer assigns.

    Attributes
    ----------
    mixer : Mixer
        What it computes.
    last_terms : Terms
        Coefficients of each part that the latest ``forward`` or ``prefill`` multiplied, per head.
    """

    def __init__(
        self,
        mixer: Mixer,
        d_model: int,
        n_heads: int = 1,
        *,
        bias: bool = False,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.coefficients = check_exported(mixer)
        check_backend(backend)
        self.d_model = check_length(d_model, "d_model")
        self.n_heads = check_length(n_heads, "n_heads")
        if self.d_model % self.n_heads:
            lower = self.d_model // self.n_heads * self.n_heads
            valid = f"{lower} or {lower + self.n_heads}" if lower else f"{self.n_heads}"
            raise ShapeError(
                f"d_model = {self.d_model} is not divisible by n_heads = {self.n_heads}; the nearest valid "
                f"d_model is {valid}"
            )
        self.mixer = mixer
        self.backend = backend
        self.plan = SlotPlan(mixer)
        self.projection = nn.Linear(d_model, 3 * d_model, bias=bias, device=device, dtype=dtype)
        self.output = nn.Linear(d_model, d_model, bias=bias, device=device, dtype=dtype)
        self.last_terms = Terms(0, 0, 0)

    @property
    def cache_row_bytes(self) -> int:
        """Bytes of one cached row of one sequence: key and value of every head."""
        return 2 * self.d_model * self.projection.weight.element_size()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix a whole sequence.

        Parameters
        ----------
        x : tensor (batch, n, d_model)
            In the layer's dtype (any floating dtype under autocast) and on its device.

        Returns
        -------
        tensor (batch, n, d_model)

        Raises
        ------
        ShapeError, DtypeError, DeviceError
            ``x`` does not fit the layer.
        """
        self._check(x, ("batch", "n"))
        return self._mixed(*self._projected(x))[0]

    def prefill(self, x: torch.Tensor, horizon: int | None = None) -> tuple[torch.Tensor, Cache]:
        """As :meth:`forward`, and the cache from which :meth:`step` continues.

        Parameters
        ----------
        x : tensor (batch, n, d_model)
            The prefix.
        horizon : int, optional
            Total length to allocate the cache for at once. Without it the cache grows as it must.

        Returns
        -------
        (tensor (batch, n, d_model), Cache)
            The cached rows carry no gradient.
        """
        self._check(x, ("batch", "n"))
        cache = self.empty_cache(x.shape[0], horizon)
        q, k, v = self._projected(x)
        z, result = self._mixed(q, k, v)
        cache.fill(k, v, result.y)
        return z, cache

    @torch.no_grad()
    def step(self, x_t: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """One more position; ``cache.terms`` says how many terms it took.

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
        self._check(x_t, ("batch",))
        if not isinstance(cache, Cache):
            raise CacheError(f"cache is a {type(cache).__name__}; a Cache from prefill or empty_cache is needed")
        cache.require_owner(self)
        if cache.batch != x_t.shape[0]:
            raise CacheError(f"the cache holds {cache.batch} sequences and x_t has {x_t.shape[0]}")
        if cache.device != x_t.device:
            raise CacheError(f"the cache is on {cache.device} and x_t on {x_t.device}")
        q, k, v = (rows.squeeze(2) for rows in self._projected(x_t.unsqueeze(1)))
        z = cache.advance(q, k, v)
        y_t: torch.Tensor = self.output(z.flatten(1))
        return y_t, cache

    def empty_cache(self, batch: int, horizon: int | None = None) -> Cache:
        """A cache before the first position.

        Parameters
        ----------
        batch : int
            Sequences decoded side by side.
        horizon : int, optional
            Length to allocate for at once; without it the cache starts with no rows.
        """
        weight = self.projection.weight
        shape = (check_length(batch, "batch"), self.n_heads, self.d_model // self.n_heads)
        return Cache(self, self.plan, shape, horizon, weight.dtype, weight.device)

    def restore_cache(self, state: dict[str, torch.Tensor]) -> Cache:
        """A cache of this layer from what :meth:`Cache.state` returned, perhaps in another process."""
        cache = self.empty_cache(1)
        cache.restore(state)
        return cache

    def extra_repr(self) -> str:
        """The mixer and the sizes, for ``print(layer)``."""
        return f"{self.mixer!r}, d_model={self.d_model}, n_heads={self.n_heads}, backend={self.backend!r}"

    def _projected(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values, each ``(batch, heads, n, d)``."""
        rows = self.projection(x).unflatten(2, (3, self.n_heads, -1))
        return tuple(rows.permute(2, 0, 3, 1, 4).unbind(0))

    def _mixed(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, Mixed]:
        result = mixed(self.mixer, q, k, v, self.coefficients, self.backend)
        self.last_terms = result.terms
        return self.output(result.z.transpose(1, 2).flatten(2)), result

    def _check(self, x: torch.Tensor, leading: tuple[str, ...]) -> None:
        if not isinstance(x, torch.Tensor):
            raise DtypeError(f"x is a {type(x).__name__}; a torch.Tensor is needed")
        weight = self.projection.weight
        if x.dim() != len(leading) + 1 or x.shape[-1] != self.d_model or 0 in x.shape:
            needed = ", ".join((*leading, str(self.d_model)))
            raise ShapeError(f"x has shape {tuple(x.shape)}; ({needed}) is needed, each at least 1")
        if x.device != weight.device:
            raise DeviceError(f"x is on {x.device} and the layer on {weight.device}; use x.to({str(weight.device)!r})")
        lowered = torch.is_autocast_enabled(x.device.type) and x.dtype in FLOATING
        if x.dtype != weight.dtype and not lowered:
            raise DtypeError(f"x has dtype {x.dtype} and the layer {weight.dtype}; use x.to({weight.dtype})")


def to_torch(mixer: Mixer, d_model: int, n_heads: int = 1, **options: Any) -> GLMixer:
    """A trainable layer that runs a mixer with exactly its cost, and decodes with exactly its cache.

    Claim: ``forward``, ``prefill`` and ``step`` compute the same ``Y = (I-B)^{-1} A X`` per head, with
    coefficients of the mixer's kind; step ``t`` multiplies as many rows as the step cost counts, and
    the cache holds as many as the cache size counts.

    Parameters
    ----------
    mixer : Mixer
        Patterns and coefficient kind.
    d_model : int
        Width of the inputs and outputs.
    n_heads : int
        Heads, each of width ``d_model / n_heads`` with its own coefficients.
    **options
        ``bias`` (default False) of the projections, ``backend`` (default ``"auto"``), ``device``, ``dtype``.

    Raises
    ------
    ShapeError
        ``d_model`` is not a multiple of ``n_heads``.
    CoefficientError
        The mixer's coefficient kind or state expansion is not exported.

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
