"""Searches: values as reported, nothing lost or repeated when killed, failures kept, workers of every kind."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import pytest
import sympy

import glmix_theory as glm
from glmix_theory import analysis
from glmix_theory.analysis import analyze
from glmix_theory.design import Point, Store, read_space, search
from glmix_theory.design import search as search_function
from glmix_theory.design.evaluation import within
from glmix_theory.errors import MissingDependencyError, StoreError, TimeLimitError
from tests.test_cli import run

ROOT = Path(__file__).resolve().parent.parent.parent
SPACE = [
    {"pattern": "Window(w) | Offsets(b**k)", "w": [1, 3], "b": [1, 2, 3]},  # b = 1 does not increase
    {"pattern": "CacheEfficient(a*k**2 + 1)", "a": [1, 2]},
    {"pattern": "Window(w)", "as": "direct", "w": [2, 8]},
]
NAMES = ["step_cost", "cache_size", "distance", "congestion"]


def rows(store: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(store)
    found = connection.execute("SELECT point, quantity, status, started FROM results ORDER BY rowid").fetchall()
    connection.close()
    return found


def test_values_are_those_of_the_report() -> None:
    found = search(SPACE, NAMES, n=64)
    assert len(found.points) == 10
    for point in found.points:
        if point.failed:
            continue
        report = analyze(point.mixer)
        assert point.values == {name: report[name].at(64) for name in NAMES}
        assert {name: r.evidence for name, r in point.results.items()} == {name: report[name].status for name in NAMES}
    assert found.points[-1].values["distance"] == sympy.oo
    assert found.frontier == [p for p in found.frontier if not p.failed]


def test_a_failed_point_is_recorded_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    store = tmp_path / "search.sqlite"
    found = search(SPACE, NAMES[:2], n=32, store=store)
    assert [point.parameters for point in found.failed] == [{"w": 1, "b": 1}, {"w": 3, "b": 1}]
    assert found.failed[0].errors["step_cost"].startswith("IndexFunctionError: ")
    assert found.failed[0].results["step_cost"].traceback.startswith("Traceback")
    assert {status for *_, status, _ in rows(store)} == {"evaluated", "failed"}
    before = rows(store)
    time.sleep(0.01)
    search(SPACE, NAMES[:2], n=32, store=store)
    assert rows(store) == before
    search(SPACE, NAMES[:2], n=32, store=store, retry_failed=True)
    again = {(point, quantity): started for point, quantity, _, started in rows(store)}
    for point, quantity, status, started in before:
        assert (again[point, quantity] > started) == (status == "failed")


def test_further_objectives_and_lengths_use_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, counted = tmp_path / "search.sqlite", []
    quantity = analysis.QUANTITIES["step_cost"]
    monkeypatch.setitem(analysis.QUANTITIES, "step_cost", lambda mixer: counted.append(mixer) or quantity(mixer))
    space = {"pattern": "Window(w)", "w": [1, 2, 3]}
    search(space, "step_cost", n=8, store=store)
    search(space, ["depth", "step_cost"], n=8, store=store)
    search({"pattern": "Window(w)", "w": [2, 3, 4]}, ["max step_cost"], n=8, store=store)
    assert len(counted) == 4
    search(space, "step_cost", n=9, store=store)
    assert len(counted) == 7


KILLED = """
import os, signal, sys
from glmix_theory import analysis
from glmix_theory.design import search

store, counter, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
original = analysis.QUANTITIES["depth"]
done = 0

def counting(mixer):
    global done
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(counter, "a") as file:
        file.write(repr(mixer) + "\\n")
    return original(mixer)

analysis.QUANTITIES["depth"] = counting
search({"pattern": "Window(w)", "w": {"from": 1, "to": 12}}, ["depth"], n=16, store=store)
"""


def test_killed_half_way_nothing_is_lost_and_nothing_repeated(tmp_path: Path) -> None:
    store, counter = tmp_path / "search.sqlite", tmp_path / "evaluated.txt"

    def start(last: int) -> int:
        arguments = [sys.executable, "-c", KILLED, str(store), str(counter), str(last)]
        return subprocess.run(arguments, cwd=ROOT, check=False).returncode

    assert start(7) == -signal.SIGKILL
    assert len(rows(store)) == 6
    first = rows(store)
    assert start(5) == -signal.SIGKILL
    assert len(rows(store)) == 10
    assert start(1000) == 0
    assert rows(store)[:6] == first
    evaluated = counter.read_text().splitlines()
    assert len(evaluated) == len(set(evaluated)) == len(rows(store)) == 12


PARALLEL = """
import sys
from glmix_theory.design import search

if __name__ == "__main__":
    space = {"pattern": "CacheEfficient(a*k**2 + 1)", "a": {"from": 1, "to": 40}}
    found = search(space, ["congestion", "distance"], n=256, store=sys.argv[1], jobs=2)
    print(len(found.points))
