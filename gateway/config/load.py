"""gateway.yaml -> Settings, or ConfigError with one line for every mistake in it: FILE:LINE: key: what, expected."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from bms_drivers.kit.declare import Option
from gateway.config.beside import context
from gateway.config.explain import Explainer, hint
from gateway.config.schema import (
    AUTO,
    BankSettings,
    BatterySettings,
    Catalogue,
    Settings,
    battery_class,
    gathered,
    installed,
)
from gateway.config.survey import look
from gateway.config.tree import NOTHING, Document, Problem, dotted, read, within
from gateway.config.tree import Path as KeyPath
from gateway.limits.sense import Contradiction, told
from gateway.limits.settings import OF_THE_BANK, LimitSettings
from gateway.model import ConfigError
from gateway.model.section import Section, of_the_file
from gateway.model.validation import validated_json
from outputs.registry import PACKAGES, SEVERAL, settings_class

LARGEST: Final = 1024 * 1024  # bytes
SECTIONS: Final = {"bank": BankSettings, "limits": LimitSettings}

Some = TypeVar("Some", bound=Section)


def load(path: Path | str, catalogue: Catalogue | None = None) -> Settings:
    """The settings in a file.  Raises ConfigError that holds every mistake found, ordered by line."""
    return parse(_text(Path(path)), str(path), catalogue)


def parse(text: str, source: str = "gateway.yaml", catalogue: Catalogue | None = None) -> Settings:
    """The settings in `text`; messages call it `source`.  Raises ConfigError."""
    settings, problems = examine(text, catalogue, source=source)
    if settings is None:
        raise ConfigError(*dict.fromkeys(problem.show(source) for problem in problems))
    return settings


def examine(
    text: str, catalogue: Catalogue | None = None, *, surveyed: bool = True, source: str = "gateway.yaml"
) -> tuple[Settings | None, list[Problem]]:
    """The settings in `text`, or None and what is wrong with it, ordered by line.

    `surveyed` False leaves out what is well-formed and cannot be built.  Relative paths are beside the file `source`.
    """
    document = read(text)
    settings = None
    if document.data is None and not document.problems:
        document.add((), "the file is empty, expected at least batteries: with name, driver and port of one battery")
    elif isinstance(document.data, dict):
        settings = _Reader(document, catalogue or installed(), context(source)).settings(surveyed=surveyed)
    elif document.data is not None:
        document.add((), "expected sections (lines such as batteries:, bank:, limits:, outputs:)")
    return settings, sorted(document.problems, key=_order)


def _order(problem: Problem) -> tuple[int, str]:
    return problem.line, dotted(problem.path)


def _text(path: Path) -> str:
    """The file's text.  Raises ConfigError when there is none to be had."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file, expected a gateway.yaml") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"{str(path)!r}: no file name ({error})") from None
    if len(raw) > LARGEST:
        raise ConfigError(f"{path}: larger than {LARGEST} bytes, expected a gateway.yaml")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8, save the file as UTF-8"
        ) from None


class _Frame(Settings):
    """The top level alone; what is inside the sections has its own turn."""

    batteries: Any = None
    bank: Any = None
    limits: Any = None
    outputs: Any = None


