"""A battery pack whose values drift, lie, vanish and come back, and the link to it, which fails in every way.

The device is real in what counts here: a driver's plan is asked over a link that takes time, so that what the gateway
knows has the age it would have.  What the device last told, and when, is the truth that the laws are held against.
"""

import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bms_drivers import kit
from bms_drivers.links import Link
from bms_drivers.links.link import Counters
from gateway.model import BadChecksum, DeviceRefused, LinkClosed, LinkTimeout

STEPS: Final = ("pack", "cells", "sensors")
ANSWER_TAKES, TIMEOUT_TAKES = 0.05, 0.5  # s
ALARMS: Final = ("high_cell_voltage", "low_cell_voltage", "high_temperature", "internal_failure")

Told = dict[str, Any]


@dataclass
class Pack:
    """What is true in one pack, and what it says of it."""

    rng: random.Random
    cells: list[float]  # V
    temperatures: list[float]  # °C
    soc: float = 60.0  # %
    capacity: float | None = 280.0  # Ah
    current: float = 0.0  # A
    switches: dict[str, bool] = field(default_factory=lambda: {"charge": True, "discharge": True})
    most: float | None = None  # A, the BMS's own limit, both ways
    lies: dict[str, Any] = field(default_factory=dict)  # canonical name -> what is said instead; None = left out
    silent_until: dict[str, float] = field(default_factory=dict)  # step -> s
    fault: str = ""  # of the whole link: "", silent, torn, closed
    fault_until: float = 0.0  # s
    told: dict[str, tuple[float, Told]] = field(default_factory=dict)  # step -> when, what
    writes: list[tuple[float, str, float]] = field(default_factory=list)  # when, action, value

    def said(self, step: str) -> Told:
        """What the pack answers to one step of the plan."""
        honest: Mapping[str, Told] = {
            "pack": {
                "voltage": round(sum(self.cells), 2), "current": round(self.current, 2), "soc": round(self.soc, 1),
                "capacity": self.capacity, "charge_allowed": self.switches["charge"],
                "discharge_allowed": self.switches["discharge"], "max_charge_current": self.most,
                "max_discharge_current": self.most, "alarms": dict.fromkeys(ALARMS, 0),
            },
            "cells": {"cell_voltages": [round(volts, 3) for volts in self.cells]},
            "sensors": {"temperatures": [round(value, 1) for value in self.temperatures]},
        }  # fmt: skip
        return {name: self.lies.get(name, value) for name, value in honest[step].items()}

    def drift(self, seconds: float, wanted: float) -> None:
        """Let `wanted` [A] flow for a while."""
        self.current = wanted
        self.soc = min(100.0, max(0.0, self.soc + wanted * seconds / 36 / (self.capacity or 280.0)))
        for n in range(len(self.cells)):
            step = wanted * seconds * 2e-6 + self.rng.gauss(0.0, 0.001)
            self.cells[n] = min(3.75, max(2.5, self.cells[n] + step))
        for n in range(len(self.temperatures)):
            self.temperatures[n] = min(70.0, max(-15.0, self.temperatures[n] + self.rng.gauss(0.0, 0.1)))


class Wire:
    """The link to one pack, and its port: answers take time, faults take more."""

    def __init__(self, pack: Pack, clock: Callable[[], float], passes: Callable[[float], None]) -> None:
        self.pack, self._clock, self._passes = pack, clock, passes
        self.counters: Counters = Counters()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Link]:
        """The link, unless the port is gone."""
        if self._fault() == "closed":
            raise LinkClosed("/dev/ttyUSB0: no such device")
        yield self

    def leave(self, name: str) -> None: ...

    def delay(self, name: str, poll_interval: float, misses: int) -> float:
        """Nobody else is on this port."""
        return poll_interval

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """It stays open."""

    async def exchange(self, question: kit.Question) -> Sequence[kit.Frame]:
        """The pack's answer, or what goes wrong."""
        assert isinstance(question, kit.Ask)
        what, now = question.request.decode(), self._clock()
        fault = self._fault()
        if fault == "closed":
            raise LinkClosed("/dev/ttyUSB0: no such device")
        if fault == "silent" or self.pack.silent_until.get(what, 0.0) > now:
            self._passes(TIMEOUT_TAKES * question.tries)
            raise LinkTimeout("no answer within 0.5 s")
        self._passes(ANSWER_TAKES)
        if fault == "torn":
            raise BadChecksum("checksum does not fit")
        return [kit.Frame(0, self._answer(what))]

    def _fault(self) -> str:
        return self.pack.fault if self._clock() < self.pack.fault_until else ""

    def _answer(self, what: str) -> bytes:
        if what not in STEPS:
            action, _, value = what.partition("=")
            return self._write(action, float(value))
        said = self.pack.said(what)
        self.pack.told[what] = (self._clock(), said)
        return json.dumps(said).encode()

    def _write(self, action: str, value: float) -> bytes:
        self.pack.writes.append((self._clock(), action, value))
        if action == "soc":
            self.pack.soc = value
        else:
            self.pack.switches[action] = bool(value)
        return b"{}"


def _poll(step: str) -> kit.Poll:
    """One step of the plan."""

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        said = json.loads(frames[0].payload)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}

    ask = kit.Ask(step.encode(), lambda buffer: iter(()))
    names = tuple(Pack(random.Random(), [3.3], [25.0]).said(step))
    return kit.Poll(step, kit.simple(ask, decode), gives=names, essential=step == "pack")


def _control(action: str) -> kit.Control:
    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if value < 0:
            raise DeviceRefused("below zero")
        yield kit.Ask(f"{action}={value}".encode(), lambda buffer: iter(()))
        return {}

    shown = "soc" if action == "soc" else f"{action}_allowed"
    return kit.Control(talk, lambda value, reading: getattr(reading, shown) in (value, bool(value)))


DRIVER: Final = kit.Driver(
    name="storm",
    title="a pack in bad weather",
    plan=tuple(_poll(step) for step in STEPS),
    assemble=kit.alone(lambda values, setup: {name: v for name, v in values.items() if v is not None}),
    detection=kit.Detection(("pack",), lambda values: "storm"),
    controls={action: _control(action) for action in ("charge", "discharge", "soc")},
)
