"""The commands of one battery, from being asked to their outcome.

    asked --turn on the port--> sent --newer reading shows it--> confirmed
      |            |              |
      |         refused        3 newer readings do not show it
      '-- a newer one of its kind replaces it; after 30 s (or 3 poll intervals, if that is longer) it has expired

So at most one waits per action, nobody waits for ever, and nothing is written hours after it was meant.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bms_drivers.kit.declare import Control
from gateway.model import Command, Outcome, Reading

log = logging.getLogger("bms_gateway.battery")

EXPIRES_AFTER: Final = 30.0  # s
POLLS: Final = 3  # newer readings in which a command must show, and the least number of polls it may wait


@dataclass(slots=True, eq=False)
class Order:
    """One command on its way."""

    command: Command
    done: "asyncio.Future[Outcome]"
    expires: float  # s, monotonic
    sent_at: float | None = None  # s, monotonic
    readings_left: int = POLLS


class Orders:
    """What was asked of one battery and has no outcome yet."""

    def __init__(self, name: str, poll_interval: Callable[[], float]) -> None:
        """`name` of the battery, for people; `poll_interval` [s] as it is configured now."""
        self._name, self._poll_interval = name, poll_interval
        self._orders: list[Order] = []

    def __len__(self) -> int:
        """How many that is."""
        return len(self._orders)

    @property
    def _patience(self) -> float:
        """s that a command may wait."""
        return max(EXPIRES_AFTER, POLLS * self._poll_interval())

    def add(self, command: Command, now: float) -> "asyncio.Future[Outcome]":
        """Have `command` wait for its turn; an older one of its kind is settled as replaced."""
        for older in [order for order in self._orders if order.command.action == command.action]:
            self._settle(older, older.sent_at is not None, False, "replaced by a newer one")
        order = Order(command, asyncio.get_running_loop().create_future(), now + self._patience)
        self._orders.append(order)
        return order.done

    def waiting(self, now: float) -> list[Order]:
        """Those to be sent now, in the order in which they were asked."""
        self.expire(now)
        return [order for order in self._orders if order.sent_at is None]

    def sent(self, order: Order, now: float) -> None:
        """The device took it."""
        order.sent_at = now

    def refused(self, order: Order, why: str) -> None:
        """It was not done."""
        self._settle(order, False, False, f"refused: {why}")

    def compare(self, order: Order, control: Control, reading: Reading, dated: float) -> None:
        """Does a reading that was answered at `dated` show what was sent?  Older ones say nothing of it."""
        if order.sent_at is None or dated < order.sent_at:
            return
        order.readings_left -= 1
        if control.confirmed(order.command.value, reading):
            self._settle(order, True, True, "confirmed by reading back")
        elif order.readings_left <= 0:
            self._settle(order, True, False, "accepted, but the readings do not show it")

    def unconfirmed(self) -> list[Order]:
        """Those that the device took."""
        return [order for order in self._orders if order.sent_at is not None]

    def expire(self, now: float) -> None:
        """Give up what has waited too long."""
        if not self._orders:
            return
        for order in [order for order in self._orders if order.expires <= now]:
            sent = order.sent_at is not None
            what = "accepted, but no reading came that could show it" if sent else "expired before it could be sent"
            self._settle(order, sent, False, f"{what} ({self._patience:g} s)")

    def _settle(self, order: Order, accepted: bool, confirmed: bool, became: str) -> None:
        if order not in self._orders:
            return  # it was replaced, or expired, while it was on its way
        outcome = Outcome(accepted, confirmed, f"{self._name}: {order.command.words} {became}")
        self._orders.remove(order)
        log.info("%s", outcome.note)
        if not order.done.done():
            order.done.set_result(outcome)
