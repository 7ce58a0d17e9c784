"""Claims against counts against execution."""

from glmix_theory.verify.claims import Claim, parse_claim
from glmix_theory.verify.verification import LENGTHS, Check, Verification, verify

__all__ = ["LENGTHS", "Check", "Claim", "Verification", "parse_claim", "verify"]
