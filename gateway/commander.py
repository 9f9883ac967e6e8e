"""The way back from outputs to the gateway, which is built after them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.model import Command, Outcome, Restricted, Restriction

if TYPE_CHECKING:
    from gateway.app import Gateway


class Asking:
    """A Commander (outputs.output) that finds its gateway when it is called."""

    def __init__(self, gateway: "Callable[[], Gateway]") -> None:
        self._gateway = gateway

    def __call__(self, command: Command) -> "asyncio.Future[list[Outcome]]":
        """As Commander."""
        return self._gateway().commander(command)

    def restrict(self, order: Restriction) -> Restricted:
        """As Commander."""
        return self._gateway().restrict(order)

    def refuse(self, source: str, why: str, asked: object) -> Restricted:
        """As Commander."""
        return self._gateway().remote.refused(source, why, asked)
