"""The few paths that may be written: switches of the BMS and its SoC, on their way to the gateway.  Pure.

Sheet: venus-dbus.md section 4, settings and control; section 2 for SetValue's answers.
"""

from collections.abc import Callable
from typing import Final

from gateway.model import Command
from gateway.model.command import Action
from outputs.venus_dbus.tree import Item, Tree, Value, fixed, plain

DONE, NOT_WRITABLE, REFUSED = 0, 1, 2  # answers of SetValue
SWITCHES: Final[dict[str, Action]] = {
    "/Settings/ForceChargingOff": "charge",
    "/Settings/ForceDischargingOff": "discharge",
    "/Settings/TurnBalancingOff": "balance",
}
CLEAR = "/History/Clear"
SOC, APPLY = "/Settings/ResetSocTo", "/Settings/ResetSocToApply"

Asker = Callable[[Command], bool]
"""Hands a command to the gateway; False when it is not running any more."""


class Controls:
    """Switches of one battery ("" = of every battery that can)."""

    def __init__(self, tree: Tree, battery: str, ask: Asker, *, writable: bool, history: bool) -> None:
        """`history`: this service has one that may be cleared."""
        self._tree, self._battery, self._ask = tree, battery, ask
        tree.add("/Settings/HasSettings", Item("i", plain, int(writable)))
        if not writable:
            return
        for path in SWITCHES:
            tree.add(path, Item("i", plain, 0, writable=True))
        if history:
            tree.add(CLEAR, Item("i", plain, 0, writable=True))
        tree.add(SOC, Item("d", fixed(0, "%"), None, writable=True))
        tree.add(APPLY, Item("i", plain, 0, writable=True))

    def write(self, path: str, value: Value) -> int:
        """Answer to SetValue on one of these paths; the tree holds what was accepted."""
        if not isinstance(value, int | float):
            return REFUSED
        if path == SOC:
            return self._store(path, value, 0.0 <= value <= 100.0)
        if path == CLEAR:
            return self._clear(value)
        if value not in (0, 1):
            return REFUSED
        if path == APPLY:
            return self._apply(value == 1)
        if self._tree[path].value == value:
            return DONE
        allowed = 0.0 if value else 1.0
        return self._store(path, value, self._ask(Command(SWITCHES[path], allowed, self._battery)))

    def _store(self, path: str, value: float, accepted: bool) -> int:
        if accepted:
            self._tree.put(path, value)
        return DONE if accepted else REFUSED

    def _clear(self, what: float) -> int:
        """Clear a group of figures (1 = all); the path stays 0, so that the same can be asked again."""
        if what == 0:
            return DONE
        accepted = what in range(1, 8) and self._ask(Command("clear_history", what, self._battery))
        return DONE if accepted else REFUSED

    def _apply(self, wanted: bool) -> int:
        """Set the SoC chosen before; the path falls back to 0 so that the same value can be applied again."""
        soc = self._tree[SOC].value
        if not wanted:
            return DONE
        if not isinstance(soc, float):
            return REFUSED
        return DONE if self._ask(Command("soc", soc, self._battery)) else REFUSED
