"""The vocabulary that flows through the gateway: frozen data, no I/O, imports nothing of ours."""

from gateway.model.alarms import ALARMS, worst
from gateway.model.command import Command, Outcome
from gateway.model.decision import Cap, Decision, tightest
from gateway.model.errors import (
    BadChecksum,
    BadLength,
    CommandError,
    ConfigError,
    DeviceRefused,
    FrameError,
    GatewayError,
    Implausible,
    LinkBusy,
    LinkClosed,
    LinkError,
    LinkTimeout,
    MissingPart,
    Placed,
    TalksByItself,
    WrongDevice,
)
from gateway.model.life import Life
from gateway.model.reading import CONTROL, Reading
from gateway.model.restriction import RemoteLimit, Restricted, Restriction
from gateway.model.snapshot import Snapshot
from gateway.model.state import BankState, BatteryState, External, Extreme, Health

__all__ = [
    "ALARMS",
    "CONTROL",
    "BadChecksum",
    "BadLength",
    "BankState",
    "BatteryState",
    "Cap",
    "Command",
    "CommandError",
    "ConfigError",
    "Decision",
    "DeviceRefused",
    "External",
    "Extreme",
    "FrameError",
    "GatewayError",
    "Health",
    "Implausible",
    "Life",
    "LinkBusy",
    "LinkClosed",
    "LinkError",
    "LinkTimeout",
    "MissingPart",
    "Outcome",
    "Placed",
    "Reading",
    "RemoteLimit",
    "Restricted",
    "Restriction",
    "Snapshot",
    "TalksByItself",
    "WrongDevice",
    "tightest",
    "worst",
]
