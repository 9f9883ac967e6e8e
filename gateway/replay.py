"""Plays a report through the same code: the same drivers, batteries, limits and guard, in a loop whose time jumps.

The loop's clock begins at the report's own and goes on to the next timer as soon as there is nothing to do, so an hour
takes less than a minute.  Nothing is opened and nothing is sent: the outputs are left out.
"""

import asyncio
import json
import os
import selectors
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bms_drivers.kit import registry
from bms_drivers.links.port import Port
from bms_drivers.links.recording import wrong
from bms_drivers.links.timeline import TimelineLink
from gateway.app import Gateway, Plan
from gateway.battery import Battery, Watch
from gateway.config.load import examine
from gateway.config.schema import Settings
from gateway.limits.correct import correct
from gateway.model import ConfigError, GatewayError, Snapshot
from gateway.remote import Remote
from gateway.store import Store
from gateway.wiring import bounds_of, site_of

EARLIER: Final = 0.05  # s that a battery begins before its first question
BEGINS_WITHIN: Final = 10.0  # s from the start of a gateway to the first word on a port
LATER: Final = 2.0  # s that are played beyond the end of the recording
LARGEST: Final = 256 * 1024 * 1024  # bytes of a report, unpacked


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was read and found sound."""

    settings: Settings
    batteries: Sequence[Mapping[str, Any]]
    recordings: Mapping[str, Mapping[str, Any]]  # by ring
    state: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    audit: Sequence[Mapping[str, Any]]
    files: Mapping[str, str]  # DBC files and register maps of the user's own, by name
    memories: Sequence[Mapping[str, Any]]  # of the limits, from time to time
    end: float  # s, monotonic
    wall: float  # s since the epoch, at the end

    @property
    def memory(self) -> dict[str, Any]:
        """What the limits knew when the first thing was said; {} where nobody knows any more."""
        known = [one["data"] for one in self.memories if one["monotonic"] <= self.begin + BEGINS_WITHIN]
        found: dict[str, Any] = known[-1] if known else {}
        return found

    @property
    def begin(self) -> float:
        """s, monotonic: the first thing that was said on any port."""
        first = [one["at"] for case in self.recordings.values() for one in _said(case)[:1]]
        return min(first, default=self.end)


@dataclass(slots=True)
class Played:
    """What came out."""

    events: list[dict[str, Any]] = field(default_factory=list)
    moments: list[Snapshot] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)


def load(file: Path) -> Report:
    """The report in a zip file.  Raises GatewayError: what is wrong with it, and what would be right."""
    try:
        with zipfile.ZipFile(file) as bag:
            if sum(part.file_size for part in bag.infolist()) > LARGEST:
                raise GatewayError(f"{file}: larger than {LARGEST >> 20} MB unpacked, expected a report")
            return _report(file, bag)
    except OSError as problem:
        raise GatewayError(f"{file}: cannot be read ({problem.strerror or problem})") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as problem:
        raise GatewayError(f"{file}: no report of bms-gateway ({problem}); make one with: bms-gateway report") from None


def _report(file: Path, bag: zipfile.ZipFile) -> Report:
    about = json.loads(bag.read("about.json"))
    settings, problems = examine(bag.read("gateway.yaml").decode(), surveyed=False)
    if settings is None:
        raise GatewayError(f"{file}: gateway.yaml: {problems[0].show('line')}; mend it inside the zip file")
    recordings = {name: _together(json.loads(bag.read(path))) for name, path in about["files"].items()}
    for name, case in recordings.items():
        if what := wrong({"driver": case.get("driver", ""), **case}):
            raise GatewayError(f"{file}: {about['files'][name]}: {what}")
    read = {name: json.loads(bag.read(f"{name}.json")) for name in ("state", "events", "audit")}
    own = {Path(name).name: bag.read(name).decode() for name in bag.namelist() if name.startswith("files/")}
    return Report(
        settings, about["batteries"], recordings, read["state"], read["events"], read["audit"], own,
        about.get("memories", []), float(about["monotonic"]), float(about["wall"]),
    )  # fmt: skip


def _together(case: dict[str, Any]) -> dict[str, Any]:
    """Where nothing is missing between the first bytes of all and the newest ones, one row of them."""
    key = "frames" if "frames" in case else "exchanges"
    first, newest = case.pop("first", []), case[key]
    gap = newest[0]["at"] - first[-1]["at"] if first and newest else 0.0
    if gap < GAP:
        return {**case, key: [*first, *newest]}
    return {**case, "first": first}


GAP: Final = 30.0  # s without a word after which something is missing


def _said(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = case.get("frames", case.get("exchanges", []))
    return found


# ---- playing


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: the time that it should have waited is over at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready."""
        self.now += max(0.0, timeout or 0.0)
        return super().select(0 if timeout is not None else None)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at `now` and jumps from timer to timer."""

    def __init__(self, now: float) -> None:
        self._jumping = _Jumping()
        self._jumping.now = now
        super().__init__(self._jumping)

    def time(self) -> float:
        """s."""
        return self._jumping.now

    @contextmanager
    def back_at(self, moment: float) -> Iterator[None]:
        """What is done in here is done at that time [s]."""
        here, self._jumping.now = self._jumping.now, moment
        try:
            yield
        finally:
            self._jumping.now = here


class _Witness:
    """The one output of a replay: it notes what it is given."""

    name = "replay"

    def __init__(self, played: Played, told: Callable[[Snapshot], None]) -> None:
        self._played, self._told = played, told

    async def start(self) -> None:
        """Nothing to open."""

    def publish(self, snapshot: Snapshot) -> None:
        """Note it."""
        self._played.moments.append(snapshot)
        self._told(snapshot)

    async def stop(self) -> None:
        """Nothing to close."""

    def status(self) -> Mapping[str, object]:
        """It is always there."""
        return {"connected": True, "problem": ""}


def play(report: Report, told: Callable[[Snapshot], None] = lambda snapshot: None) -> Played:
    """Everything in the report, from its first byte to its end; `told` hears each Snapshot as it is made."""
    loop = JumpingLoop(report.begin - 1.0)
    with TemporaryDirectory() as folder:
        for name, text in report.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        try:
            return loop.run_until_complete(_play(report, told, loop, Path(folder)))
        finally:
            loop.close()


async def _play(report: Report, told: Callable[[Snapshot], None], loop: JumpingLoop, files: Path) -> Played:
    played = Played()
    gateway: list[Gateway] = []
    ports = {name: Port(name, TimelineLink(case), clock=loop.time) for name, case in report.recordings.items()}
    batteries = [
        _battery(about, report, ports[about["ring"]], lambda: gateway[0].changed(), files) for about in report.batteries
    ]
    plan = Plan(
        batteries=batteries, site=site_of(report.settings),
        bounds=bounds_of(report.settings), outputs={"replay": _Witness(played, told)},
        store=_Remembered(report.memory), start_timeout=report.settings.bank.start_timeout,
        join_voltage_difference=report.settings.bank.join_voltage_difference,
    )  # fmt: skip
    offset = report.wall - report.end
    gateway.append(Gateway(plan, clock=loop.time, wall=lambda: loop.time() + offset))
    _order_again(report, gateway[0], loop)
    stop = asyncio.Event()
    loop.call_at(report.end + LATER, stop.set)
    await gateway[0].run(stop)
    played.events = [asdict(event) for event in gateway[0].events]
    played.state = gateway[0].state()
    return played


class _Remembered(Store):
    """What a report says of the limits' memory; nothing is ever written."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(Path(os.devnull))
        self._data = data

    def load(self) -> dict[str, Any]:
        """What the limits knew."""
        return self._data

    def due(self, data: Mapping[str, Any], now: float) -> bool:
        """Never."""
        return False

    def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
        """Nowhere."""
        return True


