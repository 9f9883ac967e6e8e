"""The few paths that may be written: switches of the BMS and its SoC, on their way to the gateway and back.  Pure.

    stands --written--> wished --accepted--> stands, as written
                          '----refused-----> stands, as before

A path is there from when a battery can do it.  It shows the wish at once, and what became of it as soon as that is
known; the sentence about it is at /Settings/Outcome.  The same may be asked again, unless it is being asked or was
confirmed: who writes a switch each second must not wear out the memory of a BMS.  For the same reason wishes that come
too fast are refused.  /Mode is both switches at once, and shows what the readings say of them.
Sheet: venus-dbus.md section 4, settings and control; section 2 for SetValue's answers.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import Command, CommandError, Outcome
from gateway.model.command import Action
from outputs.allowance import AGAIN, WISHES, Allowance
from outputs.venus_dbus.tree import Item, Tree, Value, fixed, plain

DONE, NOT_WRITABLE, REFUSED = 0, 1, 2  # answers of SetValue
BALANCE: Final = "/Settings/TurnBalancingOff"
SWITCHES: Final[dict[str, Action]] = {
    "/Settings/ForceChargingOff": "charge",
    "/Settings/ForceDischargingOff": "discharge",
    BALANCE: "balance",
}
HAS_SETTINGS, OUTCOME = "/Settings/HasSettings", "/Settings/Outcome"
CLEAR, MODE = "/History/Clear", "/Mode"
MODES: Final[dict[float, int]] = {3: 0, 4: 1, 0xFC: 1}  # on, off, standby -> what both switches are set to
TOO_FAST: Final = "refused: too many wishes at a time, one a second is taken"
SOC, APPLY = "/Settings/ResetSocTo", "/Settings/ResetSocToApply"
TEXT_LENGTH: Final = 200  # characters of an outcome

Tell = Callable[[Sequence[Outcome]], None]
Asker = Callable[[Command, Tell], bool]
"""Hands a command to the gateway, which tells what became of it; False when it is not running any more."""


@dataclass(eq=False, slots=True)
class Wish:
    """A command whose outcome is not known yet."""

    command: Command
    accepted: float  # what the path shows from then on
    refused: float


class Controls:
    """Switches of one battery ("" = of every battery that can)."""

    def __init__(
        self,
        tree: Tree,
        battery: str,
        ask: Asker,
        put: Callable[[str, Value], object],
        clock: Callable[[], float],
        *,
        writable: bool,
        history: bool,
    ) -> None:
        """`put` sets a path and tells the bus; `history`: this service has one that may be cleared."""
        self._tree, self._battery, self._ask, self._put = tree, battery, ask, put
        self._writable, self._clock = writable, clock
        self._allowance = Allowance(WISHES, AGAIN)
        self._wishes: dict[str, Wish] = {}  # by path, the newest
        self._confirmed: dict[str, Wish] = {}  # by path of a switch, read back from the BMS
        self._on: Container[str] = ()  # names of switches
        self._offered: Container[str] = ()  # actions that have their paths
        tree.add(HAS_SETTINGS, Item("i", plain, 0))
        if writable and history:
            tree.add(CLEAR, Item("i", plain, 0, writable=True))

    def offer(self, actions: Container[str], on: Container[str] = ()) -> list[str]:
        """Have paths for what can be done now; those that are new, or changed with them.

        on  switches that some BMS has on: one that was switched off here, and on elsewhere, is not off any more
        """
        if not self._writable:
            return []
        self._on = on
        new = self._add(actions) if actions != self._offered else []
        self._offered = actions
        return [*new, *self._follow()] if self._confirmed else new

    def _follow(self) -> list[str]:
        """Switches that were confirmed as off, and are no longer what was written."""
        settled = {path: wish for path, wish in self._confirmed.items() if wish.accepted and path not in self._wishes}
        shown = {path: int(SWITCHES[path] not in self._on) for path in settled}
        return [path for path, value in shown.items() if self._tree.put(path, value)]

    def _add(self, actions: Container[str]) -> list[str]:
        wanted = {path: Item("i", plain, 0, writable=True) for path, action in SWITCHES.items() if action in actions}
        if "soc" in actions:
            wanted |= {
                SOC: Item("d", fixed(0, "%"), None, writable=True), APPLY: Item("i", plain, 0, writable=True),
            }  # fmt: skip
        new = {path: item for path, item in wanted.items() if path not in self._tree}
        if new and OUTCOME not in self._tree:
            new |= {HAS_SETTINGS: Item("i", plain, 1), OUTCOME: Item("s", plain)}
        if "mode" in actions and MODE in self._tree:
            self._tree[MODE].writable = True
        for path, item in new.items():
            self._tree.add(path, item)
        return list(new)

    def write(self, path: str, value: Value) -> int:
        """Answer to SetValue on one of these paths: DONE = the gateway was asked."""
        if not isinstance(value, int | float):
            return REFUSED
        try:
            return self._write(path, value)
        except CommandError:
            return REFUSED

    def _write(self, path: str, value: float) -> int:
        if path == SOC:
            self._put(path, Command("soc", value, self._battery).value)
            return DONE
        if path == MODE:
            return self._switch_all(MODES.get(value))
        if value == 0 and path in (CLEAR, APPLY):
            return DONE
        if path == CLEAR:  # the path falls back to 0, so that the same can be asked again
            return self._wish(path, Wish(Command("clear_history", value, self._battery), 0, 0), value)
        if value not in (0, 1):
            return REFUSED
        if path == APPLY:
            soc = self._tree[SOC].value
            if not isinstance(soc, float):
                return REFUSED
            return self._wish(path, Wish(Command("soc", soc, self._battery), 0, 0), 1)
        return self._wish(
            path, Wish(Command(SWITCHES[path], 1 - value, self._battery), value, self._before(path)), value
        )

    def _switch_all(self, off: int | None) -> int:
        """Both switches that current flows through."""
        if off is None:
            return REFUSED
        return max([self._write(path, off) for path in SWITCHES if path != BALANCE])

    def _before(self, path: str) -> float:
        """What stands if the next wish is refused: what stood before those that have no outcome yet."""
        pending, value = self._wishes.get(path), self._tree[path].value
        if pending is not None:
            return pending.refused
        return value if isinstance(value, int | float) else 0

    def _wish(self, path: str, wish: Wish, shown: float) -> int:
        """Ask, unless just that is being asked or stands confirmed."""
        if self._stands(path, wish):
            return DONE
        if not (wish.command.withdraws or self._allowance.take(self._clock())):
            self._say(TOO_FAST)
            return REFUSED
        self._confirmed.pop(path, None)
        if not self._ask(wish.command, lambda outcomes: self._settle(path, wish, outcomes)):
            return REFUSED
        self._wishes[path] = wish
        self._put(path, shown)
        return DONE

    def _stands(self, path: str, wish: Wish) -> bool:
        """Is just that being asked, or was it confirmed and is still so?"""
        pending, confirmed = self._wishes.get(path), self._confirmed.get(path)
        if pending is not None or confirmed is None:
            return pending is not None and pending.command == wish.command
        return confirmed.command == wish.command and (SWITCHES[path] in self._on) == bool(wish.command.value)

    def _settle(self, path: str, wish: Wish, outcomes: Sequence[Outcome]) -> None:
        """The outcome, for each battery; that of a wish which a newer one replaced says nothing any more."""
        if self._wishes.get(path) is not wish:
            return
        del self._wishes[path]
        accepted = bool(outcomes) and all(outcome.accepted for outcome in outcomes)
        self._put(path, wish.accepted if accepted else wish.refused)
        if path in SWITCHES and outcomes and all(outcome.confirmed for outcome in outcomes):
            self._confirmed[path] = wish
        self._say("; ".join(outcome.note for outcome in outcomes)[:TEXT_LENGTH])

    def _say(self, outcome: str) -> None:
        if OUTCOME in self._tree:
            self._put(OUTCOME, outcome)
