"""Search a space of mixers for the Pareto frontier: in parallel, resumable, every result kept."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from glmix_theory.analysis import QUANTITIES
from glmix_theory.design.evaluation import LAYER_TIME, LayerShape, evaluate, failed, measure
from glmix_theory.design.found import Found, Objective, SearchResult
from glmix_theory.design.space import Point, read_space
from glmix_theory.design.store import Result, Store
from glmix_theory.errors import SpaceError, UnknownNameError, WorkerError, check_length, nearest
from glmix_theory.progress import track

Task = tuple[Point, list[str]]
"""A point and the quantities it lacks."""

FILE_KEYS = ("space", "objectives", "n", "layer", "time_limit")


def search(
    space: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    objectives: str | Sequence[str],
    *,
    n: int,
    store: str | Path | None = None,
    jobs: int | None = None,
    time_limit: float | None = None,
    retry_failed: bool = False,
    layer: Mapping[str, Any] | None = None,
) -> SearchResult:
    """Evaluate every mixer of a space and find those no other is better than.

    Claim: the frontier holds the points that no other evaluated point dominates (at least as good in every
    objective, better in one). Points with equal values all stay. A value known only between bounds counts
    with its worse end, and the result says for which points that matters. ``oo`` (unreachable) is the worst
    value there is, not an exclusion.

    Parameters
    ----------
    space : dict, or list of dicts
        Templates with named parameters; see :func:`~glmix_theory.design.read_space`.
    objectives : str or sequence of str
        What to minimise: quantities of a report, such as ``"step_cost"`` (terms), ``"cache_size"`` (rows),
        ``"distance"`` (hops), ``"congestion"`` (paths), or ``"layer_time"`` (seconds of one forward). Write
        ``"max state_rank"`` for one of which more is better.
    n : int
        The length all values are taken at.
    store : path, optional
        SQLite file that each result is written to as soon as it is known. Results that it holds are not
        evaluated again, so an interrupted search continues where it was; one file serves any number of
        searches, also at once. Schema: ``glmix_theory.design.SCHEMA``.
    jobs : int, optional
        Processes, as joblib's ``n_jobs``: -1 for all cores; by default what a surrounding
        ``joblib.parallel_config`` says, else this process alone. ``joblib.parallel_config(backend="dask")``
        or ``"ray"`` around the call takes the search to a cluster.
    time_limit : float, optional
        Seconds that one quantity of one point may take; longer is a failure of that point. Raised between
        Python instructions, so a single long call into compiled code ends first.
    retry_failed : bool
        Evaluate again what failed in an earlier search with this store.
    layer : dict, optional
        Shape for ``layer_time``: settings of :class:`~glmix_theory.design.LayerShape`. Layer times are
        measured one after the other in this process, after everything else is done.

    Returns
    -------
    SearchResult
        ``.frontier``, ``.points``, ``.failed``; ``.table()``, ``.to_dataframe()``, ``.to_dict()``.

    Raises
    ------
    SpaceError
        The space has no points, or a parameter is unknown or unused.
    UnknownNameError
        An objective or a catalogue entry that does not exist.
    LengthError
        ``n < 1``.
    StoreError
        ``store`` is not a store.

    Examples
    --------
    >>> found = search({"pattern": "CacheEfficient(b**k)", "b": [2, 3, 4]}, ["cache_size", "congestion"], n=64)
    >>> for point in found.frontier:
    ...     print(point.text, point.values)
    recurrent: CacheEfficient(3**k) {'cache_size': 4, 'congestion': Bounds(lower=16, upper=19)}
    recurrent: CacheEfficient(2**k) {'cache_size': 7, 'congestion': Bounds(lower=11, upper=12)}
    """
    n = check_length(n)
    wanted = read_objectives(objectives)
    names = [objective.name for objective in wanted]
    if layer is not None and LAYER_TIME not in names:
        raise SpaceError(f"a layer shape is given but {LAYER_TIME!r} is no objective; add it or leave the shape out")
    if time_limit is not None and not time_limit > 0:
        raise SpaceError(f"time_limit = {time_limit!r} is no time; give seconds above 0, or nothing for no limit")
    shape = LayerShape.read(dict(layer or {})) if LAYER_TIME in names else None
    keys = {name: shape.key() if shape and name == LAYER_TIME else name for name in names}
    analysed = [name for name in names if name != LAYER_TIME]
    points = read_space(space)
    with Store(store) as kept:
        known = kept.known(n)

        def open_for(point: Point, quantities: Sequence[str]) -> list[str]:
            found = {name: known.get((point.text, name)) for name in quantities}
            return [name for name, r in found.items() if r is None or (retry_failed and r.status == "failed")]

        tasks = [(point, missing) for point in points if (missing := open_for(point, analysed))]
        for results in track(_evaluated(tasks, n, jobs, time_limit), "evaluating points", len(tasks)):
            kept.add(results)
        if shape is not None:
            unmeasured = [point for point in points if open_for(point, [keys[LAYER_TIME]])]
            for point in track(unmeasured, "measuring layers"):
                kept.add(measure(point, n, shape, time_limit))
        known = kept.known(n)
    found = [Found(point, {name: known[point.text, key] for name, key in keys.items()}) for point in points]
    return SearchResult(tuple(found), wanted, n, shape)


def read_objectives(objectives: str | Sequence[str]) -> tuple[Objective, ...]:
    """Objectives from their names, each once.

    >>> read_objectives(["step_cost", "max state_rank"])
    (Objective(name='step_cost', maximised=False), Objective(name='state_rank', maximised=True))
    >>> read_objectives("cache")
    Traceback (most recent call last):
    glmix_theory.errors.UnknownNameError: 'cache' is no objective; did you mean 'cache_size'?

    Raises
    ------
    UnknownNameError
        No such quantity (names the nearest).
    SpaceError
        No objective, or one given twice.
    """
    texts = [objectives] if isinstance(objectives, str) else list(objectives)
    found: list[Objective] = []
    known = [*QUANTITIES, LAYER_TIME]
    for text in texts:
        words = str(text).split()
        name = words[-1] if words else ""
        if name not in known:
            raise UnknownNameError(f"{name!r} is no objective; {nearest(name, known)}")
        if words[:-1] not in ([], ["min"], ["max"]):
            raise UnknownNameError(f"{text!r} is no objective; write {name!r}, 'min {name}' or 'max {name}'")
        if name in [objective.name for objective in found]:
            raise SpaceError(f"the objective {name!r} is given twice; give each once")
        found.append(Objective(name, words[0] == "max"))
    if not found:
        raise SpaceError(f"no objectives are given; choose from {', '.join(known)}")
    return tuple(found)


def read_search_file(path: str | Path) -> dict[str, Any]:
    """The arguments of :func:`search` from a TOML file.

    The file holds ``n``, ``objectives``, one ``[[space]]`` table for each template, and optionally
    ``time_limit`` and a ``[layer]`` table; ``examples/search.toml`` is one.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        For ``search(**read_search_file(path))``.

    Raises
    ------
    SpaceError
        No such file, not TOML, a key that is unknown or missing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise SpaceError(
            f"{path} cannot be read ({error.strerror}); give a TOML file with n, objectives and [[space]]"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path} is not TOML: {error}") from None
    for key in data:
        if key not in FILE_KEYS:
            raise SpaceError(f"{path} has an unknown key {key!r}; {nearest(key, list(FILE_KEYS))}")
    for key in ("n", "objectives", "space"):
        if key not in data:
            raise SpaceError(f"{path} has no {key!r}; n, objectives and at least one [[space]] are needed")
    return data


