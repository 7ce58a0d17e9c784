"""One file per proposition of the theory: statement, assumptions, proof or check, and its status.

``glmix prove`` and the tests find every file here, run its steps, and check that wrong variants of it are caught.
"""
