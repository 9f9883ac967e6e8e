"""The house: real Battery supervisors, the real Gateway, the real CAN values and D-Bus view, by a clock of our own."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.app import Gateway, Plan
from gateway.battery import Battery, Watch
from gateway.config.schema import Settings
from gateway.limits import Site
from gateway.limits.correct import correct
from gateway.model import Command, GatewayError, Snapshot
from gateway.wiring import bounds_of
from tests.storm.pack import DRIVER, Pack, Wire

WALL: Final = 1_790_000_000.0
NAMES: Final = ("north", "south", "east", "west")


@dataclass
class Memo:
    """A store without a disk."""

    data: dict[str, Any] = field(default_factory=dict)
    forgotten: bool = False
    problem: str = ""

    def load(self) -> dict[str, Any]:
        return dict(self.data)

    def looks(self, now: float) -> bool:
        return False

    def due(self, data: Mapping[str, Any], now: float) -> bool:
        return False

    def save(self, data: Mapping[str, Any], *, last: bool = False) -> bool:
        self.data = dict(data)
        return True


class House:
    """One to four packs in parallel, an inverter that wants something, and weather."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now, self.wall = 1000.0, WALL
        names = NAMES[: self.rng.randint(1, 4)]
        count = self.rng.choice((4, 8, 15, 16))
        middle = self.rng.uniform(3.1, 3.42)
        self.packs = {name: self._pack(count, middle) for name in names}
        self.settings = Settings.model_validate(self._settings(names))
        self.commands: list[tuple[float, str]] = []  # when, action
        self.asked: dict[tuple[str, str], tuple[float, float]] = {}  # limits from outside: value, until [s]
        self.memo = Memo()
        self.took_part: set[str] = set()  # what the laws remember of each pack: was in the bank,
        self.before: set[str] = set()  # was in the bank before a restart,
        self.most_cells: dict[str, int] = {}  # most cells it ever told,
        self.whole_at: dict[str, float] = {}  # when it last told all of them [s]
        self._build()

    def _pack(self, count: int, volts: float) -> Pack:
        rng = random.Random(self.rng.random())
        cells = [volts + rng.gauss(0.0, 0.004) for _ in range(count)]
        return Pack(rng, cells, [rng.uniform(5, 40) for _ in range(rng.choice((0, 1, 2, 4)))])

    def _settings(self, names: tuple[str, ...]) -> dict[str, Any]:
        batteries = [{"name": name, "driver": "jbd", "port": f"/dev/tty{name}"} for name in names]
        return {"batteries": batteries, "limits": {"on_loss": {"block": self.rng.random() < 0.3}}, "outputs": {}}

    def _build(self) -> None:
        site = Site(limits=self.settings.limits)
        self.batteries = {name: self._battery(name, pack) for name, pack in self.packs.items()}
        plan = Plan(
            batteries=list(self.batteries.values()), site=site, bounds=bounds_of(self.settings), outputs={},
            store=self.memo,  # type: ignore[arg-type]
        )  # fmt: skip
        self.gateway = Gateway(plan, clock=lambda: self.now, wall=lambda: self.wall)

    def _battery(self, name: str, pack: Pack) -> Battery:
        limits = self.settings.limits
        watch = Watch(name=name, correct=lambda reading: correct(reading, limits))
        return Battery(watch, DRIVER, Wire(pack, lambda: self.now, self.passes), lambda: None, lambda: self.now)

    def passes(self, seconds: float) -> None:
        """Time goes on."""
        self.now += seconds
        self.wall += seconds

    # ---- one step

    async def step(self) -> Snapshot:
        """A second or so: weather, polls, one decision."""
        for pack in self.packs.values():
            if self.rng.random() < 0.06:
                self.rng.choice(WEATHER)(self, pack)
        if self.rng.random() < 0.01:
            self._disturb()
        start = self.now
        for battery in self.batteries.values():
            await battery.poll()
        self.passes(max(0.1, 1.0 - (self.now - start)))
        snapshot = self.gateway.decide()
        self._flow(snapshot)
        return snapshot

    def _flow(self, snapshot: Snapshot) -> None:
        """The inverter takes or gives something within the limits; packs share it unequally."""
        wish = self.rng.uniform(-snapshot.decision.dcl, snapshot.decision.ccl)
        for pack in self.packs.values():
            pack.drift(1.0, wish / len(self.packs) * self.rng.uniform(0.5, 1.5))

    def _disturb(self) -> None:
        """What happens to the whole house."""
        what = (self._command, self._command, self._restrict, self._restrict, self._clock_jumps, self._restart)
        self.rng.choice(what)()

    def _command(self) -> None:
        action = self.rng.choice(("charge", "discharge", "soc"))
        value = self.rng.choice((0.0, 1.0)) if action != "soc" else self.rng.choice((50.0, 100.0, -5.0, float("nan")))
        try:
            command = Command(action, value, self.rng.choice((*self.packs, "")))  # type: ignore[arg-type]
        except GatewayError:
            return  # refused where it is made
        self.commands.append((self.now, action))
        self.gateway.commander(command)

    def _restrict(self) -> None:
        """Somebody asks for less for a while, or for nonsense; what was accepted is remembered here, too."""
        source, key = self.rng.choice(("mqtt", "http")), self.rng.choice(("ccl", "dcl", "soc_min", "soc_max"))
        value = self.rng.choice((0.0, 3.0, 25.0, 50.0, 80.0, 9000.0, None, -1.0, float("nan"), "20A"))
        ttl = self.rng.choice((10, 60, 600, 0, -5, float("inf")))
        if not self.gateway.remote.asked(source, {key: value, "ttl_seconds": ttl}).accepted:
            return
        self.asked.pop((source, key), None)
        if isinstance(value, float) and ttl:
            self.asked[source, key] = (value, self.now + ttl)

    def _clock_jumps(self) -> None:
        self.wall = self.rng.choice((0.0, self.wall + 400 * 86400, self.wall - 3600, WALL))

    def _restart(self) -> None:
        """The process ends and another one starts: what was stored is all it knows."""
        self.memo.save(self.gateway._memory.persisted())
        self.asked.clear()
        self.before |= self.took_part
        self.took_part.clear()
        self.most_cells.clear()
        self.whole_at.clear()
        for pack in self.packs.values():
            pack.told.clear()
        self._build()


