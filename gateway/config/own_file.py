"""A YAML file of the user's own that gateway.yaml names: read like gateway.yaml, every mistake with its place."""

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from gateway.config.explain import Explainer
from gateway.config.tree import NOTHING, read, within
from gateway.config.tree import Path as KeyPath
from gateway.model import ConfigError, Placed
from gateway.model.section import Section
from gateway.model.validation import validated_json

Some = TypeVar("Some", bound=Section)


class OwnFile:
    """One file, what stands in it, and what is wrong with it so far."""

    def __init__(self, file: Path, expected: str) -> None:
        """`expected`: what it begins with.  Raises ConfigError for a file that cannot be read, or is no such one."""
        self.file = file
        self.text = _text(file)
        self._document = read(self.text)
        if not isinstance(self._document.data, dict):
            self.give_up((), *() if self._document.problems else (f"expected {expected}",))
        self.data: dict[str, Any] = self._filled(self._document.data, ())
        """Plain data; what has nothing behind it is a mistake that was noted."""

    def add(self, path: KeyPath, text: str) -> None:
        """Note one mistake."""
        self._document.add(path, text)

    def line(self, path: KeyPath) -> int:
        """Where it stands."""
        return self._document.line(path)

    def as_a(self, kind: type[Some], data: Any = None) -> Some:
        """What stands in it, or `data` that was made of it, as such a section; raises ConfigError with all mistakes."""
        data, made = self.data if data is None else data, None
        try:
            made = validated_json(kind, json.dumps(data))
        except ValidationError as error:
            self._explain(error, data, Explainer(kind))
        return self.give_up() if made is None or self._document.problems else made

    def _explain(self, error: ValidationError, data: Any, explainer: Explainer) -> None:
        for details in error.errors(include_url=False):
            path = within(data, details["loc"], missing=details["type"] == "missing")
            unknown = details["type"] == "extra_forbidden"
            self.add(path, explainer.unknown_key(path, explainer) if unknown else explainer.explain(details, path))

    def refuse(self) -> None:
        """Raises ConfigError with all that was noted, if anything was."""
        if self._document.problems:
            self.give_up()

    def give_up(self, path: KeyPath = (), *texts: str) -> NoReturn:
        """Raises ConfigError with these mistakes at `path`, and all that were noted."""
        for text in texts:
            self.add(path, text)
        raise ConfigError(*(Placed(problem.show(str(self.file))) for problem in sorted(self._document.problems)))

    def _filled(self, value: Any, path: KeyPath) -> Any:
        """`value`; a key with nothing behind it is a setting that its writer believes to have made."""
        if value is NOTHING:
            self.add(path, "no value; remove the line, or write null for none")
            return None
        if isinstance(value, dict):
            return {key: self._filled(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner, (*path, index)) for index, inner in enumerate(value)]
        return value


def _text(file: Path) -> str:
    """Raises ConfigError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise ConfigError(f"{file}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not UTF-8, save the file as UTF-8") from None
    except ValueError as problem:
        raise ConfigError(f"{str(file)!r}: no file name ({problem})") from None