class _Reader:
    """One document on its way to Settings; every mistake goes to `document.problems`."""

    def __init__(self, document: Document, catalogue: Catalogue, context: Mapping[str, Any]) -> None:
        self._document, self._catalogue, self._context = document, catalogue, context
        self._drivers = sorted({*catalogue.names(), AUTO})
        self._whole = Explainer(Settings)
        self._places: dict[str, KeyPath] = {}  # of outputs that stand in a list

    def settings(self, *, surveyed: bool = True) -> Settings | None:
        """Everything, or None when it cannot be."""
        data = self._document.data
        inner = {one.name for one in of_the_file(_Frame)} - {"state_dir", "control_socket"}
        frame = self._check(_Frame, {key: None if key in inner else value for key, value in data.items()}, ())
        bank = self._section("bank", data)
        limits = self._section("limits", data)
        numbered = self._batteries(data)
        batteries = list(numbered.values())
        outputs = self._outputs(data)
        for mistake in look(numbered, outputs, self._catalogue).mistakes if surveyed else ():
            self._document.add(self._place(mistake.path), mistake.text)
        if bank is not None:
            self._refuse_two_counters(bank, [limits, *(battery.limits for battery in batteries)])
        if self._document.problems or frame is None or bank is None or limits is None:
            return None
        return Settings(
            batteries=tuple(batteries), bank=bank, limits=limits, outputs=outputs,
            state_dir=frame.state_dir, control_socket=frame.control_socket,
        )  # fmt: skip

    def _refuse_two_counters(self, bank: BankSettings, limits: Sequence[LimitSettings | None]) -> None:
        """An SoC from outside and one of our own (limits.md 5.2)."""
        outside = bank.external_sensor is not None and bank.external_sensor.soc is not None
        if outside and any(own is not None and own.soc.source == "counter" for own in limits):
            text = "an SoC from outside and limits.soc.source counter exclude each other; remove one of them"
            self._document.add(("bank", "external_sensor", "soc"), text)

    def _place(self, path: KeyPath) -> KeyPath:
        """Where in the file a path leads whose output is called by its name."""
        head, rest = path[:2], path[2:]
        return (*self._places.get(str(head[-1]), head), *rest) if head[0] == "outputs" else path

    def _section(self, name: str, data: Mapping[str, Any]) -> Any:
        return self._check(SECTIONS[name], data.get(name, NOTHING), (name,))

    def _outputs(self, data: Mapping[str, Any]) -> dict[str, Section]:
        given = data.get("outputs", NOTHING)
        if given is NOTHING:
            return {}
        if not isinstance(given, dict):
            self._document.add(("outputs",), f"expected a section with {' or '.join(PACKAGES)}")
            return {}
        found: dict[str, Section] = {}
        for kind, value in given.items():
            if kind not in PACKAGES:
                self._document.add(("outputs", kind), f"no output is called {kind!r}, {hint(kind, list(PACKAGES))}")
            elif isinstance(value, list) and value and kind in SEVERAL:
                found.update(self._several(kind, value))
            elif (checked := self._check(settings_class(kind), value, ("outputs", kind))) is not None:
                found[kind] = checked
        return found

    def _several(self, kind: str, given: Sequence[Any]) -> dict[str, Section]:
        """A list of outputs of one kind, each named after its bus."""
        found: dict[str, Section] = {}
        for index, value in enumerate(given):
            path = ("outputs", kind, index)
            checked = self._check(settings_class(kind), value, path)
            if checked is None:
                continue
            bus = getattr(checked, SEVERAL[kind])
            name = f"{kind}:{bus}" if len(given) > 1 else kind
            if name in found:
                text = f"{bus} is taken, see line {self._document.line(self._places[name])}"
                self._document.add((*path, SEVERAL[kind]), f"{text}; two outputs on one bus contradict each other")
                continue
            found[name], self._places[name] = checked, path
        return found

    def _batteries(self, data: Mapping[str, Any]) -> dict[int, BatterySettings]:
        """Those that are sound, by their numbers."""
        given = data.get("batteries")
        path: KeyPath = ("batteries",)
        if not isinstance(given, list) or not given:
            self._document.add(path, "expected a list (lines that begin with -) of at least one battery")
            return {}
        found = {index: self._battery(item, (*path, index)) for index, item in enumerate(given)}
        self._refuse_namesakes([item if isinstance(item, dict) else {} for item in given])
        return {index: battery for index, battery in found.items() if battery is not None}

    def _battery(self, data: Any, path: KeyPath) -> BatterySettings | None:
        if not isinstance(data, dict):
            self._document.add(path, "expected a battery: a section with name, driver, port")
            return None
        own = data.get("limits")
        name, options = self._options(data, path)
        kind = battery_class(name, options)
        battery = self._check(kind, {key: value for key, value in data.items() if key != "limits"}, path)
        limits = self._own_limits(own, (*path, "limits")) if own is not None else None
        if battery is None:
            return None
        battery = gathered(battery, options)
        return battery if limits is None else battery.changed(limits=limits)

    def _options(self, data: Mapping[str, Any], path: KeyPath) -> tuple[str, tuple[Option, ...]]:
        """This battery's driver and the settings that it has of its own; of any driver while it is not known which."""
        name = data.get("driver")
        if isinstance(name, str) and name in self._drivers:
            return name, self._catalogue.options(name)
        if isinstance(name, str):
            self._document.add((*path, "driver"), f"no driver is called {name!r}, {hint(name, self._drivers)}")
        every = {option.name: option for driver in self._drivers for option in self._catalogue.options(driver)}
        return "any", tuple(option for key, option in every.items() if key in data)

    def _own_limits(self, own: object, path: KeyPath) -> LimitSettings | None:
        """The bank's limits with one battery's differences laid over them."""
        if own is NOTHING:
            return None
        if not isinstance(own, dict):
            self._document.add(path, "expected a section like the top-level limits, with what differs")
            return None
        self._refuse_bank_keys(own, path)
        whole = self._document.data.get("limits")
        whole = whole if isinstance(whole, dict) else {}
        sound = not any(problem.path[:1] == ("limits",) for problem in self._document.problems)
        return self._check(LimitSettings, merged(whole, own) if sound else own, path)

    def _refuse_bank_keys(self, own: Mapping[str, Any], path: KeyPath) -> None:
        """Keys of the charge state machine and the like, of which there is one for all batteries."""
        for dotted_key in OF_THE_BANK:
            *sections, last = dotted_key.split(".")
            place: Any = own
            for section in sections:
                place = place.get(section) if isinstance(place, dict) else None
            if isinstance(place, dict) and last in place:
                text = f"is for the whole bank, expected at the top level as limits.{dotted_key}"
                self._document.add((*path, *sections, last), text)

    def _refuse_namesakes(self, batteries: Sequence[Mapping[str, Any]]) -> None:
        """Two batteries with one name, or one identity."""
        for key in ("name", "identity"):
            names: dict[str, int] = {}
            for index, battery in enumerate(batteries):
                name = battery.get(key)
                if isinstance(name, str) and (first := names.setdefault(name.lower(), index)) != index:
                    line = self._document.line(("batteries", first, key))
                    self._document.add(("batteries", index, key), f"{name!r} is taken, see line {line}")

    def _check(self, kind: type[Some], data: Any, path: KeyPath) -> Some | None:
        """`data` as a section of that kind; None and problems when it is none."""
        explainer = self._whole if kind is _Frame else Explainer(kind)
        data = self._filled(data, path, explainer, ())
        if kind is LimitSettings and isinstance(data, dict):
            data = merged(default_limits(), data)
        try:
            return validated_json(kind, json.dumps(data), self._context)
        except ValidationError as error:
            self._note(error, data, path, explainer)
            return None

    def _filled(self, data: Any, root: KeyPath, explainer: Explainer, path: KeyPath) -> Any:
        """`data` without keys that have nothing behind them: a section stands for its defaults, others are mistakes."""
        if data is NOTHING:
            if not path or explainer.is_section(path):
                return {}
            if explainer.node(path) is None:
                return None  # an unknown key, which is said elsewhere
            expected = explainer.expected(path)
            self._document.add((*root, *path), f"no value, expected {expected}; or remove the line")
            return None
        if isinstance(data, dict):
            return {key: self._filled(value, root, explainer, (*path, key)) for key, value in data.items()}
        if isinstance(data, list):
            return [self._filled(value, root, explainer, (*path, index)) for index, value in enumerate(data)]
        return data

    def _note(self, error: ValidationError, data: Any, root: KeyPath, explainer: Explainer) -> None:
        """One problem for each place that is objected to."""
        for details in error.errors(include_url=False):
            path = within(data, details["loc"], missing=details["type"] == "missing")
            if details["type"] == "value_error" and self._is_known_below((*root, *path)):
                continue  # of values that do not fit together at least one is wrong already
            if found := told(details):
                self._contradict(found, (*root, *path))
                continue
            if details["type"] == "extra_forbidden" and path:
                text = explainer.unknown_key(path, self._whole)
            else:
                text = explainer.explain(details, path)
            self._document.add((*root, *path), text)

    def _contradict(self, found: Sequence[Contradiction], root: KeyPath) -> None:
        """Keys that do not go together, at the first of them that is in the file."""
        for one in found:
            paths = [(*root, *key.split(".")) for key in one.keys]
            self._document.add(next((path for path in paths if path in self._document.lines), paths[0]), one.text)

    def _is_known_below(self, path: KeyPath) -> bool:
        return any(problem.path[: len(path)] == path for problem in self._document.problems)


def default_limits() -> dict[str, Any]:
    """What holds where nothing is said; a table that is only switched on keeps its points."""
    return LimitSettings().plain()


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over` laid on it, section by section; lists are replaced as a whole."""
    both = dict(base)
    for key, value in over.items():
        below = both.get(key)
        if value is NOTHING and isinstance(below, Mapping):
            continue
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both