"""


def test_parallel_search_killed_from_outside_and_two_at_once(tmp_path: Path) -> None:
    """Kill a search with two workers at some moment, then run two of them on the same file at once."""
    store = tmp_path / "search.sqlite"

    def start() -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", PARALLEL, str(store)]
        return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)

    search_process = start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (store.exists() and _count(store) >= 6):
        time.sleep(0.02)
    os.killpg(search_process.pid, signal.SIGKILL)
    search_process.wait()
    first = rows(store)
    assert 6 <= len(first) < 80, "the search was to be killed half-way"
    both = [start(), start()]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["40", "40"]
    assert rows(store)[: len(first)] == first
    assert len(rows(store)) == 80
    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def _count(store: Path) -> int:
    try:
        return len(rows(store))
    except sqlite3.OperationalError:  # the table is being made
        return 0


def test_the_same_search_in_processes_threads_and_on_a_dask_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    expected = search(SPACE, NAMES, n=32).to_dict()
    assert search(SPACE, NAMES, n=32, jobs=2).to_dict() == expected
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert search(SPACE, NAMES, n=32).to_dict() == expected
    workers: list[str] = []
    original = analysis.QUANTITIES["step_cost"]

    def located(mixer: glm.Mixer) -> Any:
        workers.append(distributed.get_worker().address)  # raises anywhere but on the cluster
        return original(mixer)

    monkeypatch.setitem(analysis.QUANTITIES, "step_cost", located)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        assert search(SPACE, NAMES, n=32).to_dict() == expected
    assert len(workers) == 8


class Deadly(Point):
    """A point that takes its process with it."""

    def mixer(self) -> glm.Mixer:
        os._exit(1)


def test_a_point_that_kills_its_worker_is_a_failed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points = read_space({"pattern": "Window(w)", "w": {"from": 1, "to": 9}})
    points[3] = Deadly(points[3].parts)
    module = sys.modules[search_function.__module__]
    monkeypatch.setattr(module, "read_space", lambda space: points)
    found = search([], "depth", n=8, jobs=2)
    assert [point.text for point in found.failed] == [points[3].text]
    assert found.failed[0].errors["depth"].startswith("WorkerError: ")
    assert sorted(point.values["depth"] for point in found.points if not point.failed) == sorted(
        analyze(point.mixer()).depth.at(8) for i, point in enumerate(points) if i != 3
    )


def test_a_point_that_takes_too_long_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    original = analysis.QUANTITIES["depth"]

    def slow(mixer: glm.Mixer) -> Any:
        while mixer.recurrent == glm.Lags([1]):
            with contextlib.suppress(Exception):  # code that catches every error must not catch this one
                time.sleep(0.001)
        return original(mixer)

    monkeypatch.setitem(analysis.QUANTITIES, "depth", slow)
    space = {"pattern": "Lags(l)", "l": [[1], [2], [1, 2]]}
    for backend in ("loky", "threading"):
        with joblib.parallel_config(backend=backend, n_jobs=1 if backend == "loky" else 2):
            found = search(space, "depth", n=8, time_limit=0.3)
        assert [point.parameters for point in found.failed] == [{"l": [1]}]
        assert found.failed[0].errors["depth"].startswith("TimeLimitError: ")


def test_a_limit_leaves_nothing_behind() -> None:
    """However close the end and the limit come, the error arrives inside the call or not at all."""
    ended = expired = 0
    for i in range(200):
        try:
            within(0.0005 + i % 5 * 1e-4, lambda: time.sleep(0.0007))
            ended += 1
        except TimeLimitError:
            expired += 1
    assert ended + expired == 200
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)


def test_layer_time_is_measured_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    store = tmp_path / "search.sqlite"
    space = {"catalogue": ["exponential_recurrence", "attention"]}
    layer = {"d_model": 16, "n_heads": 2, "repeats": 3}
    found = search(space, ["cache_size", "layer_time"], n=32, store=store, layer=layer)
    assert all(0 < point.values["layer_time"] < 10 for point in found.points)
    again = search(space, ["cache_size", "layer_time"], n=32, store=store, layer=layer)
    assert again.to_dict() == found.to_dict()
    assert len(rows(store)) == 4
    search(space, "layer_time", n=32, store=store, layer=layer | {"batch": 2})
    assert len(rows(store)) == 6


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be read as one" * 40, None])
def test_other_files_are_no_stores(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "other.sqlite"
    if content is None:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE other (a)")
        connection.commit()
        connection.close()
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"other\.sqlite"):
        Store(file)
    assert file.read_bytes() == before


def test_table_dataframe_and_plain_data(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    found = search(SPACE, [*NAMES[:2], "max state_rank"], n=64)
    assert "state rank (rows, max)" in found.table().to_markdown()
    assert len(found.table().rows) == len(found.frontier)
    assert len(found.table(everything=True).rows) == 10
    assert "2 failed" in found.summary()
    frame = found.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["point"]) == [point.text for point in found.points]
    assert (frame["standing"].str.startswith("frontier")).sum() == len(found.frontier)
    assert json.loads(json.dumps(found.to_dict()))["n"] == 64
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pandas"):
        found.to_dataframe()


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, store, picture = tmp_path / "search.toml", tmp_path / "found.sqlite", tmp_path / "frontier.png"
    file.write_text(
        'n = 32\nobjectives = ["step_cost", "distance"]\n[[space]]\npattern = "Offsets(b**k)"\nb = [1, 2]\n'
    )
    arguments = ("search", str(file), "--store", str(store), "--jobs", "1")
    code, out, _ = run(capsys, monkeypatch, *arguments, "--plot", str(picture))
    assert code == 0
    assert "Offsets(2**k)" in out
    assert "1 failed" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(capsys, monkeypatch, *arguments, "--json")
    assert (code, json.loads(out)["frontier"]) == (0, ["recurrent: Offsets(2**k)"])
    assert len(rows(store)) == 4
    file.write_text('n = 32\nobjectives = ["depth"]\n[[space]]\npattern = "Offsets(1**k)"\n')
    assert run(capsys, monkeypatch, "search", str(file))[0] == 1
    file.write_text('n = 32\nobjectives = ["dept"]\n[[space]]\npattern = "Window(2)"\n')
    code, _, err = run(capsys, monkeypatch, "search", str(file))
    assert code == 2
    assert "did you mean 'depth'" in err


def test_the_example_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "search", str(ROOT / "examples" / "search.toml"), "--jobs", "1", "--json")
    assert code == 0
    data = json.loads(out)
    assert len(data["points"]) == 25
    assert not any(point["errors"] for point in data["points"])
