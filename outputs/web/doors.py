"""The only way to change anything from outside: a POST of JSON that bears the token.

A GET never acts, there are no cookies, and a form of a foreign page can send neither this type nor this header.  The
token is made when it is first needed and lies in `state_dir`, readable for the gateway's user alone; there is no
default password.  Sheet: face.md chapter 5.
"""

import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from outputs.web.message import JSON, Request, Response, as_json, refusal

NAME: Final = "web-token"
SHORTEST: Final = 16  # characters of a token that somebody wrote there himself
Act = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Takes the JSON object that was sent, gives the one to answer."""


def token(directory: Path) -> str:
    """The one kept in `directory`, made now where there is none.  Raises OSError, and ValueError for one too short."""
    path = directory / NAME
    try:
        found = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return _made(path)
    if len(found) < SHORTEST:
        raise ValueError(f"{path}: shorter than {SHORTEST} characters; delete it, and a good one is made")
    return found


def _made(path: Path) -> str:
    made = secrets.token_urlsafe(24)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{made}\n")
    return made


class Door:
    """One address that acts."""

    def __init__(self, token: str, act: Act) -> None:
        self._token, self._act = token, act

    async def __call__(self, request: Request) -> Response:
        """What `act` answers, or why it is not even asked."""
        if request.method != "POST":
            return Response(b"POST only\n", status=405, headers={"Allow": "POST", "Cache-Control": "no-store"})
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), self._token.encode()):
            return Response(
                b"the token is missing or wrong; it lies in state_dir/web-token\n", status=401,
                headers={"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"},
            )  # fmt: skip
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return refusal(415, f"expected Content-Type: {JSON}")
        try:
            asked = json.loads(request.body)
        except (ValueError, RecursionError):
            return refusal(400, "the body is no JSON")
        if not isinstance(asked, dict):
            return refusal(400, "expected one JSON object")
        return as_json(await self._act(asked))
