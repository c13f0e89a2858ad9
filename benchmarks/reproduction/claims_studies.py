"""Claims that experiments 5 to 8 try."""

from benchmarks.reproduction.claims_critique import CLAIMS as CRITIQUE
from benchmarks.reproduction.claims_settings import CLAIMS as SETTINGS
from benchmarks.reproduction.claims_truth import CLAIMS as TRUTH

CLAIMS = [*SETTINGS, *CRITIQUE, *TRUTH]
