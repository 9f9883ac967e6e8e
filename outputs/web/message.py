"""A request and its answer, as everybody behind the server sees them."""

import json
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
    """Plain data; a number that is none is an error of ours, not a word that no browser understands."""
    return Response(compact(data), JSON, status, {"Cache-Control": "no-store"})


def compact(data: Any) -> bytes:
    """JSON without blanks.  Raises ValueError for NaN."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()


def refusal(status: int, sentence: str) -> Response:
    """No, and why."""
    return Response(f"{sentence}\n".encode(), status=status, headers={"Cache-Control": "no-store"})
