"""Settings shared by every test: the import path and the hypothesis profiles.

CI draws the same examples every time; ``pytest --hypothesis-profile=thorough`` draws many new ones.
"""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `from tests import …` works

# Without a CUDA device Triton's kernels run in its interpreter, which Triton asks for while it is loaded.
try:
    import torch
except ModuleNotFoundError:  # patterns and reports are tested without it, too
    pass
else:
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"

slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "reproducible", deadline=None, derandomize=True, max_examples=100, suppress_health_check=slow_is_fine
)
settings.register_profile("thorough", deadline=None, max_examples=3000, suppress_health_check=slow_is_fine)
settings.load_profile("reproducible")
