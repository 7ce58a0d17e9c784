"""Named errors: each says what was given, what is needed and the nearest valid thing.

Every error is a :class:`GlmixError`, and also the builtin a caller would expect (``ValueError``,
``TypeError``, ``KeyError``, …), so that neither kind of ``except`` misses it.
"""

from typing import Any


class GlmixError(Exception):
    """Base of every error the toolkit raises on purpose."""


class IndexFunctionError(GlmixError, ValueError):
    """An index function ``f`` is not integer-valued, not positive or not strictly increasing."""


class CausalityError(GlmixError, ValueError):
    """A pattern holds a pair ``(t, s)`` with ``s > t``, or a position below 0."""


class StrictnessError(GlmixError, ValueError):
    """A recurrent pattern touches the diagonal: an output would depend on itself."""


class PatternError(GlmixError, ValueError):
    """A pattern was built from arguments it cannot have."""


class SymbolicError(GlmixError, ValueError):
    """A pattern with symbolic parameters was asked for positions, counts or a layer; substitute numbers first."""


class LengthError(GlmixError, ValueError):
    """A sequence length or a position is not an integer in the allowed range."""


class RangeError(GlmixError, ValueError):
    """A number, such as a temperature, a dropout or a token, is outside its range."""


class FormulaError(GlmixError, ValueError):
    """A formula typed as text does not parse, or uses a name outside the allowed ones."""


class CoefficientError(GlmixError, ValueError):
    """Coefficients have the wrong shape, a wrong kind, or are non-zero outside their pattern."""


class UnknownNameError(GlmixError, KeyError):
    """A name is not in a registry; the message names the nearest one."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class ShapeError(GlmixError, ValueError):
    """A tensor has the wrong shape."""


class DtypeError(GlmixError, TypeError):
    """A tensor has the wrong dtype."""


class DeviceError(GlmixError, ValueError):
    """A tensor is on another device than the layer."""


class CacheError(GlmixError, ValueError):
    """A decode cache belongs to another layer or batch size, or was used out of order."""


class CheckpointError(GlmixError, ValueError):
    """A checkpoint is of another mixer or of other sizes, or does not say what is needed to rebuild it."""


class MissingDependencyError(GlmixError, ImportError):
    """An optional package is needed and not installed; the message names the extra."""


class RealizationError(GlmixError, ValueError):
    """A matrix can't be realised as asked: it is not finite, the mixer has no known method, or nothing is feasible."""


class ClaimError(GlmixError, ValueError):
    """A claim given to ``verify`` names an unknown quantity or relation."""


class TargetError(GlmixError, ValueError):
    """A design target does not parse, decreases, or is none that the quantity can have."""


class InfeasibleTargetError(GlmixError, ValueError):
    """No mixer meets the targets: ``theorem`` says why, ``nearest`` holds the nearest targets that are met."""

    def __init__(self, message: str, theorem: Any = None, nearest: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.theorem = theorem
        self.nearest = nearest

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the message, the theorem with its proof, the nearest targets."""
        theorem = {name: getattr(self.theorem, name, "") for name in ("title", "statement", "proof")}
        return {"impossible": str(self), "theorem": theorem, "nearest": [way.to_dict() for way in self.nearest]}


class SpaceError(GlmixError, ValueError):
    """A search space has no points, or names a parameter that is unknown, unused or without values."""


class StoreError(GlmixError, ValueError):
    """A file is not a store of search results, or not of this version of the schema."""


class TaskError(GlmixError, ValueError):
    """A task of the empirical study was given sizes it cannot have."""


class StudyError(GlmixError, ValueError):
    """A study cannot run or be reported: a bad setting, an unequal budget, a results file that is not one."""


class TimeLimitError(GlmixError, TimeoutError):
    """A quantity took longer than its time limit."""


class WorkerError(GlmixError, RuntimeError):
    """A worker process died while it evaluated a point."""


def check_length(value: object, name: str = "n", minimum: int = 1) -> int:
    """Return ``value`` as a Python int, or raise :class:`LengthError`.

    >>> check_length(3)
    3
    >>> check_length(0)
    Traceback (most recent call last):
    glmix_theory.errors.LengthError: n = 0 is below 1; the smallest valid n is 1
    """
    try:
        integer = value.__index__()  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        if getattr(value, "is_Integer", False):
            integer = int(value)  # type: ignore[call-overload]
        else:
            raise LengthError(f"{name} = {value!r} is not an integer; give an int ≥ {minimum}") from None
    if isinstance(value, bool):
        raise LengthError(f"{name} = {value!r} is a bool; give an int ≥ {minimum}")
    if integer < minimum:
        raise LengthError(f"{name} = {integer} is below {minimum}; the smallest valid {name} is {minimum}")
    return int(integer)


def nearest(name: str, known: list[str]) -> str:
    """Phrase naming the closest known names, for error messages.

    >>> nearest("atention", ["attention", "chacal"])
    "did you mean 'attention'?"
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
