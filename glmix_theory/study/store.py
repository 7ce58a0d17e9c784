"""Results as JSON lines: one line for each finished run, appended by one writer, whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from glmix_theory.errors import StudyError

RUNS = "runs.jsonl"
"""Name of the file inside a folder of results."""


class Store:
    """The results in one folder: ``runs.jsonl`` and, while runs are unfinished, ``checkpoints/``.

    Claim: a record that :meth:`add` returned from is on the disk, and a process killed while it writes
    leaves at most one torn last line, which the next reader skips and the next writer removes.

    Parameters
    ----------
    folder : path
        Made when it is written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(folder)
    ...     with store.writing():
    ...         store.add({"kind": "run", "key": "a"})
    ...     store.read()
    [{'kind': 'run', 'key': 'a'}]
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @property
    def path(self) -> Path:
        """The file of results."""
        return self.folder / RUNS

    def checkpoint(self, key: str) -> Path:
        """Where the run of a key keeps its checkpoint."""
        return self.folder / "checkpoints" / f"{key}.pt"

    def read(self) -> list[dict[str, Any]]:
        """All records, in the order they were added; none where nothing was written yet.

        Raises
        ------
        StudyError
            A line other than a torn last one is not JSON.
        """
        if not self.path.exists():
            return []
        records = []
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = json.loads(line)
            except ValueError:
                if number == len(lines):
                    break  # torn: written by a process that was killed
                raise StudyError(f"{self.path}, line {number} is not a record of a study") from None
            if not isinstance(record, dict) or "kind" not in record:
                raise StudyError(f"{self.path}, line {number} is not a record of a study")
            records.append(record)
        return records

    def add(self, record: dict[str, Any]) -> None:
        """Append one record and wait until it is on the disk; only inside :meth:`writing`."""
        line = json.dumps(record, ensure_ascii=False, sort_keys=False, allow_nan=False) + "\n"
        with open(self.path, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer; removes a torn last line.

        Raises
        ------
        StudyError
            Another process is writing here.
        """
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StudyError(f"another process is writing to {self.folder}; wait for it, or use --folder") from None
            if self.path.exists():
                whole = self.path.read_bytes()
                kept = whole[: whole.rfind(b"\n") + 1]
                if len(kept) < len(whole):
                    os.truncate(self.path, len(kept))
            yield


def provenance() -> dict[str, Any]:
    """What produced a record: versions, machine, git commit of the package, command, time (UTC)."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        **_commit(),
        "command": _command(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


_PACKAGES = ("glmix-theory", "torch", "numpy", "numba", "triton")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _command() -> str:
    """What was typed; ``glmix`` for the package's own command line, however it was started."""
    program = Path(sys.argv[0])
    own = program.name == "glmix" or program.parent == Path(__file__).resolve().parents[1] / "cli"
    return shlex.join(["glmix" if own else program.name, *sys.argv[1:]])


def _commit() -> dict[str, Any]:
    """Commit of the repository this package stands in, and whether the package's files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "--", ".."))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "modified": None}
