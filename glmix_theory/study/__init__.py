"""The empirical study, whether models learn what the theory says they can carry.

Tasks with an oracle, training at equal size, the analyzers' numbers beside what was learned, and a report.
Torch is loaded when something is trained.
"""

from glmix_theory.study.configuration import Run, Schedule, Shape
from glmix_theory.study.language import LanguageModelling
from glmix_theory.study.ngrams import NGram
from glmix_theory.study.reporting import write_report
from glmix_theory.study.results import Outcome, Results
from glmix_theory.study.sizes import SIZES
from glmix_theory.study.store import Store
from glmix_theory.study.studying import study
from glmix_theory.study.tasks import TASKS, Task

__all__ = [
    "SIZES",
    "TASKS",
    "LanguageModelling",
    "NGram",
    "Outcome",
    "Results",
    "Run",
    "Schedule",
    "Shape",
    "Store",
    "Task",
    "study",
    "write_report",
]
