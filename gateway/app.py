"""The roof: the only file that knows drivers, limits and outputs together.

batteries --changed--> evaluate (together) --> bank --> limits --> guard --> Snapshot --> outputs
                          ^ once a second when nobody answers, so that ages and timers move on
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bms_drivers.links.port import Port
from gateway import guard
from gateway.bank import Standings, aggregate, join
from gateway.battery import Battery
from gateway.control import ControlServer
from gateway.curves import by_battery
from gateway.events import Event, Events, story
from gateway.evidence import Evidence
from gateway.full import FullCharge
from gateway.limits import Memory, Site, evaluate
from gateway.limits.checks import pack_doubts, together_doubts
from gateway.limits.history import GROUPS, cleared, figures
from gateway.limits.memory import called
from gateway.model import (
    BankState,
    BatteryState,
    Command,
    Decision,
    GatewayError,
    Life,
    Outcome,
    RemoteLimit,
    Restricted,
    Snapshot,
)
from gateway.model.records import replace
from gateway.outlets import PATIENCE, Outlets
from gateway.questions import answer
from gateway.remote import Remote
from gateway.renamed import connections, renamed
from gateway.report import snapshot_json
from gateway.store import Store
from gateway.supervise import Supervisor
from outputs.output import Output, Resident

if TYPE_CHECKING:
    from gateway.external import ExternalSensor

log = logging.getLogger("bms_gateway")

COALESCE: Final = 0.02  # s; readings that arrive together make one Snapshot
GATHER: Final = 0.75  # s that news which can wait do so for the batteries that are being asked meanwhile
HEARTBEAT: Final = 1.0  # s between Snapshots while nothing arrives
AFTER_NEWS: Final = 1.25  # s from news to the next Snapshot at the longest: what is polled each second comes before it
STATES: Final = methodcaller("states")
ASKED, PRESSING = attrgetter("asked"), attrgetter("pressing")  # of a battery
READING: Final = attrgetter("reading")
DOUBTFUL: Final = attrgetter(
    "name", "control", "reading.cells",
    "reading.cell_overvoltage_protection", "reading.cell_undervoltage_protection",
)  # fmt: skip
"""What doubts about a battery that answers rest on, beside the settings."""
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
    closing: Sequence[Callable[[], Any]] = field(default_factory=tuple)  # awaited at the end: ports, simulators
    ports: Mapping[str, Port] = field(default_factory=dict)  # by battery; several may share one
    parts: Any = None  # what it was built of; the wiring's own business


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
        self._standings: Standings = {}
        self._started = clock()
        self._complete = False
        self._guarded = ""
        self._known: guard.Memory = guard.resumed(self._memory.silent)
        self._timer: asyncio.Handle | None = None
        self._due = float("inf")
        self._deciding = False  # or the last decision failed: then the next one is not made within a poll
        self._news = False
        self._sequence = 0
        self._saving: asyncio.Future[bool] | None = None
        self._story: tuple[object, ...] = ()
        self._looked: list[tuple[object, ...]] = []  # of batteries, what doubts rest on, as it was looked at last
        self._doubted: set[str] = set()
        self._compared: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._polling: dict[Battery, asyncio.Task[None]] = {}
        self._leaving = False
        self.events = Events()
        self._outlets = Outlets(plan.outputs)
        self._let_in(plan.outputs)
        self._supervisor = Supervisor("gateway")
        self._trying = self._supervisor.trying()
        self._charge = FullCharge()
        self.remote = Remote(clock, wall, lambda: self.plan.site.most(state.name for state in self.states))
        self.evidence = Evidence(clock, wall)
        self.evidence.remember(self._memory.persisted)

    # ---- life

    async def run(self, stop: asyncio.Event, control: ControlServer | None = None) -> None:
        """Read, decide and feed the outputs until `stop` is set; then leave every bus in order.

        Raises GatewayError when the control socket says that this gateway must not run.
        """
        try:
            await self._outlets.start()
            self._watch(_watched(self.plan))
            if control is not None:
                with self._supervisor.trying(passing=(GatewayError,)):
                    await control.start()
            self._poll(self.plan.batteries)
            self._wake(0.0)
            await stop.wait()
        finally:
            await self._leave(control)

    def _let_in(self, outputs: Mapping[str, Output]) -> None:
        """Show the house to the outputs that tell of it."""
        for output in outputs.values():
            if isinstance(output, Resident):
                output.move_in(self)

    def _poll(self, batteries: Iterable[Battery]) -> None:
        """Begin to read these batteries."""
        for battery in batteries:
            work = Supervisor(battery.watch.name).keep(battery.run)
            self._polling[battery] = asyncio.create_task(work, name=battery.watch.name)

    async def adopt(self, plan: Plan) -> None:
        """Go on with another Plan; batteries and outputs that are in both run on without a gap."""
        old, self.plan = self.plan, plan
        self._looked, self._doubted, self._compared = [], set(), set()
        names = renamed(_connections(old), _connections(plan))
        self._memory = self._memory.renamed(names)
        self._known = {called(name, names): known for name, known in self._known.items()}
        self._standings = {called(name, names): standing for name, standing in self._standings.items()}
        if any(battery.watch.control for battery in plan.batteries if battery in self._polling):
            _succeed(old.batteries, plan.batteries, names)
        else:  # nothing that is known can be gone on with
            self._started, self._complete = self._clock(), False
        await self._unpoll([battery for battery in old.batteries if battery not in plan.batteries])
        await self._close(close for close in old.closing if close not in plan.closing)
        self._poll(battery for battery in plan.batteries if battery not in self._polling)
        self._let_in(plan.outputs)
        await self._outlets.change(plan.outputs)
        for watched in _watched(old):
            if watched not in _watched(plan):
                with self._trying:
                    watched.stop()
        self._watch(watched for watched in _watched(plan) if watched not in _watched(old))
        self._wake(0.0)

    async def _unpoll(self, batteries: Iterable[Battery]) -> None:
        """Read these batteries no more."""
        gone = {battery: self._polling.pop(battery) for battery in batteries if battery in self._polling}
        for task in gone.values():
            task.cancel()
        if gone:
            await asyncio.wait(gone.values(), timeout=PATIENCE)
        for battery in gone:
            battery.leave()

    def _watch(self, watched: "Iterable[ExternalSensor]") -> None:
        for one in watched:
            with self._trying:
                one.start()

    async def _close(self, closing: Iterable[Callable[[], Any]]) -> None:
        """Each in a step of its own, so that none keeps another from leaving in order."""
        for close in closing:
            with self._trying:
                async with asyncio.timeout(PATIENCE):
                    await close()

    async def _leave(self, control: ControlServer | None) -> None:
        """Save first; then each in a step of its own."""
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
        with self._trying:
            await self._save_last()
        await self._unpoll(list(self._polling))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        await self._outlets.stop()
        for watched in _watched(self.plan):
            with self._trying:
                watched.stop()
        await self._close((*([control.stop] if control is not None else []), *self.plan.closing))

    async def _save_last(self) -> None:
        """In a thread, after a save that is under way: the last frames need not wait for the disk."""
        if self.plan.store is not None:
            data = self._persisted()
            save = partial(self.plan.store.save, data, last=True)
            saving = asyncio.get_running_loop().run_in_executor(None, save)
            await asyncio.wait([saving], timeout=PATIENCE)
            if saving.done():
                saving.result()
            else:
                log.error("the last state is not saved yet: the disk takes longer than %g s", PATIENCE)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let `work` go on beside the rest."""
        task = asyncio.create_task(self._tried(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tried(self, work: Awaitable[Any]) -> None:
        with self._trying:
            await work

    def changed(self) -> None:
        """A battery has news: decide once all that are being asked have answered, or soon where it cannot wait.

        One that is alone is decided on here and now: nothing else can come with it.
        """
        self._news = True
        batteries = self.plan.batteries
        if any(map(ASKED, batteries)):
            self._wake(COALESCE if any(map(PRESSING, batteries)) else GATHER)
        elif len(batteries) > 1 or self._deciding or self._leaving:
            self._wake(0.0)
        else:
            self._tick()

    def _wake(self, delay: float) -> None:
        if self._leaving:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_at(due, self._tick) if delay else loop.call_soon(self._tick)

    def _tick(self) -> None:
        """Decide; a fault in it ends neither the heartbeat nor the poll whose news it is about."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        news, self._news = self._news, False
        self._wake(AFTER_NEWS if news else HEARTBEAT)  # first: no fault below can stop the heartbeat
        with self._trying:
            self.decide()

    # ---- one decision

    def decide(self) -> Snapshot:
        """Look at every battery and make and publish one Snapshot."""
        self._deciding = True
        now, wall = self._clock(), self._wall()
        bank = self._bank(now)
        for battery in self.plan.batteries:
            battery.pressing = False
        events = self._memory.full_events
        asked = self.remote.active()
        decision, self._memory = evaluate(bank, self.plan.site, self._memory, now, wall, asked)
        for note in decision.notes:
            log.warning("%s", note)
        decision, problem = self._guard(decision, bank, asked)
        self._sequence += 1
        self.snapshot = Snapshot(
            bank=bank, decision=decision, at=now, wall=wall, valid_until=now + VALID_FOR, sequence=self._sequence,
            time_to_go=self._memory.time_to_go, time_to_soc=self._memory.time_to_soc,
            current_average=self._memory.current_average, guard=problem, remote=asked,
            life=self._life(bank) if self.plan.site.limits.history else None,
        )  # fmt: skip
        self._outlets.publish(self.snapshot)
        self._note(self.snapshot)
        with self._trying:
            self._full(bank, events)
        with self._trying:
            self._keep(now)
        self._outlets.hand_over(self.snapshot)
        self._deciding = False
        return self.snapshot

    def _note(self, snapshot: Snapshot) -> None:
        """What happened, for those who look later."""
        told, before = story(snapshot), self._story
        self._story = told
        if told != before:
            with self._trying:
                self.events.look(snapshot)
        with self._trying:
            if told != before or self.evidence.waiting:
                self.evidence.look(snapshot, self.plan.ports)
            self.evidence.watch(self.plan.ports)
            self.evidence.remember(self._memory.persisted)

    def _life(self, bank: BankState) -> Life:
        return figures(self._memory.history, bank, self._memory.calendar.ahead)

    def _keep(self, now: float) -> None:
        """Save what a restart should know, in a thread: a slow disk must not delay a frame."""
        store = self.plan.store
        if store is None or self._saving is not None or not store.looks(now):
            return
        if store.due(data := self._persisted(), now):
            self._saving = asyncio.get_running_loop().run_in_executor(None, store.save, data)
            self._saving.add_done_callback(self._saved)

    def _saved(self, saving: "asyncio.Future[bool]") -> None:
        self._saving = None
        with self._supervisor.trying():
            if not saving.cancelled():
                saving.result()

    def _bank(self, now: float) -> BankState:
        states = list(chain.from_iterable(map(STATES, self.plan.batteries)))
        difference = self.plan.join_voltage_difference
        states, self._standings = join(states, self._standings if self._complete else {}, difference)
        self._doubts(states)
        self.states = tuple(states)
        self._complete = self._complete or self._completed(now)
        external = self.plan.external.values() if self.plan.external is not None else None
        bank = aggregate(states, complete=self._complete, external=external, difference=difference)
        floor = self._outlets.discharge_floor() if self.plan.site.limits.time_to_go.enabled else None
        told = self._outlets.reported_currents()
        return bank if floor is None and not told else replace(bank, discharge_floor=floor, inverter_currents=told)

    def _completed(self, now: float) -> bool:
        """All have answered, or one has and there was time for the others."""
        answered = [state.reading is not None for state in self.states if state.control]
        return bool(answered) and (all(answered) or (now - self._started >= self.plan.start_timeout and any(answered)))

    def _doubts(self, states: Sequence[BatteryState]) -> None:
        """Look for what is doubtful where what that rests on is another than when it was looked for last."""
        answering = list(filter(READING, states))
        looked = list(map(DOUBTFUL, answering))
        if looked != self._looked:
            self._doubt(answering)
            self._doubt_together(answering)
            self._looked = looked

    def _doubt(self, states: Sequence[BatteryState]) -> None:
        """Say once what is doubtful between the settings and a pack that answers, or its BMS's own protection."""
        for state in states:
            if state.reading is None:
                continue
            for doubt in pack_doubts(self.plan.site.of(state.name), state.reading):
                about = f"{state.name}: {doubt.partition(':')[0]}"
                if about not in self._doubted:
                    self._doubted.add(about)
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

    def _guard(self, decision: Decision, bank: BankState, asked: tuple[RemoteLimit, ...]) -> tuple[Decision, str]:
        self._known = guard.learn(bank, self._known)
        problem = guard.broken(decision, bank, self.plan.bounds, self._known, asked) if bank.complete else ""
        if problem and problem != self._guarded:
            log.error("guard: %s; emitting the safe state instead", problem)
        elif self._guarded and not problem:
            log.warning("guard: the limits keep all invariants again")
        self._guarded = problem
        if not problem:
            return decision, ""
        return guard.safe(decision, bank, self.plan.bounds, problem, self._known), problem

    def _remembered(self) -> Memory:
        store = self.plan.store
        data, forgotten = (store.load(), store.forgotten) if store is not None else ({}, False)
        memory = Memory.restore(data, self._clock(), self._wall(), forgotten=forgotten)
        return memory.renamed(renamed(connections(data.get("connections")), _connections(self.plan)))

    def _persisted(self) -> dict[str, Any]:
        """What a restart should know."""
        return {**self._memory.persisted(), "connections": _connections(self.plan)}

    def _full(self, bank: BankState, events: int) -> None:
        """When a full charge was completed, BMSs that can, and were full themselves, are told that this is 100 %."""
        paused = self._memory.fallen_since is not None
        full = self._charge.look(bank.batteries, self._memory.phase, self.plan.site, paused)
        if self._memory.full_events > events and self.plan.site.limits.soc_reset.write_to_bms:
            able = [battery for battery in self.plan.batteries if _takes_full(battery) and _all_full(battery, full)]
            self._begin(self._perform(Command("soc", 100.0), able))

    # ---- questions and commands

    async def command(self, command: Command) -> list[Outcome]:
        """Have a command performed by the battery named in it, or by every battery that can; it is noted."""
        outcomes = await self._command(command)
        self.remote.commanded(command, [outcome.note for outcome in outcomes])
        for outcome in outcomes:
            self.events.add(Event(self._wall(), "command", command.words, outcome.note, int(not outcome.accepted)))
        return outcomes

    def restrict(self, source: str, data: object) -> Restricted:
        """Limits from outside, for a while; they count at once."""
        return self.settled(self.remote.asked(source, data))

    def settled(self, found: Restricted) -> Restricted:
        """What became of an order for limits, after which it is time to decide."""
        if found.accepted:
            self._wake(0.0)
        return found

    async def _command(self, command: Command) -> list[Outcome]:
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
        self._memory = replace(self._memory, history=cleared(self._memory.history, int(what)))
        log.info("history: %s cleared", GROUPS[int(what)])
        return Outcome(True, True, f"history: {GROUPS[int(what)]} cleared")

    def commander(self, command: Command) -> "asyncio.Task[list[Outcome]]":
        """For outputs: have `command` performed; the task holds what became of it, for each battery."""
        task = asyncio.create_task(self._obeyed(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _obeyed(self, command: Command) -> list[Outcome]:
        with self._trying:
            return await self.command(command)
        return [Outcome(False, False, f"{command.words}: not done, a defect of the gateway; see the log")]

    async def _perform(self, command: Command, batteries: Iterable[Battery]) -> list[Outcome]:
        return list(await asyncio.gather(*(battery.command(command) for battery in batteries)))

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the control socket asks: {"ask": "state"} or {"ask": "command", ...}.  Always has an answer."""
        with self._trying:
            return await answer(self, request)
        return {"error": "the gateway failed at this request; its log says why"}

    @property
    def directory(self) -> Path | None:
        """Where state is kept; None = nowhere."""
        return self.plan.store.directory if self.plan.store is not None else None

    @property
    def audit(self) -> Iterable[dict[str, Any]]:
        """What was asked for from outside, the oldest first."""
        return self.remote.audit

    def curves(self) -> dict[str, Any]:
        """The limit curves by battery, "" = the bank."""
        return by_battery(self.plan.site)

    def state(self) -> dict[str, Any]:
        """The whole state as plain data."""
        outputs = self._outlets.status()
        store = self.plan.store.problem if self.plan.store is not None else ""
        if self.snapshot is None:
            return {"outputs": outputs, "store": store, "waiting": "starting"}
        state = snapshot_json(self.snapshot) | {"store": store}
        if not self.snapshot.bank.complete:
            silent = [s.name for s in self.states if s.control and s.reading is None]
            state["waiting"] = f"nothing is emitted yet: waiting for {', '.join(silent)}"
        return {**state, "outputs": outputs}


def _connections(plan: Plan) -> dict[str, str]:
    """How each battery is connected, by name."""
    return {battery.watch.name: battery.watch.connection for battery in plan.batteries}


def _succeed(old: Sequence[Battery], new: Sequence[Battery], names: Mapping[str, str]) -> None:
    """Batteries that were made anew take the place of those of their names: one that is connected is not left out.

    names  old -> new, of those that are called otherwise
    """
    former = {called(battery.watch.name, names): battery for battery in old}
    for battery in new:
        before = former.get(battery.watch.name, battery)
        if before is not battery:
            battery.succeed(before)


def _takes_full(battery: Battery) -> bool:
    """May its BMS be told 100 % without a person asking?  Sheet: limits.md 5.6."""
    control = battery.driver.controls.get("soc")
    return battery.watch.control and control is not None and not control.by_hand


def _all_full(battery: Battery, full: frozenset[str]) -> bool:
    """Was it full itself, with every pack that it speaks for?"""
    return all(state.name in full for state in battery.states())


def _watched(plan: Plan) -> "list[ExternalSensor]":
    """Those who are asked on D-Bus."""
    return [plan.external] if plan.external is not None else []
