"""A port whose library is not installed: its batteries are never reached, and say why; others go on."""

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from bms_drivers.kit.declare import Frame, Question
from bms_drivers.links.link import Counters
from gateway.model import LinkClosed


class AbsentLink:
    """Stands where the link would; `problem` says what is missing and how to install it."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.counters: Counters = Counter()

    async def open(self) -> None:
        """Raises LinkClosed, always."""
        self._refuse()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """Raises LinkClosed, always."""
        self._refuse()

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _refuse(self) -> NoReturn:
        raise LinkClosed(self.problem)
