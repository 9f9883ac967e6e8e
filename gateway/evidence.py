"""What a report is made of, kept while the gateway runs: the raw bytes of every link.

Around an alarm or a loss the bytes of the last minutes are set aside, so that a report made days later still has them.
Sheet: face.md 7.
"""

import base64
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from bms_drivers.links.port import Port
from bms_drivers.links.ring import MOST, joined
from gateway.battery import Battery
from gateway.model import Health, Snapshot

SILENT: Final = (Health.STALE, Health.LOST)
ALL: Final = 16 * 1024 * 1024  # bytes of all rings
BEFORE, AFTER = 120.0, 60.0  # s around an alarm
SET_ASIDE: Final = 5  # times
REMEMBER_EVERY, REMEMBERED = 600.0, 8  # s, and how many; a ring's hour and a little more
BAD: Final = ("checksum", "length", "torn", "noise")  # counters of a link that count what was no good frame
BAD_KEPT, BAD_AROUND = 20, 2.0  # times for each port, and s before each
ASIDE_MOST, ASIDE_ALL = 256 * 1024, 2 * 1024 * 1024  # bytes of one link, and of all, each time


class Evidence:
    """Set-aside bytes of one run."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        self._clock, self._wall = clock, wall
        self._aside: deque[dict[str, Any]] = deque(maxlen=SET_ASIDE)
        self._before: Snapshot | None = None
        self._memories: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._due: tuple[float, str] | None = None  # when to set aside [s], and why
        self._links: list[Port] = []  # one for each battery, as they were watched last
        self._ports: tuple[Port, ...] = ()  # each once
        self._counted: WeakKeyDictionary[Port, int] = WeakKeyDictionary()  # what was bad so far
        self._bad: WeakKeyDictionary[Port, deque[bytes]] = WeakKeyDictionary()

    @property
    def waiting(self) -> bool:
        """The minute after an alarm is not over, or its bytes are not set aside."""
        return self._due is not None

    def look(self, snapshot: Snapshot, ports: Mapping[str, Port]) -> None:
        """Once the minute after an alarm is over, set its bytes aside."""
        before, self._before = self._before, snapshot
        why = next(_alarming(before, snapshot), "") if before is not None else ""
        if why and self._due is None:
            self._due = (snapshot.at + AFTER, why)
        if self._due is not None and snapshot.at >= self._due[0]:
            share = _share(ports, ASIDE_MOST, ASIDE_ALL)
            rings = {name: port.ring.newest(BEFORE + AFTER, share) for name, port in _once(ports)}
            self._aside.append({"when": round(snapshot.wall - AFTER, 3), "why": self._due[1], "rings": rings,
                                "of": {name: ref(port) for name, port in _once(ports)}})  # fmt: skip
            self._due = None

    def watch(self, ports: Mapping[str, Port]) -> None:
        """Share the memory among the rings; keep what was said around bad frames, which a ring forgets in an hour."""
        if (links := list(ports.values())) != self._links:
            self._links, self._ports = links, tuple([port for _, port in _once(ports)])
            share = _share(ports)
            for port in self._ports:
                port.ring.most = share
        for port in self._ports:
            if not port.counters.keys().isdisjoint(BAD):
                self._count(port)

    def _count(self, port: Port) -> None:
        count, before = sum([port.counters.get(kind, 0) for kind in BAD]), self._counted.get(port, 0)
        self._counted[port] = count
        if count > before:
            self._bad.setdefault(port, deque(maxlen=BAD_KEPT)).append(port.ring.last(BAD_AROUND))

    def held(self, ports: Mapping[str, Port]) -> int:
        """Bytes of memory for what went over the links."""
        aside = sum(len(chunk) for one in self._aside for ring in one["rings"].values() for chunk in ring)
        bad = sum(len(kept) for times in self._bad.values() for kept in times)
        return aside + bad + sum(port.ring.held for _, port in _once(ports))

    def remember(self, memory: Callable[[], Mapping[str, Any]]) -> None:
        """Keep what the limits remember, now and then: a replay begins with what was known when its bytes begin."""
        now = self._clock()
        if not self._memories or now - self._memories[-1]["monotonic"] >= REMEMBER_EVERY:
            self._memories.append({"monotonic": now, "data": dict(memory())})

    def take(self, batteries: Iterable[Battery], ports: Mapping[str, Port]) -> dict[str, Any]:
        """Everything, bytes as they are kept; quick, as it is done in the event loop.  `pack` does the rest."""
        share = _share(ports)
        owners = {id(port): name for name, port in _once(ports)}
        return {
            "monotonic": self._clock(),
            "wall": self._wall(),
            "batteries": [_about(battery, owners[id(ports[battery.watch.name])])
                          for battery in batteries if battery.watch.name in ports],
            "memories": list(self._memories),
            "rings": [{"name": name, "port": port.name, "counters": dict(port.counters), "first": port.ring.first(),
                       "newest": port.ring.newest(most=share), "bad": b"".join(self._bad.get(port, ()))}
                      for name, port in _once(ports)],
            "aside": [_whose(aside, ports) for aside in self._aside],
        }  # fmt: skip


def _whose(aside: Mapping[str, Any], ports: Mapping[str, Port]) -> dict[str, Any]:
    """`gone`: whose port is no longer the one of their name; who spoke there may have been another kind of BMS."""
    gone = [name for name, port in aside["of"].items() if port() is not ports.get(name)]
    return {**{key: aside[key] for key in ("when", "why", "rings")}, "gone": gone}


def _alarming(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """What somebody will want to look at."""
    known = {state.name: state.health for state in old.bank.batteries}
    for state in new.bank.batteries:
        if state.health in SILENT and known.get(state.name) is Health.ONLINE:
            yield f"{state.name} {state.health.value}"
    for name, level in new.decision.alarms.items():
        if level > old.decision.alarms.get(name, 0):
            yield f"{name} {level}"
    if new.guard and not old.guard:
        yield "guard"


def _once(ports: Mapping[str, Port]) -> Iterable[tuple[str, Port]]:
    """Each port once, under the name of its first battery."""
    seen: set[int] = set()
    for name, port in ports.items():
        if id(port) not in seen:
            seen.add(id(port))
            yield name, port


def _share(ports: Mapping[str, Port], most: int = MOST, together: int = ALL) -> int:
    """Bytes for each link: `most`, and no more than `together` for all."""
    return min(most, together // max(1, len(dict(_once(ports)))))


def _about(battery: Battery, ring: str) -> dict[str, Any]:
    return {
        "name": battery.watch.name, "driver": battery.driver.name, "ring": ring, "setup": battery.session.setup,
        "poll_interval": battery.watch.poll_interval, "control": battery.watch.control,
    }  # fmt: skip


def pack(taken: dict[str, Any]) -> dict[str, Any]:
    """As JSON can hold it; takes its time, for a thread."""
    return {
        **taken,
        "rings": [
            {**ring, "first": packed(ring["first"]), "newest": packed(joined(ring["newest"])),
             "bad": packed(ring["bad"])}
            for ring in taken["rings"]
        ],
        "aside": [
            {**one, "rings": {name: packed(joined(kept)) for name, kept in one["rings"].items()}}
            for one in taken["aside"]
        ],
    }  # fmt: skip


def packed(raw: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(zlib.compress(raw, 1)).decode()


def unpacked(text: str) -> bytes:
    """And back."""
    return zlib.decompress(base64.b64decode(text))
