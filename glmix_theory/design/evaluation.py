"""One point evaluated: every quantity timed, limited in time, its error caught and described."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from glmix_theory.analysis import QUANTITIES
from glmix_theory.complexity.quantity import plain
from glmix_theory.design.space import Point
from glmix_theory.design.store import Result
from glmix_theory.errors import SpaceError, TimeLimitError, check_length, nearest
from glmix_theory.mixers import Mixer

LAYER_TIME = "layer_time"

Found = TypeVar("Found")


@dataclass(frozen=True)
class LayerShape:
    """What the layer time is measured under: one forward of ``glm.to_torch``, without gradients.

    Parameters
    ----------
    batch, d_model, n_heads : int
        Sequences, width, heads.
    device, dtype, backend : str
        As for ``glm.to_torch``: ``"cpu"``, ``"float32"``, ``"auto"``.
    repeats : int
        Runs after two warm-ups; the median counts.

    Raises
    ------
    LengthError
        A size below 1.
    """

    batch: int = 1
    d_model: int = 256
    n_heads: int = 4
    device: str = "cpu"
    dtype: str = "float32"
    backend: str = "auto"
    repeats: int = 7

    def __post_init__(self) -> None:
        for name in ("batch", "d_model", "n_heads", "repeats"):
            check_length(getattr(self, name), name)

    @classmethod
    def read(cls, described: dict[str, Any]) -> LayerShape:
        """The shape from a table of settings, as in a search file.

        >>> LayerShape.read({"d_model": 64}).d_model
        64
        >>> LayerShape.read({"model": 64})
        Traceback (most recent call last):
        glmix_theory.errors.SpaceError: layer has no setting 'model'; did you mean 'd_model'?

        Raises
        ------
        SpaceError
            An unknown setting.
        """
        known = [setting.name for setting in fields(cls)]
        for name in described:
            if name not in known:
                raise SpaceError(f"layer has no setting {name!r}; {nearest(str(name), known)}")
        return cls(**described)

    def key(self) -> str:
        """Name of the measurement in a store: all that it depends on, torch and its threads included."""
        import torch

        settings = asdict(self) | {"threads": torch.get_num_threads(), "torch": torch.__version__}
        return f"{LAYER_TIME}[{', '.join(f'{name}={value}' for name, value in settings.items())}]"


def evaluate(point: Point, n: int, quantities: Sequence[str], time_limit: float | None = None) -> list[Result]:
    """Evaluate quantities of one point at length ``n``; never raises for what is wrong with the point.

    Parameters
    ----------
    point : Point
        What to evaluate.
    n : int
        Length.
    quantities : sequence of str
        Names in ``glm.analysis.QUANTITIES``.
    time_limit : float, optional
        Seconds for each quantity (and for building the mixer); see :func:`within`.

    Returns
    -------
    list of Result
        One for each quantity, evaluated or failed.

    Examples
    --------
    >>> [result] = evaluate(Point(parts=(("direct", "Window(4)"),)), 64, ["cache_size"])
    >>> result.value, result.evidence, result.mixer
    (3, 'proved', 'Mixer(direct=Window(4))')
    """

    def value_of(name: str) -> Callable[[Mixer], tuple[Any, str]]:
        def compute(mixer: Mixer) -> tuple[Any, str]:
            quantity = QUANTITIES[name](mixer)
            return plain(quantity.at(n)), quantity.status

        return compute

    return _evaluated(point, n, {name: value_of(name) for name in quantities}, time_limit)


def measure(point: Point, n: int, shape: LayerShape, time_limit: float | None = None) -> list[Result]:
    """Measure the layer time of one point in seconds: median of ``shape.repeats`` forwards of a length ``n``.

    Call it while nothing else runs: the time of a machine that does something else is not the layer's.
    """

    def seconds(mixer: Mixer) -> tuple[float, str]:
        return _layer_time(mixer, n, shape), "measured"

    return _evaluated(point, n, {shape.key(): seconds}, time_limit)


def failed(point: Point, n: int, quantities: Sequence[str], error: BaseException) -> list[Result]:
    """Results that say a point could not be evaluated at all."""
    return [_failure(point, n, name, "", error, _now(), 0.0) for name in quantities]


def within(limit: float | None, function: Callable[[], Found]) -> Found:
    """``function()``, ended by an error when it takes longer than ``limit`` seconds.

    Works in any thread of CPython, so also inside a dask worker. The error is raised between two Python
    instructions: a single long call into compiled code ends first.

    Parameters
    ----------
    limit : float or None
        Seconds; without it there is no limit.
    function : callable
        What to run.

    Raises
    ------
    TimeLimitError
        The time is over.

    Examples
    --------
    >>> within(10, lambda: 1 + 1)
    2
    """
    if limit is None:
        return function()
    thread, lock, state = threading.get_ident(), threading.Lock(), {"done": False, "expired": False}

    def expire() -> None:
        with lock:
            if not state["done"]:
                state["expired"] = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Expired))

    timer = threading.Timer(limit, expire)
    timer.daemon = True
    try:
        timer.start()
        try:
            result = function()
        finally:
            with lock:
                state["done"] = True
            timer.cancel()  # an error on its way arrives by here, so never in the caller
        if state["expired"]:  # it arrived and the function swallowed it
            raise _Expired
        return result
    except _Expired:
        raise TimeLimitError(
            f"it took longer than the time limit of {limit:g} s; give more time or leave it out"
        ) from None


class _Expired(BaseException):
    """The time is over; not an ``Exception``, so that no handler on the way takes it for an ordinary failure."""


def _evaluated(
    point: Point, n: int, computations: dict[str, Callable[[Mixer], tuple[Any, str]]], time_limit: float | None
) -> list[Result]:
    began, started = time.perf_counter(), _now()
    try:
        mixer = within(time_limit, point.mixer)
        shown = repr(mixer)
    except Exception as error:
        seconds = time.perf_counter() - began
        return [_failure(point, n, name, "", error, started, seconds) for name in computations]
    results = []
    for name, compute in computations.items():
        began, started = time.perf_counter(), _now()
        try:
            value, evidence = within(time_limit, lambda compute=compute: compute(mixer))  # type: ignore[misc]
        except Exception as error:
            results.append(_failure(point, n, name, shown, error, started, time.perf_counter() - began))
        else:
            seconds = time.perf_counter() - began
            results.append(
                Result(
                    point.text, n, name, "evaluated", value, evidence, point.parameters, shown, "", "", started, seconds
                )
            )
    return results


def _failure(point: Point, n: int, name: str, shown: str, error: BaseException, started: str, seconds: float) -> Result:
    text = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return Result(point.text, n, name, "failed", None, "", point.parameters, shown, text, trace, started, seconds)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _layer_time(mixer: Mixer, n: int, shape: LayerShape) -> float:
    import torch

    from glmix_theory.export import to_torch

    dtype = getattr(torch, shape.dtype)
    generator = torch.Generator().manual_seed(0)
    layer = to_torch(
        mixer, shape.d_model, shape.n_heads, backend=shape.backend, device=shape.device, dtype=dtype
    ).eval()
    x = torch.randn(shape.batch, n, shape.d_model, generator=generator).to(shape.device, dtype)

    def run() -> float:
        began = time.perf_counter()
        layer(x)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        return time.perf_counter() - began

    with torch.no_grad():
        run(), run()
        return statistics.median(run() for _ in range(shape.repeats))
