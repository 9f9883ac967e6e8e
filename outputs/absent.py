"""An output whose library is not installed: it says so in `status`, and the rest of the gateway goes on without it."""

from collections.abc import Mapping

from gateway.model import Snapshot


class AbsentOutput:
    """Stands where the output called `name` would; `problem` says what is missing and how to install it."""

    def __init__(self, name: str, problem: str) -> None:
        self.name, self.problem = name, problem

    async def start(self) -> None:
        """There is nothing to start."""

    def publish(self, snapshot: Snapshot) -> None:
        """Nobody is told."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    def status(self) -> Mapping[str, object]:
        """Never connected, and why."""
        return {"connected": False, "problem": self.problem}
