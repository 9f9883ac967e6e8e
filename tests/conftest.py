"""Property tests look at the same examples in every run, so that it means the same everywhere; EXPLORE=1 for others."""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
if not os.environ.get("EXPLORE"):
    settings.load_profile("repeatable")
