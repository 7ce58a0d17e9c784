"""A mixer of one's own, for ``glmix analyze examples/my_pattern.py:mixer``.

A window of four inputs, and a recurrence that reads powers of two and every multiple of eight.
"""

import glmix_theory as glm
from glmix_theory import k

mixer = glm.Mixer(direct=glm.Window(4), recurrent=(glm.Offsets(2**k) | glm.Strided(8)).strict(), name="my pattern")
