"""Profiles of hypothesis: the same few examples each time in tests; many new ones in `make fuzz`; and its failures again."""

import os

from hypothesis import HealthCheck, Phase, settings

_ALL = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
settings.register_profile("few", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate], **_ALL)
settings.register_profile("many", **_ALL)
settings.register_profile("replay", phases=[Phase.reuse], **_ALL)  # failures that "many" has saved in .hypothesis
settings.load_profile(os.environ.get("SENC_FUZZ", "few"))
