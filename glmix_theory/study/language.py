"""Language modelling on text every machine has: the sources of the Python standard library, byte by byte."""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from glmix_theory.errors import StudyError, check_length
from glmix_theory.study.tasks import Batch

TEST_PACKAGES = ("asyncio", "email", "json", "sqlite3", "unittest")
"""Packages held out for the test, whole."""

VALIDATION_PACKAGES = ("http", "importlib", "logging")
"""Packages held out for the validation, whole."""

LEFT_OUT = (
    "__pycache__", "site-packages", "dist-packages",  # not the library's sources
    "test", "tests", "idlelib", "lib2to3", "turtledemo",  # tests, an editor, a grammar, demonstrations
    "encodings", "pydoc_data", "ensurepip",  # tables of characters, a manual, archives
)  # fmt: skip
"""Folders that are not read, wherever they stand. So are files whose name starts with ``_sysconfigdata`` or
``test_``, which a machine or a distribution writes differently, or which only test."""

SEPARATOR = b"\n"


@dataclass(frozen=True)
class Corpus:
    """Text in three splits, uint8 arrays, and a digest of all three."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Sizes in bytes, held-out packages, digest."""
        sizes = {split: int(getattr(self, split).size) for split in ("train", "validation", "test")}
        return {
            **sizes,
            "test_packages": list(TEST_PACKAGES),
            "validation_packages": list(VALIDATION_PACKAGES),
            "digest": self.digest,
        }


@lru_cache(maxsize=4)
def corpus(folder: str | None = None) -> Corpus:
    """The ``.py`` files below a folder (the standard library), in the order of their paths, joined by line breaks.

    A file belongs to the split its top-level package is named in (:data:`TEST_PACKAGES`,
    :data:`VALIDATION_PACKAGES`) and to ``train`` otherwise; :data:`LEFT_OUT` is skipped.

    Raises
    ------
    StudyError
        There is no such text, for example because the library is kept in an archive.
    """
    root = Path(folder or sysconfig.get_paths()["stdlib"])
    splits: dict[str, list[bytes]] = {"train": [], "validation": [], "test": []}
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).parts):
        parts = path.relative_to(root).parts
        if set(parts[:-1]) & set(LEFT_OUT) or parts[-1].startswith(("_sysconfigdata", "test_")):
            continue
        split = "train"
        if parts[0] in TEST_PACKAGES:
            split = "test"
        elif parts[0] in VALIDATION_PACKAGES:
            split = "validation"
        splits[split].append(path.read_bytes())
    texts = {split: SEPARATOR.join(files) for split, files in splits.items()}
    missing = [split for split, text in texts.items() if not text]
    if missing:
        raise StudyError(
            f"no Python sources for {' and '.join(missing)} were found below the standard library's folder"
        )
    digest = hashlib.sha256(b"\0".join(texts.values())).hexdigest()[:16]
    arrays = {split: np.frombuffer(text, dtype=np.uint8) for split, text in texts.items()}
    return Corpus(digest=digest, **arrays)


@dataclass(frozen=True)
class LanguageModelling:
    """Predict each byte of program text from those before it.

    A sequence is ``context`` bytes of one window of the corpus; the answer at each position is the next
    byte. Training windows start anywhere; held-out windows are disjoint and evenly spread over their split.

    Parameters
    ----------
    context : int
        Positions of a sequence, at least 1.

    Examples
    --------
    >>> LanguageModelling(context=8).vocabulary
    256
    """

    context: int = 512
    name: ClassVar[str] = "language"

    def __post_init__(self) -> None:
        check_length(self.context, "context")

    @property
    def length(self) -> int:
        """Positions of a sequence."""
        return self.context

    @property
    def vocabulary(self) -> int:
        """Number of byte values."""
        return 256

    def sample(self, generator: np.random.Generator, number: int) -> Batch:
        """Windows of the training text; the same generator state gives the same ones."""
        text = corpus().train
        starts = generator.integers(len(text) - self.context, size=number)
        return self._windows(text, starts)

    def held_out(self, split: str, number: int) -> Iterator[Batch]:
        """At most ``number`` disjoint windows of ``"validation"`` or ``"test"``, evenly spread, in batches."""
        text = getattr(corpus(), split)
        possible = (len(text) - 1) // self.context
        chosen = np.linspace(0, possible - 1, min(number, possible)).astype(np.int64)
        for start in range(0, len(chosen), 32):
            yield self._windows(text, chosen[start : start + 32] * self.context)

    def to_dict(self) -> dict[str, Any]:
        """Name, size and the corpus it is about, plain data."""
        return {"name": self.name, "context": self.context, "corpus": corpus().digest}

    def _windows(self, text: np.ndarray, starts: np.ndarray) -> Batch:
        rows = text[starts[:, None] + np.arange(self.context + 1)].astype(np.int64)
        return Batch(rows[:, :-1], rows[:, 1:])
