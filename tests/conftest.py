"""Property tests look at the same examples in every run, so that it means the same everywhere; EXPLORE=1 for others."""

import os

from hypothesis import HealthCheck, settings

SLOW_MACHINES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # they find the same faults
settings.register_profile("repeatable", derandomize=True, **SLOW_MACHINES)
if not os.environ.get("EXPLORE"):
    settings.load_profile("repeatable")
