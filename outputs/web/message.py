"""A request and its answer, as everybody behind the server sees them."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks; names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; `live` = the connection goes on to carry events."""

    body: bytes = b""
    kind: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    live: bool = False


Handler = Callable[[Request], Awaitable[Response]]


def as_json(data: Any, status: int = 200) -> Response:
    """Plain data."""
    return Response(compact(data), JSON, status, {"Cache-Control": "no-store"})


def compact(data: Any) -> bytes:
    """JSON without blanks; a number that is none is null, for NaN is a word that no browser understands."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(data), separators=(",", ":")).encode()


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def refusal(status: int, sentence: str) -> Response:
    """No, and why."""
    return Response(f"{sentence}\n".encode(), status=status, headers={"Cache-Control": "no-store"})
