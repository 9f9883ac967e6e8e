"""Has a new version come up healthy?  Asked by whoever installs it, before the old one is let go.

Settled is a gateway of the version that is wanted, in one process for so long, that decides all the time and has, where
it is held against an earlier state, every battery and output back that the earlier one had.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.control import ask
from gateway.model import GatewayError

Json = Mapping[str, Any]

LOOK: Final = 0.5  # s between two looks
FRESH: Final = 5.0  # s; a Snapshot is made at least each 1.25 s


def settle(seconds: float, patience: float, version: str, before: Json, socket: Path | None = None) -> None:
    """Returns when the gateway has been well for `seconds`; raises GatewayError, after `patience` s, what is not."""
    end = time.monotonic() + patience
    process, since, trouble = 0, time.monotonic(), "no running gateway answers"
    while (now := time.monotonic()) < end:
        try:
            state = ask({"ask": "state"}, socket)
        except GatewayError as silent:
            process, trouble = 0, str(silent)
        else:
            faults = list(faulty(state, version, before, time.time()))
            about = state.get("service", {}).get("process", 0)
            if faults or about != process:
                process, since = (0 if faults else about), now
            trouble = "; ".join(faults) or "it was started anew again and again"
            if process and now - since >= seconds:
                return
        time.sleep(LOOK)
    raise GatewayError(f"not healthy within {patience:g} s: {trouble}")


def faulty(state: Json, version: str, before: Json, wall: float) -> Iterator[str]:
    """What of a gateway's state is not as it should be."""
    runs = state.get("service", {}).get("version")
    if runs != version:
        yield f"version {runs} runs, expected {version}"
    if "time" not in state:
        yield str(state.get("waiting", "nothing is decided"))
    elif wall - state["time"] > FRESH:
        yield f"nothing was decided for {wall - state['time']:.0f} s"
    for name in sorted(answering(before) - answering(state)):
        yield f"{name} answered before, and does not now"
    for name in sorted(connected(before) - connected(state)):
        yield f"output {name} was connected before, and is not now"


def answering(state: Json) -> set[str]:
    """Names of the batteries that are online."""
    return {battery["name"] for battery in state.get("batteries", ()) if battery.get("health") == "online"}


def connected(state: Json) -> set[str]:
    """Names of the outputs that have their bus."""
    return {name for name, output in state.get("outputs", {}).items() if output.get("connected")}
