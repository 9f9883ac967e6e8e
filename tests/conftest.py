"""Property tests look at the same examples in every run, so that it means the same everywhere; EXPLORE=1 for others.

The files that take longest begin first, so that none of them is left over when all others are done.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

SLOW_MACHINES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # they find the same faults
settings.register_profile("repeatable", derandomize=True, **SLOW_MACHINES)
if not os.environ.get("EXPLORE"):
    settings.load_profile("repeatable")

LONGEST = (
    "e2e/test_plug_table.py", "e2e/test_service.py", "vcan/test_can_input.py", "vcan/test_commands.py",
    "e2e/test_plug.py", "e2e/test_listen.py", "venus_dbus/test_values.py", "vcan/test_trouble.py",
    "vcan/test_gateway.py", "e2e/test_full.py", "limits/test_laws.py", "limits/test_weather.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """LONGEST before all others, which stay as they are; all names are the same in every process."""
    passing = [item.nodeid for item in items if " at 0x" in item.nodeid]
    assert not passing, f"{passing[0]}: an address in a test's name, expected ids= that give it another"
    place = {f"tests/{name}": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONGEST)))
