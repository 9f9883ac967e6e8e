"""What the browser gets as it lies in page/: read, compressed and tagged once, when it is first asked for."""

import hashlib
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from outputs.web.message import Request, Response

KINDS: Final = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "json": "application/json", "svg": "image/svg+xml",
}  # fmt: skip
GZIP: Final = 31  # zlib's way to say: with gzip's head
PAGES: Final = {
    "/": "index.html",
    **{f"/{name}": name for name in (
        "page.css", "page.js", "overview.js", "cells.js", "plots.js", "why.js", "events.js", "report.js", "chart.js",
        "dom.js", "words.js", "icon.svg", "texts/en.json", "texts/de.json",
    )},
}  # fmt: skip
"""Address -> file; nothing else of the disk can be asked for."""


@dataclass(frozen=True, slots=True)
class File:
    """One of them."""

    body: bytes
    zipped: bytes
    kind: str
    tag: str


@cache
def file(name: str) -> File:
    """The file called `name` in page/."""
    body = files("outputs.web").joinpath("page").joinpath(name).read_bytes()
    squeezer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    zipped = squeezer.compress(body) + squeezer.flush()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return File(body, zipped, KINDS[name.rpartition(".")[2]], tag)


def answer(request: Request) -> Response | None:
    """The file at an address; None where there is none."""
    if (name := PAGES.get(request.path)) is None:
        return None
    found = file(name)
    headers = {"ETag": found.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status=304, kind=found.kind, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, found.kind, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.body, found.kind, headers=headers)
