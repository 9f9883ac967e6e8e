"""A driver's real polling code run on a recording."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bms_drivers.kit.declare import Control, Driver, Values
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.replay import ReplayLink, Torn
from gateway.model import ConfigError, DeviceRefused, FrameError, LinkTimeout, Reading


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came out of a recording: a Reading a pack ("" = the battery itself), and what did not."""

    readings: Mapping[str, Reading]
    unanswered: list[str]  # requests of the plan that the recording lacks, hex
    errors: list[str]
    torn: list[Torn] = field(default_factory=list)  # requests that were answered, but not whole
    writes: Mapping[str, bool] = field(default_factory=dict)  # switch writes it holds, "charge off" -> accepted?


def decode(driver: Driver, recording: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Decoded:
    """Poll `recording` once with the whole plan.

    `settings` override the recording's own "config", and that what its requests tell (the address, mostly).
    Raises ConfigError for a setting that the driver cannot have.
    """
    settings = {**recorded_settings(driver, recording), **(settings or {})}
    _refuse_settings(driver, settings)
    return asyncio.run(_decode(driver, recording, settings))


def recorded_settings(driver: Driver, recording: Mapping[str, Any]) -> Values:
    """Settings of a recording: its "config", and what its requests tell; where those differ, the first one counts."""
    told: Values = {}
    for exchange in recording.get("exchanges", ()):
        told = {**driver.asked_with(bytes.fromhex(exchange["tx"])), **told}
    return {**told, **recording.get("config", {})}


def _refuse_settings(driver: Driver, settings: Mapping[str, Any]) -> None:
    for option in driver.options:
        if not option.allows(value := settings.get(option.name)):
            raise ConfigError(f"config: {option.name}: {value!r}, expected {option.expected}")


async def _decode(driver: Driver, recording: Mapping[str, Any], settings: Mapping[str, Any]) -> Decoded:
    polled = await _poll_once(driver, recording, settings)
    return replace(polled, writes=await _writes(driver, recording, settings))


async def _writes(driver: Driver, recording: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, bool]:
    """The switch writes that the recording answers, by leading the driver's own control talks over it."""
    found: dict[str, bool] = {}
    for action, control in driver.controls.items():
        for word, value, known in _candidates(action, control, recording):
            link = ReplayLink(recording)
            try:
                await converse(link, control.talk(value, driver.setup(settings), known))
            except LinkTimeout:
                continue
            except (FrameError, DeviceRefused):
                if link.counters["requests"]:  # else the driver itself refused, nothing was asked
                    found[f"{action} {word}"] = False
            else:
                found[f"{action} {word}"] = True
    return found


def _candidates(action: str, control: Control, recording: Mapping[str, Any]) -> Iterator[tuple[str, float, Values]]:
    """What a recording might have written: switches both ways, a SoC where its request tells which."""
    if action != "soc":
        yield from (("off", 0.0, {}), ("on", 1.0, {}))
    elif control.recorded is not None:
        for exchange in recording.get("exchanges", ()):
            said = control.recorded(bytes.fromhex(exchange["tx"]))
            if said is not None:
                yield f"{said[0]:g} %", said[0], said[1]


async def _poll_once(driver: Driver, recording: Mapping[str, Any], settings: Mapping[str, Any]) -> Decoded:
    session, link, errors = Session(driver, settings), ReplayLink(recording), []
    answered = False
    for poll in session.due(0.0):
        try:
            values = await converse(link, poll.talk(session.setup, session.known))
        except LinkTimeout:
            session.missed(poll, 0.0)
        except (FrameError, DeviceRefused) as problem:
            errors.append(f"{poll.name}: {problem}")
        else:
            session.learnt(poll, values, 0.0)
            answered = True
    readings: Mapping[str, Reading] = {}
    if answered:
        try:
            readings = session.readings()
        except FrameError as problem:
            errors.append(str(problem))
    return Decoded(readings, link.unanswered, errors, list(link.torn.values()))
