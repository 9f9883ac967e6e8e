"""Words that many rows of the list share: how Home Assistant shows them, and their keys in `status --json`."""

from typing import Final

from outputs.values.value import HomeAssistant

PLAIN: Final = HomeAssistant()
NOTED: Final = HomeAssistant(diagnostic=True)  # a figure for whoever looks closer
HIDDEN: Final = HomeAssistant(diagnostic=True, enabled=False)
TEXT: Final = HomeAssistant(state_class="", diagnostic=True)
COUNTED: Final = HomeAssistant(state_class="total_increasing", diagnostic=True, enabled=False)
ENUM: Final = HomeAssistant("enum", state_class="")
VOLTS, AMPS, CELSIUS = HomeAssistant("voltage"), HomeAssistant("current"), HomeAssistant("temperature")
NOTED_VOLTS, NOTED_CELSIUS = HomeAssistant("voltage", diagnostic=True), HomeAssistant("temperature", diagnostic=True)
HIDDEN_VOLTS = HomeAssistant("voltage", diagnostic=True, enabled=False)
HIDDEN_AMPS = HomeAssistant("current", diagnostic=True, enabled=False)
HIDDEN_CELSIUS = HomeAssistant("temperature", diagnostic=True, enabled=False)
ENERGY: Final = HomeAssistant("energy", state_class="total_increasing")
SECONDS: Final = HomeAssistant("duration")
HIDDEN_SECONDS = HomeAssistant("duration", diagnostic=True, enabled=False)
PROBLEM: Final = HomeAssistant("problem", state_class="", diagnostic=True)
RUNNING: Final = HomeAssistant("running", state_class="")


def both(name: str) -> tuple[str, str]:
    """The key in `status --json` of a value that bank and readings have under one name."""
    return f"bank.{name}", f"batteries.reading.{name}"