# ---- weather: what happens to one pack

Event = Callable[[House, Pack], None]


def _lie(name: str, *values: Any) -> Event:
    return lambda house, pack: pack.lies.__setitem__(name, house.rng.choice(values))


def _link(kind: str) -> Event:
    def happen(house: House, pack: Pack) -> None:
        pack.fault, pack.fault_until = kind, house.now + house.rng.choice((2, 12, 30, 70, 400))

    return happen


def _step_silent(step: str) -> Event:
    return lambda house, pack: pack.silent_until.__setitem__(step, house.now + house.rng.choice((3, 25, 90)))


def _better(house: House, pack: Pack) -> None:
    """All is well with this pack again."""
    pack.lies.clear()
    pack.silent_until.clear()
    pack.fault_until = 0.0


def _shrink(name: str) -> Event:
    def happen(house: House, pack: Pack) -> None:
        honest = pack.cells if name == "cell_voltages" else pack.temperatures
        fewer = [round(value, 3) for value in honest[: house.rng.randrange(len(honest) + 1)]]
        pack.lies[name] = house.rng.choice((fewer, [None, *[round(v, 3) for v in honest[1:]]]))

    return happen


def _heat(house: House, pack: Pack) -> None:
    pack.temperatures = [house.rng.uniform(-12.0, 65.0) for _ in pack.temperatures]


def _volts(house: House, pack: Pack) -> None:
    """The whole pack is elsewhere: charged or emptied while nobody looked."""
    volts = house.rng.uniform(2.7, 3.6)
    pack.cells = [volts + house.rng.gauss(0.0, 0.01) for _ in pack.cells]


def _one_cell(house: House, pack: Pack) -> None:
    pack.cells[house.rng.randrange(len(pack.cells))] = house.rng.uniform(2.6, 3.7)


WEATHER: Final[tuple[Event, ...]] = (
    _better, _better, _better, _better, _link("silent"), _link("torn"), _link("closed"),
    _step_silent("cells"), _step_silent("sensors"), _step_silent("pack"), _shrink("cell_voltages"),
    _shrink("temperatures"), _heat, _volts, _one_cell, _lie("voltage", 0.0, None, 99.0, 5.0),
    _lie("current", None, 5000.0, 0.0), _lie("soc", None, 250.0, 0.0, 100.0), _lie("capacity", None, 0.0, 100.0),
    _lie("max_charge_current", 0.0, 10.0, None, -5.0), _lie("charge_allowed", True, False, None),
    _lie("discharge_allowed", True, False, None), _lie("alarms", {"internal_failure": 2}, {}),
)  # fmt: skip
