"""The roof: the only file that knows drivers, limits and outputs together.

batteries --changed--> evaluate (coalesced) --> bank --> limits --> guard --> Snapshot --> outputs
                          ^ at least once a second, so that ages and timers move on when nobody answers
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gateway import guard
from gateway.bank import aggregate, join
from gateway.battery import Battery
from gateway.control import ControlServer
from gateway.limits import Memory, Site, evaluate
from gateway.limits.checks import protection_doubts, together_doubts
from gateway.limits.history import GROUPS, cleared, figures
from gateway.model import BankState, BatteryState, Command, Decision, Health, Life, Outcome, Snapshot
from gateway.report import snapshot_json
from gateway.store import Store
from outputs.output import Output

if TYPE_CHECKING:
    from gateway.external import EssFloor, ExternalSensor

log = logging.getLogger("bms_gateway")

COALESCE: Final = 0.02  # s; readings that arrive together make one Snapshot
HEARTBEAT: Final = 1.0  # s between Snapshots at the longest
VALID_FOR: Final = 5.0  # s; an output that hears nothing for so long goes to its safe state


@dataclass(slots=True)
class Plan:
    """What to run, already built: the gateway itself opens nothing."""

    batteries: Sequence[Battery]
    site: Site
    bounds: guard.Bounds
    outputs: Mapping[str, Output]
    start_timeout: float = 60.0  # s
    join_voltage_difference: float = 1.0  # V per 16 cells
    store: Store | None = None
    external: "ExternalSensor | None" = None
    floor: "EssFloor | None" = None
    closing: Sequence[Callable[[], Any]] = field(default_factory=tuple)  # awaited at the end: ports, simulators


class Gateway:
    """Runs a Plan until told to stop."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.plan = plan
        self.snapshot: Snapshot | None = None
        self.states: tuple[BatteryState, ...] = ()
        self._clock, self._wall = clock, wall
        self._memory = self._remembered()
        self._joined: frozenset[str] = frozenset()
        self._started = clock()
        self._complete = False
        self._guarded = ""
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._sequence = 0
        self._saving: asyncio.Future[bool] | None = None
        self._doubted: set[str] = set()
        self._compared: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- life

    async def run(self, stop: asyncio.Event, control: ControlServer | None = None) -> None:
        """Read, decide and feed the outputs until `stop` is set; then leave every bus in order."""
        for output in self.plan.outputs.values():
            await output.start()
        for watched in self._watched():
            watched.start()
        if control is not None:
            await control.start()
        polling = [asyncio.create_task(battery.run(), name=battery.watch.name) for battery in self.plan.batteries]
        for task in polling:
            task.add_done_callback(_report_crash)
        self._wake(0.0)
        try:
            await stop.wait()
        finally:
            await self._leave(polling, control)

    async def _leave(self, polling: list[asyncio.Task[None]], control: ControlServer | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in (*polling, *self._tasks):
            task.cancel()
        await asyncio.gather(*polling, *self._tasks, return_exceptions=True)
        for output in self.plan.outputs.values():
            await output.stop()
        if control is not None:
            await control.stop()
        for watched in self._watched():
            watched.stop()
        for close in self.plan.closing:
            await close()
        if self._saving is not None:
            await asyncio.wait([self._saving])
        if self.plan.store is not None:
            self.plan.store.save(self._memory.persisted())

    def _watched(self) -> "list[ExternalSensor | EssFloor]":
        """Those who are asked on D-Bus."""
        return [watched for watched in (self.plan.external, self.plan.floor) if watched is not None]

    def changed(self) -> None:
        """A battery has news: decide soon, together with what else arrives now."""
        self._wake(COALESCE if len(self.plan.batteries) > 1 else 0.0)

    def _wake(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake(HEARTBEAT)  # first: no fault below can stop the heartbeat
        self.decide()

    # ---- one decision

    def decide(self) -> Snapshot:
        """Look at every battery and make and publish one Snapshot."""
        now, wall = self._clock(), self._wall()
        bank = self._bank(now)
        events = self._memory.full_events
        decision, self._memory = evaluate(bank, self.plan.site, self._memory, now, wall)
        decision, problem = self._guard(decision, bank)
        self._sequence += 1
        self.snapshot = Snapshot(
            bank=bank, decision=decision, at=now, wall=wall, valid_until=now + VALID_FOR, sequence=self._sequence,
            time_to_go=self._memory.time_to_go, time_to_soc=self._memory.time_to_soc,
            current_average=self._memory.current_average, guard=problem,
            life=self._life(bank) if self.plan.site.limits.history else None,
        )  # fmt: skip
        for output in self.plan.outputs.values():
            output.publish(self.snapshot)
        if self._memory.full_events > events:
            self._full()
        self._keep(now)
        return self.snapshot

    def _life(self, bank: BankState) -> Life:
        return figures(self._memory.history, bank, self._memory.calendar.ahead)

    def _keep(self, now: float) -> None:
        """Save what a restart should know, in a thread: a slow disk must not delay a frame."""
        store = self.plan.store
        if store is not None and self._saving is None and store.due(data := self._memory.persisted(), now):
            self._saving = asyncio.get_running_loop().run_in_executor(None, store.save, data)
            self._saving.add_done_callback(self._saved)

    def _saved(self, saving: "asyncio.Future[bool]") -> None:
        self._saving = None

    def _bank(self, now: float) -> BankState:
        states = [state for battery in self.plan.batteries for state in battery.states()]
        states = join(states, self._joined, self.plan.join_voltage_difference)
        self._joined = frozenset(s.name for s in states if s.contributes and s.health is not Health.LOST)
        self._doubt(states)
        self._doubt_together(states)
        self.states = tuple(states)
        answered = [state.reading is not None for state in states if state.control]
        timed_out = now - self._started >= self.plan.start_timeout
        self._complete = self._complete or (bool(answered) and (all(answered) or (timed_out and any(answered))))
        external = self.plan.external.values() if self.plan.external is not None else None
        bank = aggregate(states, complete=self._complete, external=external)
        floor = self.plan.floor.soc() if self.plan.floor is not None else None
        return bank if floor is None else replace(bank, discharge_floor=floor)

    def _doubt(self, states: Sequence[BatteryState]) -> None:
        """Say once what is doubtful between the settings and a BMS's own protection, when that is known."""
        for state in states:
            reading = state.reading
            if state.name in self._doubted or reading is None or reading.cell_overvoltage_protection is None:
                continue
            self._doubted.add(state.name)
            for doubt in protection_doubts(self.plan.site.of(state.name), reading):
                log.warning("%s: %s", state.name, doubt)

    def _doubt_together(self, states: Sequence[BatteryState]) -> None:
        """The same for set-points of batteries that do not fit each other, once their cells are known."""
        site = self.plan.site
        members = {s.name: (site.of(s.name), s.reading.cells) for s in states if s.control and s.reading is not None}
        if len(members) < 2 or None in [cells for _, cells in members.values()] or members.keys() <= self._compared:
            return
        self._compared |= members.keys()
        for doubt in together_doubts({name: (own, cells or 0) for name, (own, cells) in members.items()}):
            log.warning("bank: %s", doubt)

    def _guard(self, decision: Decision, bank: BankState) -> tuple[Decision, str]:
        problem = guard.broken(decision, bank, self.plan.bounds) if bank.complete else ""
        if problem and problem != self._guarded:
            log.error("guard: %s; emitting the safe state instead", problem)
        elif self._guarded and not problem:
            log.warning("guard: the limits keep all invariants again")
        self._guarded = problem
        return (guard.safe(decision, bank, self.plan.bounds, problem), problem) if problem else (decision, "")

    def _remembered(self) -> Memory:
        store = self.plan.store
        data, forgotten = (store.load(), store.forgotten) if store is not None else ({}, False)
        return Memory.restore(data, self._clock(), self._wall(), forgotten=forgotten)

    def _full(self) -> None:
        """A full charge was completed: BMSs that can are told that this is 100 %."""
        if self.plan.site.limits.soc_reset.write_to_bms:
            able = [battery for battery in self.plan.batteries if _takes_full(battery)]
            task = asyncio.create_task(self._perform(Command("soc", 100.0), able))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # ---- questions and commands

    async def command(self, command: Command) -> list[Outcome]:
        """Have a command performed by the battery named in it, or by every battery that can."""
        if command.action == "clear_history":
            return [self._clear(command.value)]
        named = [b for b in self.plan.batteries if b.watch.name == command.battery] if command.battery else None
        if named == []:
            names = ", ".join(battery.watch.name for battery in self.plan.batteries)
            return [Outcome(False, False, f"no battery is called {command.battery!r}; there are: {names}")]
        able = [battery for battery in self.plan.batteries if command.action in battery.driver.controls]
        if not (named or able):
            return [Outcome(False, False, f"no battery here can do {command.action!r}")]
        return await self._perform(command, named or able)

    def _clear(self, what: float) -> Outcome:
        """Begin a group of the history's figures anew."""
        if what not in GROUPS:
            return Outcome(False, False, f"history: {what:g} is no group of figures, expected 1 (all) to {len(GROUPS)}")
        self._memory = replace(self._memory, history=cleared(self._memory.history, int(what)))
        log.info("history: %s cleared", GROUPS[int(what)])
        return Outcome(True, True, f"history: {GROUPS[int(what)]} cleared")

    def commander(self, command: Command) -> None:
        """For outputs: perform `command` and only log what became of it."""
        task = asyncio.create_task(self.command(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, command: Command, batteries: Iterable[Battery]) -> list[Outcome]:
        return list(await asyncio.gather(*(battery.command(command) for battery in batteries)))

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the control socket asks: {"ask": "state"} or {"ask": "command", ...}."""
        if request.get("ask") == "state":
            return self.state()
        if request.get("ask") == "command":
            with suppress(KeyError, TypeError, ValueError):
                command = Command(request["action"], float(request["value"]), str(request.get("battery", "")))
                return {"outcomes": [_outcome_json(outcome) for outcome in await self.command(command)]}
        return {"error": 'unknown request: {"ask": "state"} or {"ask": "command", "action", "value", "battery"}'}

    def state(self) -> dict[str, Any]:
        """The whole state as plain data."""
        outputs = {name: dict(output.status()) for name, output in self.plan.outputs.items()}
        store = self.plan.store.problem if self.plan.store is not None else ""
        if self.snapshot is None:
            return {"outputs": outputs, "store": store, "waiting": "starting"}
        state = snapshot_json(self.snapshot) | {"store": store}
        if not self.snapshot.bank.complete:
            silent = [s.name for s in self.states if s.control and s.reading is None]
            state["waiting"] = f"nothing is emitted yet: waiting for {', '.join(silent)}"
        return {**state, "outputs": outputs}


def _takes_full(battery: Battery) -> bool:
    """May its BMS be told 100 % without a person asking?  Sheet: limits.md 5.6."""
    control = battery.driver.controls.get("soc")
    return battery.watch.control and control is not None and not control.by_hand


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {"accepted": outcome.accepted, "confirmed": outcome.confirmed, "note": outcome.note}


def _report_crash(task: "asyncio.Task[None]") -> None:
    """A supervisor must not end; if a defect ends one, its battery ages into stale and lost, and the log says why."""
    if not task.cancelled() and (crash := task.exception()) is not None:
        log.critical("%s: its supervisor failed", task.get_name(), exc_info=crash)
