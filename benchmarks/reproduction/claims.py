"""All claims, in the order of the experiments."""

from benchmarks.reproduction.claims_critique import CLAIMS as CRITIQUE
from benchmarks.reproduction.claims_settings import CLAIMS as SETTINGS
from benchmarks.reproduction.claims_tables import CLAIMS as TABLES
from benchmarks.reproduction.claims_truth import CLAIMS as TRUTH

CLAIMS = [*TABLES, *SETTINGS, *CRITIQUE, *TRUTH]
