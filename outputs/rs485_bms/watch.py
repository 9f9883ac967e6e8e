"""The inverter's side of the line: what it asks, how often and when last, and what else is heard there.

    never asked --a question for us--> asking --none for `asks_within`--> silent --a question--> asking

What is wrong with a line shows in what comes: nothing at all, bytes without a question among them (A and B swapped,
another speed), questions for another address or in another dialect, damaged ones (two masters), or answers that are
not ours (a second battery).  Sheet: rs485-inverter-protocols.md sections 4, 8 and 9.
"""

import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from outputs.rs485_bms.dialects import resembles
from outputs.rs485_bms.heard import Heard, Request

log = logging.getLogger("bms_gateway.rs485_bms")

NEVER, ASKING, SILENT = "never asked", "asking", "silent"
LATELY: Final = 60.0  # s
KEPT: Final = 300  # events
SOME: Final = 3  # events of a kind lately that make it a symptom
MANY: Final = 0.2  # share of damaged questions that is more than a mishap
GUESS_EVERY: Final = 1.0  # s between two guesses at a foreign dialect
SMOOTH: Final = 0.2  # weight of the newest gap
KINDS_MOST: Final = 64  # kinds of questions that are told apart


@dataclass(slots=True)
class Asked:
    """One kind of question."""

    count: int = 0
    last: float = 0.0  # s
    every: float | None = None  # s, mean of the last gaps

    def again(self, now: float) -> None:
        """It was asked once more."""
        if self.count:
            gap = now - self.last
            self.every = gap if self.every is None else self.every + SMOOTH * (gap - self.every)
        self.count, self.last = self.count + 1, now


class Watch:
    """Keeps account of one line; written by its thread, read by others.  `now` is s, monotonic."""

    def __init__(self, name: str, dialect: str, address: int, baud: int, asks_within: float) -> None:
        self.asked: dict[str, Asked] = {}
        self.counters: Counter[str] = Counter()  # questions, foreign, noise, checksum, answer, ...
        self.last_question: float | None = None
        self._name, self._dialect, self._address, self._baud = name, dialect, address, baud
        self._within = asks_within
        self._recent: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self._since: float | None = None  # when it could first have been heard
        self._foreign = ""  # whom another asks, or in which dialect it is asked
        self._guessed = 0.0
        self._said = self._told = ""

    # ---- by the thread of the line

    def heard(self, burst: list[Heard], raw: bytes, now: float) -> None:
        """Take note of what came in one go."""
        for one in burst:
            kind = "question" if isinstance(one, Request) and one.ours else "foreign"
            self._note(kind if isinstance(one, Request) else one.reason, now)
            if isinstance(one, Request):
                self._question(one, now)
        if not any(isinstance(one, Request) for one in burst) and now - self._guessed >= GUESS_EVERY:
            self._guessed = now
            if names := resembles(raw, but=(self._dialect,)):
                self._note("dialect", now)
                self._foreign = f"is asked in {' or '.join(names)}, not in {self._dialect}: set dialect"

    def look(self, now: float) -> None:
        """Now and then: say in the log what changed."""
        self._since = now if self._since is None else self._since
        state = self._state(now)
        if state != self._said:
            self._log(state, now)
        self._said = state
        symptom = self.second_battery(now) or (self.symptom(now) if state == ASKING else "")
        if symptom and symptom != self._told:
            log.error("%s: %s", self._name, symptom)
        self._told = symptom

    # ---- by anybody

    def state(self, now: float) -> str:
        """never asked, asking, or silent for so long."""
        if self.last_question is None:
            return NEVER
        state = self._state(now)
        return f"silent for {now - self.last_question:.0f} s" if state == SILENT else state

    def asks(self, now: float) -> list[dict[str, object]]:
        """What was asked: how often, every so many s, and how long ago."""
        return [
            {
                "what": what,
                "count": asked.count,
                "every": None if asked.every is None else round(asked.every, 2),
                "ago": round(now - asked.last, 1),
            }
            for what, asked in list(self.asked.items())
        ]

    def second_battery(self, now: float) -> str:
        """Does somebody else answer here?  "" = no."""
        if self._lately(now)["answer"] < SOME:
            return ""
        return "another battery answers on this line: two answers at once destroy each other; expected one battery"

    def symptom(self, now: float) -> str:
        """What is wrong with a line on which nobody asks us, or questions are damaged, for people; "" = nothing."""
        lately = self._lately(now)
        damaged = lately["checksum"]
        if damaged >= SOME and damaged > MANY * (damaged + lately["question"]):
            return f"{damaged} questions of the last minute were damaged: two masters, no ground wire, or noise"
        if self._state(now) in ("", ASKING):
            return ""
        if lately["foreign"] or lately["dialect"]:
            return f"the battery {self._foreign}"
        if lately["noise"] >= SOME:
            return (
                f"bytes come, but no question is among them: A and B swapped (exchange the two wires), another speed"
                f" than {self._baud} bit/s, or another protocol"
            )
        if self.last_question is not None:
            return f"the inverter has stopped asking ({self.state(now)})"
        return "the inverter has not asked: its battery setting, the pins of its socket, or A and B swapped"

    # ---- inside

    def _state(self, now: float) -> str:
        """asking, silent, never asked; "" while it had no time to begin."""
        if self.last_question is not None:
            return ASKING if now - self.last_question < self._within else SILENT
        return "" if self._since is None or now - self._since < self._within else NEVER

    def _lately(self, now: float) -> Counter[str]:
        return Counter(kind for at, kind in list(self._recent) if now - at < LATELY)

    def _note(self, kind: str, now: float) -> None:
        self.counters[kind] += 1
        self._recent.append((now, kind))

    def _question(self, request: Request, now: float) -> None:
        if not request.ours:
            self._foreign = (
                f"at address 0x{request.address:02X} is asked, not the one at 0x{self._address:02X}: set address"
            )
            return
        self.last_question = now
        if request.what in self.asked or len(self.asked) < KINDS_MOST:
            self.asked.setdefault(request.what, Asked()).again(now)

    def _log(self, state: str, now: float) -> None:
        if state == ASKING:
            log.info("%s: the inverter asks", self._name)
        elif state:
            log.warning("%s: %s", self._name, self.symptom(now))
