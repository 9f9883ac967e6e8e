"""Brands of inverters: what differs between them beyond a dialect, read from a YAML file, ours or a user's own.

`inverter: deye` in gateway.yaml is deye.yaml in the folder of that bus; `inverter: ./mine.yaml` is a file of one's own,
which may begin with `like: deye` and say what differs.  Keys of gateway.yaml win over the brand's.
Every fact in our files bears what it rests on: a recording, a document, or a report.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import dbc
from gateway.config.explain import Explainer, hint
from gateway.config.tree import NOTHING, Document, read
from gateway.model import ConfigError

DEEPEST: Final = 5  # files that begin like one another
Trust = Literal["recording", "document", "report"]


class Part(BaseModel):
    """A section of a brand's file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Descent(Part):
    """How the charge voltage limit comes down below the battery's voltage."""

    step: float = Field(default=0.1, ge=0.05, le=5.0, description="at a time", json_schema_extra={"unit": "V"})
    every: float = Field(
        default=180.0, ge=1.0, le=3600.0, description="between two steps", json_schema_extra={"unit": "s"}
    )


def _least() -> Any:
    """A limit that is never told as less."""
    return Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="sent where less is allowed, 0 A included, for an inverter that ignores less",
        json_schema_extra={"unit": "A"},
    )


class Quirks(Part):
    """What is sent otherwise than decided; see `quirks`."""

    least_charge_current: float = _least()
    least_discharge_current: float = _least()
    lower_slowly: Descent | None = Field(default=None, description="null = at once, as decided")
    not_below_battery_when_stopped: bool = Field(
        default=False, description="while charging is stopped the charge voltage limit stays at the battery's voltage"
    )
    soc_until_full: int | None = Field(
        default=None,
        ge=50,
        le=99,
        description="highest SoC until the battery is declared full",
        json_schema_extra={"unit": "%"},
    )
    alarms: Literal["raised", "when_cut"] = Field(
        default="raised", description="raised, or when_cut: alarms are warnings while current may flow"
    )
    force_charge: tuple[Literal[1, 2], ...] = Field(
        default=(1, 2), description="which of the two bits ask for a charge from the grid; [] = none"
    )


class Cable(Part):
    """Socket and pins at the inverter."""

    socket: str = Field(description="kind and name of the socket")
    pins: dict[str, str] = Field(description='such as {"4": CAN_H}')
    trust: Trust = Field(description="what it rests on: recording, document, report")


class Fact(Part):
    """A sentence and what it rests on."""

    says: str = Field(description="a sentence")
    trust: Trust = Field(description="what it rests on: recording, document, report")


class Common(Part):
    """What every brand's file may say, whatever the bus."""

    title: str = Field(default="", description="makers and models")
    quirks: Quirks = Quirks()
    time_out: float | None = Field(
        default=None, gt=0, description="after which the inverter itself acts", json_schema_extra={"unit": "s"}
    )
    setting: str = Field(default="", description="what to set on the inverter")
    cable: Cable | None = None
    standing: Trust = Field(
        default="report", description="what it rests on that this works: recording, document, report"
    )
    facts: tuple[Fact, ...] = Field(default=(), description="a list")


Brand = TypeVar("Brand", bound=Common)


def is_file(inverter: str) -> bool:
    """Is it a file of the user's own, not one of our names?"""
    return "/" in inverter or inverter.endswith((".yaml", ".yml"))


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
        return _checked(self._model, *self._merged(inverter, depth))

    def _place(self, inverter: str) -> Path:
        if is_file(inverter):
            return Path(inverter)
        if inverter not in (names := self.names()):
            raise ConfigError(f"no inverter is called {inverter!r}, {hint(inverter, names)}; or a file: ./mine.yaml")
        return self._folder / f"{inverter}.yaml"

    def _merged(self, inverter: str, depth: int) -> tuple[Path, Document, dict[str, Any]]:
        """The file, what stands in it, and that laid over what it begins like."""
        file = self._place(inverter)
        document = _document(file)
        own = {key: value for key, value in document.data.items() if key != "like"}
        return file, document, _over(self._base(file, document, depth), _filled(own, document))

    def _base(self, file: Path, document: Document, depth: int) -> dict[str, Any]:
        """What the file begins like; {} = nothing."""
        like = document.data.get("like")
        if like is None:
            return {}
        if not isinstance(like, str) or depth >= DEEPEST:
            most = f"at most {DEEPEST} files begin like one another"
            document.add(("like",), f"expected one of {', '.join(self.names())}; {most}")
        _refuse(file, document)
        try:
            base = self.load(str(file.parent / like) if is_file(like) else like, depth + 1)
        except ConfigError as problem:
            document.add(("like",), "; ".join(problem.problems))
            _refuse(file, document)
            raise
        return base.model_dump(mode="json", exclude_unset=True)


def _document(file: Path) -> Document:
    """What the file holds, a section.  Raises ConfigError."""
    try:
        document = read(file.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise ConfigError(f"{file}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not UTF-8, save the file as UTF-8") from None
    except ValueError as problem:
        raise ConfigError(f"{str(file)!r}: no file name ({problem})") from None
    if not document.problems and not isinstance(document.data, dict):
        document.add((), "expected keys such as like: deye")
    _refuse(file, document)
    return document


def _filled(value: Any, document: Document, path: tuple[str | int, ...] = ()) -> Any:
    """`value`; a key with nothing behind it is a setting that its writer believes to have made."""
    if value is NOTHING:
        document.add(path, "no value; remove the line, or write null for none")
        return None
    if isinstance(value, dict):
        return {key: _filled(inner, document, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, document, (*path, index)) for index, inner in enumerate(value)]
    return value


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `own` laid on it, section by section; lists are replaced as a whole."""
    both = dict(base)
    for key, value in own.items():
        below = both.get(key)
        both[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _checked(model: type[Brand], file: Path, document: Document, data: Mapping[str, Any]) -> Brand:
    _refuse(file, document)
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        explainer = Explainer(model)
        for details in error.errors(include_url=False):
            path = tuple(details["loc"])
            unknown = details["type"] == "extra_forbidden"
            text = explainer.unknown_key(path, explainer) if unknown else explainer.explain(details, path)
            document.add(path, text)
        _refuse(file, document)
        raise


def _refuse(file: Path, document: Document) -> None:
    if document.problems:
        raise ConfigError(*(problem.show(str(file)) for problem in sorted(document.problems)))
