"""A sensor on D-Bus that cannot be asked, because the library is not installed: the BMSs' own values count."""

from gateway.model import External


class NoSensor:
    """Stands where the sensor would; `problem` says what is missing and how to install it."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def values(self) -> External:
        """Nothing is known, and why."""
        return External(fault=self.problem)
