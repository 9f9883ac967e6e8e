"""What is due to be sent, from the newest Snapshot: newest states only, and what Home Assistant must be told.

No I/O.  What was sent is remembered by `sent`, so a message that did not leave is due again, as it is then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.model import Snapshot
from outputs.mqtt import discovery, states
from outputs.mqtt.discovery import Known
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics, parts
from outputs.output import Clock
from outputs.values import BANK, BATTERY, BY_NAME, of_all
from outputs.values.value import Subject

CCL, DCL = BY_NAME["ccl"], BY_NAME["dcl"]
EXPLAIN_EVERY: Final = 300.0  # s, at most, while nothing else binds: attributes fill Home Assistant's database
CONFIG_EVERY: Final = 10.0  # s between two messages about the same device


@dataclass(frozen=True, slots=True)
class Message:
    """One, ready to go."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(slots=True)
class _Sent:
    """What was told last on one topic, and when [s]."""

    what: Any
    at: float


class Messages:
    """Decides what to send; to be asked again after each message, as a newer Snapshot may have come meanwhile."""

    def __init__(self, settings: Settings, topics: Topics, clock: Clock) -> None:
        self._settings, self._topics, self._clock = settings, topics, clock
        self._known: dict[str, Known] = {}  # by battery, "" = the bank: what was ever known
        self._sent: dict[str, _Sent] = {}
        self._urgent: Any = None

    def anew(self) -> None:
        """The broker or Home Assistant may know nothing any more: all is due."""
        self._sent.clear()

    def sent(self, message: Message, what: Any) -> None:
        """It went out."""
        self._sent[message.topic] = _Sent(what, self._clock())

    def is_urgent(self, snapshot: Snapshot) -> bool:
        """Does it hold what must not wait: a limit that fell, another alarm, a battery that came or went?"""
        decision = snapshot.decision
        now = (decision.alarms, snapshot.guard, tuple(state.health for state in snapshot.bank.batteries))
        ccl, dcl = CCL.shown(decision.ccl), DCL.shown(decision.dcl)  # as told: noise below a digit is no fall
        before, self._urgent = self._urgent, (now, ccl, dcl)
        return before is None or before[0] != now or ccl < before[1] or dcl < before[2]

    def due(self, snapshot: Snapshot) -> Iterator[tuple[Message, Any]]:
        """Each message that is due, with what `sent` wants to be told of it."""
        bank, batteries = of_all(snapshot, self._clock())
        names = parts(subject.state.name for subject in batteries if subject.state is not None)
        told: dict[str, states.State] = {"": states.bank_state(bank)}
        told |= {subject.state.name: states.battery_state(subject) for subject in batteries if subject.state}
        for name, state in told.items():
            if name not in self._known:
                self._known[name] = Known(BATTERY if name else BANK)
            self._known[name].look(state)
        if self._settings.home_assistant.enabled:
            yield from self._configs(told, names)
        for name, state in told.items():
            topic = self._topics.battery(names[name]) if name else self._topics.bank
            yield from self._state(topic, state)
        yield from self._explain(bank, told[""])

    def _configs(self, told: Mapping[str, states.State], names: Mapping[str, str]) -> Iterator[tuple[Message, Any]]:
        prefix = self._settings.home_assistant.prefix
        for name, state in told.items():
            topic = self._topics.config(prefix, names.get(name, ""))
            before, known = self._sent.get(topic), self._known[name]
            made_of = [len(known.keys), *(discovery.about_device(state) if name else ())]
            if before is not None and (before.what == made_of or self._clock() - before.at < CONFIG_EVERY):
                continue
            if name:
                message = discovery.battery_message(self._settings, self._topics, name, names[name], state, known)
            else:
                message = discovery.bank_message(self._settings, self._topics, known)
            yield Message(topic, states.payload(message), qos=1, retain=True), made_of

    def _state(self, topic: str, state: states.State) -> Iterator[tuple[Message, Any]]:
        """When it changed, or as a sign of life.  Never retained: what was true once would look fresh to a newcomer."""
        lasting, before = states.lasting(state), self._sent.get(topic)
        if before is None or before.what != lasting or self._clock() - before.at >= self._settings.heartbeat:
            yield Message(topic, states.payload(state)), lasting

    def _explain(self, bank: Subject, state: states.State) -> Iterator[tuple[Message, Any]]:
        """When other rules bind, and now and then."""
        rules, before = [state.get("ccl_reason"), state.get("dcl_reason")], self._sent.get(self._topics.explain)
        if before is None or before.what != rules or self._clock() - before.at >= EXPLAIN_EVERY:
            yield Message(self._topics.explain, states.payload(states.explain_state(bank))), rules