class _Late(Battery):
    """A battery that begins when its port was first spoken on, as it did then."""

    begins = 0.0  # s

    async def run(self) -> None:
        """As Battery.run, from then on."""
        await asyncio.sleep(max(0.0, self.begins - EARLIER - asyncio.get_running_loop().time()))
        await super().run()


def _battery(
    about: Mapping[str, Any], report: Report, port: Port, changed: Callable[[], None], files: Path
) -> Battery:  # fmt: skip
    """One battery as it ran, in the loop that runs.  Raises GatewayError for one that this version cannot read."""
    mine = next((battery for battery in report.settings.batteries if battery.name == about["name"]), None)
    limits = report.settings.limits if mine is None else report.settings.limits_of(mine)
    own = {key: str(files / name) for key, value in about["setup"].items() if (name := _name(value)) in report.files}
    watch = Watch(
        name=about["name"], poll_interval=about["poll_interval"], control=about["control"], connection="replay",
        settings={**about["setup"], **own}, correct=lambda reading: correct(reading, limits),
    )  # fmt: skip
    try:
        battery = _Late(watch, registry.load(about["driver"]), port, changed, asyncio.get_running_loop().time)
    except ConfigError as problem:
        raise GatewayError(f"{about['name']}: {problem}") from None
    battery.begins = _first(about, report)
    return battery


def _name(value: Any) -> str:
    """That of a file, where a setting names one."""
    return Path(value).name if isinstance(value, str) else ""


def _first(about: Mapping[str, Any], report: Report) -> float:
    said = _said(report.recordings[about["ring"]])
    return float(said[0]["at"]) if said else report.end


def _order_again(report: Report, gateway: Gateway, loop: JumpingLoop) -> None:
    """Limits that were asked for from outside are asked for again, each at its time: they may last for a day, and the
    bytes only for an hour.
    """
    for entry in report.audit:
        again = _again(entry, gateway.remote)
        if entry["monotonic"] < loop.time():
            with loop.back_at(entry["monotonic"]):
                again()
        elif entry["monotonic"] <= report.end:
            loop.call_at(entry["monotonic"], again)


def _again(entry: Mapping[str, Any], remote: Remote) -> Callable[[], object]:
    """What has the same done once more."""
    if entry["what"] == "limit":
        return partial(remote.asked, entry["source"], entry["asked"])
    return remote.clear if entry["what"] == "clear" else lambda: None
