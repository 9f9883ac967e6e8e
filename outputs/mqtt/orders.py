"""What comes by MQTT to be done: limits for a while, and commands.  Whatever comes, there is an answer to send.

A retained message is refused: the broker would repeat it at each connection, for ever.  Commands that come too fast are
refused, too, but for those that stop a current.  Sheet: face.md chapters 1 (commands) and 6.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from gateway.model import Command, CommandError, Outcome, Restricted
from outputs.allowance import AGAIN, WISHES, Allowance
from outputs.output import Clock, Commander

LONGEST: Final = 1024  # bytes
NOTE: Final = 250  # characters
SOURCE: Final = "mqtt"
RETAINED: Final = "it is retained, so the broker would repeat it for ever; expected retain: false"
TOO_FAST: Final = "too many commands at a time, one a second is taken"


class Orders:
    """The door for them."""

    def __init__(self, commander: Commander, clock: Clock) -> None:
        self._commander, self._clock = commander, clock
        self._allowance = Allowance(WISHES, AGAIN)

    def limits(self, raw: bytes, *, retained: bool) -> Restricted:
        """An order for limits, followed or refused."""
        try:
            return self._commander.restrict(SOURCE, _data(raw, '{"ccl": 20}', retained=retained))
        except CommandError as problem:
            return self._commander.refuse(SOURCE, str(problem), raw[:60].decode(errors="replace"))

    async def command(self, action: str, raw: bytes, *, retained: bool) -> dict[str, Any]:
        """What became of a command, as it is told; that may take as long as a command may wait."""
        try:
            command = _command(action, _data(raw, '{"value": 0, "battery": "rack-1"}', retained=retained))
            if not (command.withdraws or self._allowance.take(self._clock())):
                raise CommandError(TOO_FAST)
        except CommandError as problem:
            self._commander.refuse(SOURCE, f"{action:.40}: {problem}", raw[:60].decode(errors="replace"))
            return _told(action, [Outcome(False, False, str(problem))])
        return _told(command.words, await self._commander(command))


def _data(raw: bytes, example: str, *, retained: bool) -> Any:
    """What is in a message.  Raises CommandError."""
    if retained:
        raise CommandError(RETAINED)
    if len(raw) > LONGEST:
        raise CommandError(f"{len(raw)} bytes, expected {LONGEST} at most")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        shown = raw[:60].decode(errors="replace")
        raise CommandError(f"{shown!r} is no JSON, expected such as {example}") from None


def _command(action: str, data: Any) -> Command:
    """The command in `data`: a number, or an object with the battery that is meant.  Raises CommandError."""
    asked = data if isinstance(data, dict) else {"value": data}
    if "value" not in asked or asked.keys() - {"value", "battery"} or not isinstance(asked.get("battery", ""), str):
        raise CommandError('expected such as {"value": 0, "battery": "rack-1"}; without battery it is for all')
    return Command(action, asked["value"], asked.get("battery", ""), SOURCE)  # type: ignore[arg-type]


def _told(asked: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "command": asked,
        "accepted": bool(outcomes) and all(outcome.accepted for outcome in outcomes),
        "confirmed": bool(outcomes) and all(outcome.confirmed for outcome in outcomes),
        "note": "; ".join(outcome.note for outcome in outcomes)[:NOTE],
    }
