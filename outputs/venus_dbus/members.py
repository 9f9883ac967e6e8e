"""A service for each battery, where that is wished: to look at, without limits, so that systemcalc sees one BMS only.

Each is on the bus under who the battery is (gateway/identity.py), once that is known.  Two that say to be the same one
cannot both have its device instance: the second gets no service, and it is said why.
"""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import BatteryState, Health, Reading
from outputs.venus_dbus.claim import settings_id
from outputs.venus_dbus.service import BatteryService
from outputs.view import View, battery_view

log = logging.getLogger("bms_gateway.venus_dbus")

PREFIX: Final = "com.victronenergy.battery."
Seen = tuple[Reading | None, Health, bool, str]
"""By what a battery's state differs from the last one; its age changes nothing that is published."""

Maker = Callable[[str, str, int, str], BatteryService]
"""Makes a service: end of its name, who it is, its place among the batteries from 1, the battery's name."""
Show = Callable[..., None]


@dataclass(slots=True)
class Member:
    """One battery's service."""

    service: BatteryService
    identity: str
    seen: Seen | None = None


class Members:
    """The services of all batteries; to be used on the D-Bus thread, but for `services` and `problems`."""

    def __init__(self, bank: str, make: Maker, show: Show) -> None:
        """`bank`: end of its service's name; `show` offers a view, or has a service leave when none can be made."""
        self._bank, self._make, self._show = bank, make, show
        self._members: dict[str, Member] = {}
        self._refused: dict[str, str] = {}

    def services(self) -> list[BatteryService]:
        """Those there are."""
        return [member.service for member in list(self._members.values())]

    def problems(self) -> list[str]:
        """Why some batteries have none."""
        return list(self._refused.values())

    def offer(self, states: Sequence[BatteryState]) -> None:
        """The newest states of all batteries."""
        self._end(self._members.keys() - {state.name for state in states})
        first: dict[str, str] = {}
        refused: dict[str, str] = {}
        for number, state in enumerate(states, 1):
            identity = self._identity(state)
            if state.reading is None or not identity:
                self._end({state.name})  # made anew: what was told of the one before is not of this one
                continue
            if (owner := first.setdefault(settings_id(identity), state.name)) != state.name:
                self._end({state.name})
                refused[state.name] = _twins(state, owner)
            else:
                self._offer(state, identity, number)
        for name in refused.keys() - self._refused.keys():
            log.error("%s", refused[name])
        self._refused = refused

    def _identity(self, state: BatteryState) -> str:
        """Who it is; who it was while that is not known again yet."""
        member = self._members.get(state.name)
        return state.identity or (member.identity if member is not None else "")

    def _offer(self, state: BatteryState, identity: str, number: int) -> None:
        if (member := self._members.get(state.name)) is None or member.identity != identity:
            self._end({state.name})  # another device has taken its place
            member = Member(self._new(state.name, identity, number), identity)
            self._members[state.name] = member
        seen = (state.reading, state.health, state.joined, state.remark)
        if member.seen != seen:
            fresh = member.seen is None or member.seen[0] is not state.reading

            def view() -> View:
                return battery_view(state)

            self._show(member.service, view, fresh=fresh)
            member.seen = seen
        member.service.enter()

    def _new(self, name: str, identity: str, number: int) -> BatteryService:
        taken = {service.plan.name for service in self.services()}
        return self._make(unique(f"{self._bank}_{legal(name)}", taken), identity, number, name)

    def _end(self, names: Iterable[str]) -> None:
        for name in self._members.keys() & set(names):
            self._members.pop(name).service.leave()


def _twins(state: BatteryState, owner: str) -> str:
    return (
        f"{state.name}: not on D-Bus by itself, for it says to be {state.identity!r} as {owner} does;"
        " give one of them an identity of its own in gateway.yaml"
    )


def legal(name: str) -> str:
    """A battery's name as part of a D-Bus name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)[:100]


def unique(suffix: str, taken: set[str]) -> str:
    """The suffix, with a number where another service has it already."""
    number, name = 1, suffix
    while PREFIX + name in taken:
        number += 1
        name = f"{suffix}_{number}"
    return name
