"""What lies at which address."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from outputs.values import VALUES
from outputs.web import files, metrics
from outputs.web.admission import READING, turned_away
from outputs.web.history import SPANS
from outputs.web.live import Audience, event
from outputs.web.message import Handler, Request, Response, as_json, refusal

STREAM: Final = "text/event-stream"


LISTED: Final = {row.name: {"title": row.words, "unit": row.unit, "digits": row.digits} for row in VALUES}
"""How the page writes each value."""


class Told:
    """What the page is made of, asked for when somebody looks; see output.py for who provides it."""

    def __init__(
        self,
        state: Callable[[], bytes],
        metrics: Callable[[], bytes],
        plot: Callable[[str], Awaitable[Mapping[str, Any]]],
        events: Callable[[], Mapping[str, Any]],
        curves: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.state, self.metrics, self.plot, self.events, self.curves = state, metrics, plot, events, curves


class Routes:
    """Answers requests; `doors` are the addresses that act."""

    def __init__(self, told: Told, audience: Audience, names: tuple[str, ...]) -> None:
        self.doors: dict[str, Handler] = {}
        self._told, self._audience, self._names = told, audience, names
        self._pages: Mapping[str, Callable[[Request], Response]] = {
            "/api/state": lambda _: Response(told.state(), "application/json", headers={"Cache-Control": "no-store"}),
            "/api/live": self._live,
            "/api/events": lambda _: as_json(told.events()),
            "/api/curves": lambda _: as_json(told.curves()),
            "/api/values": lambda _: as_json(LISTED),
            "/metrics": lambda _: Response(told.metrics(), metrics.KIND, headers={"Cache-Control": "no-store"}),
        }

    async def __call__(self, request: Request) -> Response:
        """The answer to anything."""
        if why := turned_away(request, self._names):
            return refusal(403, why)
        if (door := self.doors.get(request.path)) is not None:
            return await door(request)
        if request.method not in READING:
            return Response(b"this can only be read\n", status=405, headers={"Allow": "GET, HEAD"})
        if request.path == "/api/history":
            return await self._history(request)
        if (page := self._pages.get(request.path)) is not None:
            return page(request)
        return files.answer(request) or refusal(404, "there is nothing at this address; the page is at /")

    def _live(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(kind=STREAM)
        if self._audience.full:
            return refusal(503, "too many watch already; close one of the other pages")
        first = b"retry: 2000\n\n" + event(self._told.state())
        return Response(first, STREAM, headers={"Cache-Control": "no-store"}, live=True)

    async def _history(self, request: Request) -> Response:
        span = request.query.get("span", "24h")
        if span not in SPANS:
            return refusal(400, f"span is one of {', '.join(SPANS)}")
        return as_json(await self._told.plot(span))