def _evaluated(tasks: list[Task], n: int, jobs: int | None, time_limit: float | None) -> Iterator[list[Result]]:
    """Results point by point, in the order they end; a point that kills its worker is a failed point."""
    import joblib

    waiting = {point.text: (point, names) for point, names in tasks}

    def run(chosen: list[Task], workers: int | None, sent: list[Task]) -> Iterator[list[Result]]:
        def calls() -> Iterator[Any]:
            for point, names in chosen:
                sent.append((point, names))
                yield joblib.delayed(evaluate)(point, n, names, time_limit)

        # One point a task: it takes far longer than sending it, and is stored as soon as it is found.
        parallel = joblib.Parallel(workers, return_as="generator_unordered", batch_size=1)
        for results in parallel(calls()):
            del waiting[results[0].point]
            yield results

    while waiting:
        sent: list[Task] = []
        try:
            yield from run(list(waiting.values()), jobs, sent)
        except BrokenExecutor:
            # A worker died, of memory say, and the points in flight are lost with it: each of them alone in a
            # process shows which one it was.
            for point, names in sent:
                if point.text in waiting:
                    try:
                        yield from run([(point, names)], 2, [])
                    except BrokenExecutor:
                        del waiting[point.text]
                        died = WorkerError("the worker process died, perhaps for lack of memory")
                        yield failed(point, n, names, died)
