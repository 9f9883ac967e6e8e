"""Brands of inverters: what differs between them beyond a dialect, read from a YAML file, ours or a user's own.

`inverter: deye` in gateway.yaml is deye.yaml in the folder of that bus; `inverter: ./mine.yaml` is a file of one's own,
which may begin with `like: deye` and say what differs.  Keys of gateway.yaml win over the brand's.
Every fact in our files bears what it rests on: a recording, a document, or a report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

import dbc
from gateway.model import ConfigError
from gateway.model.section import Section, declared
from outputs.inverter.chosen import is_file

if TYPE_CHECKING:
    from gateway.config.own_file import OwnFile

DEEPEST: Final = 5  # files that begin like one another
Trust = Literal["recording", "document", "report"]


class Descent(Section):
    """How the charge voltage limit comes down below the battery's voltage."""

    step: float = declared(0.1, ge=0.05, le=5.0, description="at a time", unit="V")
    every: float = declared(180.0, ge=1.0, le=3600.0, description="between two steps", unit="s")


def _least() -> Any:
    """A limit that is never told as less."""
    return declared(
        0.0,
        ge=0.0,
        le=1.0,
        description="sent where less is allowed, 0 A included, for an inverter that ignores less",
        unit="A",
    )


class Quirks(Section):
    """What is sent otherwise than decided; see `quirks`."""

    least_charge_current: float = _least()
    least_discharge_current: float = _least()
    lower_slowly: Descent | None = declared(None, description="null = at once, as decided")
    not_below_battery_when_stopped: bool = declared(
        False, description="while charging is stopped the charge voltage limit stays at the battery's voltage"
    )
    soc_until_full: int | None = declared(
        None,
        ge=50,
        le=99,
        description="highest SoC until the battery is declared full",
        unit="%",
    )
    alarms: Literal["raised", "when_cut"] = declared(
        "raised", description="raised, or when_cut: alarms are warnings while current may flow"
    )
    force_charge: tuple[Literal[1, 2], ...] = declared(
        (1, 2), description="which of the two bits ask for a charge from the grid; [] = none"
    )


class Cable(Section):
    """Socket and pins at the inverter."""

    socket: str = declared(description="kind and name of the socket")
    pins: dict[str, str] = declared(description='such as {"4": CAN_H}')
    trust: Trust = declared(description="what it rests on: recording, document, report")


class Fact(Section):
    """A sentence and what it rests on."""

    says: str = declared(description="a sentence")
    trust: Trust = declared(description="what it rests on: recording, document, report")


class Common(Section):
    """What every brand's file may say, whatever the bus."""

    title: str = declared("", description="makers and models")
    quirks: Quirks = Quirks()
    time_out: float | None = declared(None, gt=0, description="after which the inverter itself acts", unit="s")
    setting: str = declared("", description="what to set on the inverter")
    cable: Cable | None = None
    standing: Trust = declared("report", description="what it rests on that this works: recording, document, report")
    facts: tuple[Fact, ...] = declared((), description="a list")


Brand = TypeVar("Brand", bound=Common)


class Shelf(Generic[Brand]):
    """The brands' files for one bus."""

    def __init__(self, folder: str, model: type[Brand]) -> None:
        """`folder` below dbc/ has those that we ship; `model` says what may stand in one."""
        self._folder = Path(dbc.__file__).parent / folder
        self._model = model

    def names(self) -> list[str]:
        """Brands that we ship."""
        return sorted(file.stem for file in self._folder.glob("*.yaml"))

    def load(self, inverter: str, depth: int = 0) -> Brand:
        """The brand called so, or in the user's file.  Raises ConfigError with FILE:LINE: key: what, expected."""
        from gateway.config.own_file import OwnFile  # only where a file is read

        own = OwnFile(self._place(inverter), "keys such as like: deye")
        data = own.data
        base = self._base(own, data.pop("like", None), depth)
        return own.as_a(self._model, _over(base, data))

    def _place(self, inverter: str) -> Path:
        if is_file(inverter):
            return Path(inverter)
        if inverter not in (names := self.names()):
            from gateway.config.explain import hint

            raise ConfigError(f"no inverter is called {inverter!r}, {hint(inverter, names)}; or a file: ./mine.yaml")
        return self._folder / f"{inverter}.yaml"

    def _base(self, own: "OwnFile", like: Any, depth: int) -> dict[str, Any]:
        """What the file begins like; {} = nothing."""
        if like is None:
            return {}
        if not isinstance(like, str) or depth >= DEEPEST:
            most = f"at most {DEEPEST} files begin like one another"
            own.give_up(("like",), f"expected one of {', '.join(self.names())}; {most}")
        try:
            base = self.load(str(own.file.parent / like) if is_file(like) else like, depth + 1)
        except ConfigError as problem:
            own.give_up(("like",), *problem.problems)
        return base.plain(said=True)


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `own` laid on it, section by section; lists are replaced as a whole."""
    both = dict(base)
    for key, value in own.items():
        below = both.get(key)
        both[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both
