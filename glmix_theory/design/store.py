"""What a search has found, kept in one SQLite file from the moment it is known."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from glmix_theory.errors import StoreError

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    point      TEXT    NOT NULL,  -- the point's text, such as 'recurrent: Window(2) | Offsets(2**k)'
    n          INTEGER NOT NULL,  -- length it was evaluated at
    quantity   TEXT    NOT NULL,  -- 'step_cost', …, or 'layer_time[…]' with everything it was measured under
    library    TEXT    NOT NULL,  -- version of glmix_theory
    status     TEXT    NOT NULL CHECK (status IN ('evaluated', 'failed')),
    value      TEXT,              -- JSON: a number, "oo" or {"lower": …, "upper": …}; NULL where failed
    evidence   TEXT    NOT NULL,  -- 'proved', 'cited', 'checked', 'fitted' or 'measured'; '' where failed
    parameters TEXT    NOT NULL,  -- JSON: the values of the template's parameters
    mixer      TEXT    NOT NULL,  -- the mixer as it prints; '' where it could not be built
    error      TEXT    NOT NULL,  -- 'ErrorType: message' where failed
    traceback  TEXT    NOT NULL,
    started    TEXT    NOT NULL,  -- UTC, ISO 8601
    seconds    REAL    NOT NULL,  -- how long the evaluation took
    PRIMARY KEY (point, n, quantity, library)
)
"""
"""One row for each quantity of each point at each length, in the table ``results``."""

COLUMNS = (
    "point", "n", "quantity", "library", "status", "value", "evidence", "parameters", "mixer", "error", "traceback",
    "started", "seconds",
)  # fmt: skip

WAIT = 60.0
"""Seconds to wait while another search writes to the same file."""


@dataclass(frozen=True)
class Result:
    """One quantity of one point: its value, or the error that took its place (a row of the table ``results``).

    ``value`` is plain data: a number, ``"oo"``, ``{"lower": …, "upper": …}``, or ``None`` where it failed.
    """

    point: str
    n: int
    quantity: str
    status: str
    value: Any
    evidence: str
    parameters: dict[str, Any]
    mixer: str
    error: str
    traceback: str
    started: str
    seconds: float
    library: str = field(default_factory=lambda: library_version())


class Store:
    """A file of search results that may be written by several searches at once, and killed at any moment.

    Claim: a result that :meth:`add` returned from is in the file, whatever happens to the process next; each
    call is one transaction of SQLite's rollback journal.

    Parameters
    ----------
    path : path, optional
        An SQLite file, made when absent; without it the results live in memory.

    Raises
    ------
    StoreError
        The file is not an SQLite database, or holds other tables, or cannot be opened.

    Examples
    --------
    >>> with Store() as store:
    ...     store.known(64)
    {}
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(":memory:" if path is None else path, timeout=WAIT)
            self._prepare()
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} cannot be used as a store ({error}); give a new file or one a search made"
            ) from None

    def _prepare(self) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")  # two searches may make the file at the same moment
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version not in (0, SCHEMA_VERSION) or (version == 0 and tables):
                raise StoreError(
                    f"{self.path} is an SQLite file with other tables or of another version; a store of version "
                    f"{SCHEMA_VERSION} or a new file is needed"
                )
            self._connection.execute(SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def add(self, results: Iterable[Result]) -> None:
        """Write results at once; one that is there already stays, unless it had failed."""
        rows = [
            [
                json.dumps(value) if name in ("value", "parameters") and value is not None else value
                for name in COLUMNS
                for value in [getattr(result, name)]
            ]
            for result in results
        ]
        kept = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[4:])
        with self._connection:
            self._connection.executemany(
                f"INSERT INTO results ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
                f"ON CONFLICT (point, n, quantity, library) DO UPDATE SET {kept} WHERE results.status = 'failed'",
                rows,
            )

    def known(self, n: int) -> dict[tuple[str, str], Result]:
        """All results at length ``n`` of this version of the library, by point text and quantity."""
        query = f"SELECT {', '.join(COLUMNS)} FROM results WHERE n = ? AND library = ?"
        found = {}
        for row in self._connection.execute(query, (n, library_version())):
            fields = dict(zip(COLUMNS, row))
            fields["parameters"] = json.loads(fields["parameters"])
            fields["value"] = None if fields["value"] is None else json.loads(fields["value"])
            found[fields["point"], fields["quantity"]] = Result(**fields)
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def library_version() -> str:
    """The version that results are recorded under: another version evaluates again."""
    return str(import_module(__name__.partition(".")[0]).__version__)
