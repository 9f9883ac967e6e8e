"""The checks by name, in the order in which one would look."""

from collections.abc import Callable, Iterator
from typing import Final

from gateway.doctor import ports, system
from gateway.doctor.machine import Machine
from gateway.findings import Finding
from gateway.model import GatewayError

Check = Callable[[Machine], Iterator[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "versions": system.versions,
    "configuration": system.configuration,
    "libraries": system.libraries,
    "ports": ports.ports,
    "can": ports.can,
    "bluetooth": ports.bluetooth,
    "dbus": ports.dbus,
    "clock": system.clock,
    "disk": system.disk,
    "power": system.power,
    "service": system.service,
}


def examine(machine: Machine) -> Iterator[tuple[str, Finding]]:
    """Everything that is found, with the name of the check; one that cannot look says so."""
    for name, check in CHECKS.items():
        try:
            yield from ((name, finding) for finding in check(machine))
        except (OSError, GatewayError) as problem:
            yield (
                name,
                Finding(
                    "doubt", f"{name}: cannot be looked at: {problem}", "try again as root: sudo bms-gateway doctor"
                ),
            )
