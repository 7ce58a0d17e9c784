"""A small language model over a mixer: enough to train on bytes and to generate from the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from glmix_theory.errors import CacheError, CheckpointError, DtypeError, RangeError, ShapeError, check_length
from glmix_theory.export.checkpoints import EXTRA, described, read, rebuilt, require_same, written
from glmix_theory.export.decode import Cache
from glmix_theory.export.layer import GLMixer
from glmix_theory.export.projections import check_fraction, start_linear
from glmix_theory.mixers import Mixer

_IDENTITY = ("vocabulary", "d_model", "n_heads", "n_layers")


class Block(nn.Module):
    """Pre-norm residual block: a mixer, then a two-layer perceptron four times as wide.

    Both branches end in a projection of ``scale`` times the usual size: with ``scale = (2 · layers)^(-1/2)``
    the variance that all branches of a stack add to the residual stream is that of one.
    """

    def __init__(self, mixer: Mixer, d_model: int, n_heads: int, scale: float, dropout: float, **options: Any) -> None:
        super().__init__()
        place = {name: options[name] for name in ("device", "dtype") if name in options}
        self.mixer_norm = nn.RMSNorm(d_model, **place)
        self.mixer = GLMixer(mixer, d_model, n_heads, dropout=dropout, **options)
        self.perceptron_norm = nn.RMSNorm(d_model, **place)
        rise, fall = nn.Linear(d_model, 4 * d_model, **place), nn.Linear(4 * d_model, d_model, **place)
        self.perceptron = nn.Sequential(rise, nn.GELU(), fall, nn.Dropout(dropout))
        start_linear(self.mixer.output, scale)
        start_linear(rise)
        start_linear(fall, scale)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``(batch, n, d_model)`` to the same."""
        return self._after(x, self.mixer(self.mixer_norm(x), mask, cu_seqlens))

    def prefill(self, x: torch.Tensor, horizon: int | None, cache: Cache | None) -> tuple[torch.Tensor, Cache]:
        """As :meth:`forward`, with the mixer's cache, from the start or continued."""
        mixed, cache = self.mixer.prefill(self.mixer_norm(x), horizon, cache)
        return self._after(x, mixed), cache

    def step(self, x_t: torch.Tensor, cache: Cache) -> torch.Tensor:
        """``(batch, d_model)`` to the same; the cache changes in place."""
        return self._after(x_t, self.mixer.step(self.mixer_norm(x_t), cache)[0])

    def _after(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + mixed
        result: torch.Tensor = x + self.perceptron(self.perceptron_norm(x))
        return result


class GLMLanguageModel(nn.Module):
    """Embedding, pre-norm blocks (mixer and perceptron), and a head tied to the embedding.

    It starts with a residual stream of RMS 1 (embeddings of variance ``1/d_model``, times ``√d_model``)
    that stays within a factor of 1.5 after any number of blocks, as their branches are scaled for it
    (:class:`Block`), and with logits of standard deviation about 1, the own token's near ``√d_model``.

    Parameters
    ----------
    mixer : Mixer or sequence of Mixer
        One for all layers, or one for each (a hybrid stack).
    vocabulary : int
        Number of tokens; 256 for bytes.
    d_model, n_heads, n_layers : int
        Width, heads of each mixer, blocks.
    dropout : float
        Of every branch's output, while training.
    **options
        For every layer: ``bias``, ``gate``, ``lag_bias``, ``backend``, ``device``, ``dtype`` as :func:`to_torch`.

    Raises
    ------
    ShapeError
        ``d_model`` is not a multiple of ``n_heads``, or not one mixer per layer.
    CoefficientError, RangeError, UnknownNameError
        As :func:`to_torch`.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))
    >>> model = GLMLanguageModel(mixer, vocabulary=11, d_model=16, n_heads=2, n_layers=2)
    >>> tokens = torch.arange(10).reshape(1, 10)
    >>> model(tokens).shape, model.loss(tokens).shape
    (torch.Size([1, 10, 11]), torch.Size([]))
    >>> model.generate(tokens, 6, temperature=0).shape, [cache.rows for cache in model.caches]
    (torch.Size([1, 16]), [4, 4])
    """

    def __init__(
        self,
        mixer: Mixer | Sequence[Mixer],
        vocabulary: int = 256,
        d_model: int = 128,
        n_heads: int = 4,
        n_layers: int = 2,
        *,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.vocabulary = check_length(vocabulary, "vocabulary")
        mixers = [mixer] * check_length(n_layers, "n_layers") if isinstance(mixer, Mixer) else list(mixer)
        if len(mixers) != n_layers:
            raise ShapeError(f"{len(mixers)} mixers were given for {n_layers} layers; give one, or one each")
        place = {name: options[name] for name in ("device", "dtype") if name in options}
        scale, dropout = (2 * n_layers) ** -0.5, check_fraction(dropout, "dropout")
        self.blocks = nn.ModuleList(Block(one, d_model, n_heads, scale, dropout, **options) for one in mixers)
        self.embedding = nn.Embedding(self.vocabulary, d_model, **place)
        self.norm = nn.RMSNorm(d_model, **place)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        kept = {name: option for name, option in options.items() if name not in place}
        sizes = {"vocabulary": self.vocabulary, "d_model": d_model, "n_heads": n_heads, "n_layers": n_layers}
        self._description = {**sizes, "dropout": dropout, "options": kept}
        self.caches: list[Cache] = []
        """The caches of the latest :meth:`generate`, one for each layer."""

    def forward(
        self, tokens: torch.Tensor, mask: torch.Tensor | None = None, cu_seqlens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits of the next token at every position: ``(batch, n)`` int64 to ``(batch, n, vocabulary)``.

        ``mask`` and ``cu_seqlens`` as for :meth:`GLMixer.forward`: padded or packed sequences.
        """
        x = self._embedded(tokens, 2)
        for block in self.blocks:
            x = block(x, mask, cu_seqlens)
        return self._logits(x)

    def loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of each token given those before it, in nats: ``(batch, n ≥ 2)`` to a scalar."""
        if tokens.dim() != 2 or tokens.shape[1] < 2:
            raise ShapeError(f"tokens have shape {tuple(tokens.shape)}; (batch, n) with n ≥ 2 is needed")
        logits = self(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def prefill(
        self, tokens: torch.Tensor, horizon: int | None = None, caches: list[Cache] | None = None
    ) -> tuple[torch.Tensor, list[Cache]]:
        """As :meth:`forward`, with one cache for each layer; with ``caches``, the chunk that follows them."""
        given = [None] * len(self.blocks) if caches is None else self._checked(caches)
        x, result = self._embedded(tokens, 2), []
        for block, cache in zip(self.blocks, given):
            x, made = block.prefill(x, horizon, cache)  # type: ignore[operator]
            result.append(made)
        return self._logits(x), result

    @torch.no_grad()
    def step(self, token: torch.Tensor, caches: list[Cache]) -> torch.Tensor:
        """Logits after one more token, ``(batch,)`` int64 to ``(batch, vocabulary)``; changes the caches."""
        x = self._embedded(token, 1)
        for block, cache in zip(self.blocks, self._checked(caches)):
            x = block.step(x, cache)  # type: ignore[operator]
        return self._logits(x)

    @torch.no_grad()
    def generate(
        self,
        tokens: torch.Tensor,
        number: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Continue each sequence by ``number`` tokens, from the caches alone.

        Parameters
        ----------
        tokens : int64 tensor (batch, n)
            The prompts, of one length.
        number : int
            Tokens to add.
        temperature : float
            Of the sampling; 0 takes the likeliest token.
        generator : torch.Generator, optional
            Source of randomness.

        Returns
        -------
        int64 tensor (batch, n + number)
            Prompt and continuation; :attr:`caches` holds the caches used.

        Raises
        ------
        RangeError
            A temperature that is not a finite number ≥ 0; a token outside the vocabulary.
        """
        number = check_length(number, "number", 0)
        if not isinstance(temperature, int | float) or not 0 <= temperature < float("inf"):
            raise RangeError(
                f"temperature = {temperature!r}; a finite number ≥ 0 is needed, 0 takes the likeliest token"
            )
        self._check(tokens, 2)
        horizon = tokens.shape[1] + max(number - 1, 0)  # the last token is never fed back
        logits, self.caches = self.prefill(tokens, horizon)
        logits, pieces = logits[:, -1], [tokens]
        for index in range(number):
            if index:
                logits = self.step(pieces[-1][:, 0], self.caches)
            if temperature == 0:
                chosen = logits.argmax(dim=-1, keepdim=True)
            else:
                chances = (logits / temperature).softmax(dim=-1)
                chosen = torch.multinomial(chances, 1, generator=generator)
            pieces.append(chosen.to(tokens.dtype))
        return torch.cat(pieces, dim=1)

    # --- saving -----------------------------------------------------------------------------------

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> GLMLanguageModel:
        """A model rebuilt from its checkpoint alone: mixers, sizes, options, weights, their dtype and device.

        Raises
        ------
        CheckpointError
            A mixer holds a Python function, or the checkpoint is not a whole ``state_dict`` of a model.

        Examples
        --------
        >>> import glmix_theory as glm
        >>> stack = glm.catalogue.stacks["griffin"]
        >>> model = GLMLanguageModel(stack, 7, d_model=8, n_heads=2, n_layers=3)
        >>> rebuilt = GLMLanguageModel.from_state_dict(model.state_dict())
        >>> [block.mixer.mixer for block in rebuilt.blocks] == list(stack)
        True
        """
        saved, weight = described(state, "embedding.weight", (*_IDENTITY, "dropout", "options"))
        names = [f"blocks.{layer}.mixer.{EXTRA}" for layer in range(saved["n_layers"])]
        missing = [name for name in names if name not in state]
        if missing:
            raise CheckpointError(f"the checkpoint has no entry {missing[0]!r}; give the model's whole state_dict()")
        mixers: dict[str, Mixer] = {}  # layers of one mixer share it, and what is remembered for it
        texts = [read(state[name])["mixer"] for name in names]
        for text in texts:
            mixers[text] = mixers.get(text) or rebuilt(text)
        sizes = {name: saved[name] for name in (*_IDENTITY, "dropout")}
        options = {**saved["options"], "device": weight.device, "dtype": weight.dtype}
        model = cls([mixers[text] for text in texts], **sizes, **options)
        model.load_state_dict(state)
        return model

    def get_extra_state(self) -> torch.Tensor:
        """Sizes and options as bytes; each layer's entry says its mixer."""
        return written(self._description)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Raise :class:`~glmix_theory.errors.CheckpointError` unless the checkpoint is of a model of these sizes."""
        require_same("model", self._description, read(state), _IDENTITY)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if prefix + EXTRA in state_dict:  # before any weight is copied
            self.set_extra_state(state_dict[prefix + EXTRA])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __getstate__(self) -> dict[str, object]:
        # Caches belong to the layers they were made by, so a copied or saved model has none.
        return {**super().__getstate__(), "caches": []}

    # --- parts ------------------------------------------------------------------------------------

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.norm(x), self.embedding.weight)

    def _embedded(self, tokens: torch.Tensor, axes: int) -> torch.Tensor:
        self._check(tokens, axes)
        embedded: torch.Tensor = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        return embedded

    def _checked(self, caches: list[Cache]) -> list[Cache]:
        if len(caches) != len(self.blocks):
            raise CacheError(f"{len(caches)} caches were given; {len(self.blocks)} are needed, one a layer")
        return caches

    def _check(self, tokens: torch.Tensor, axes: int) -> None:
        if not isinstance(tokens, torch.Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            kind = getattr(tokens, "dtype", type(tokens).__name__)
            raise DtypeError(f"tokens are {kind}; a torch.int64 tensor is needed")
        if tokens.dim() != axes or 0 in tokens.shape:
            needed = "(batch, n)" if axes == 2 else "(batch,)"
            raise ShapeError(f"tokens have shape {tuple(tokens.shape)}; {needed} is needed, each at least 1")
        if torch.compiler.is_compiling() or tokens.device.type != "cpu":
            return  # looking at values would break the graph, or wait for the device
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= self.vocabulary:
            worst = low if low < 0 else high
            raise RangeError(f"token {worst} is outside the vocabulary; tokens are 0 … {self.vocabulary - 1}")
