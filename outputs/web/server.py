"""HTTP/1.1 on asyncio's streams: h11 reads and writes the protocol, this keeps everybody within bounds.

Whoever connects has `IDLE` s to say what he wants and `SLOW` s to take the answer; there are `MOST` connections, a head
of `HEAD` and a body of `BODY` bytes at most.  No request is answered with a traceback, none ends the server.
Sheet: face.md chapter 5 (bounds), h11's documentation.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from gateway.supervise import Supervisor
from outputs.web.live import Audience
from outputs.web.message import Handler, Request, Response, refusal

log = logging.getLogger("bms_gateway.web")

MOST: Final = 48  # connections
HEAD: Final = 16 * 1024  # bytes
BODY: Final = 64 * 1024  # bytes
KERNEL: Final = 128 * 1024  # bytes that the kernel may hold for one who watches
FIELDS: Final = 16  # of a query
IDLE: Final = 30.0  # s until a request must be complete
SLOW: Final = 10.0  # s until an answer must be taken
SAFE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""With every answer: nothing is loaded from elsewhere, nobody frames us, nobody elsewhere is given our data."""


class TooLarge(Exception):
    """The body is larger than anything we take."""


class Server:
    """Listens at one address."""

    def __init__(self, handler: Handler, audience: Audience, supervisor: Supervisor) -> None:
        self.requests = self.refused = 0
        self._handler, self._audience, self._supervisor = handler, audience, supervisor
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def port(self) -> int | None:
        """Where it listens."""
        return self._server.sockets[0].getsockname()[1] if self._server is not None else None

    async def open(self, address: str, port: int) -> None:
        """Listen.  Raises OSError."""
        self._server = await asyncio.start_server(self._serve, address, port, limit=BODY, backlog=MOST)

    async def close(self) -> None:
        """Send everybody away at once."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._audience.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST:
            self.refused += 1
            writer.transport.abort()
            return
        self._open.add(writer)
        writer.transport.set_write_buffer_limits(0)  # so that `drain` ends when the kernel has all
        try:
            with self._supervisor.trying(passing=(OSError, TimeoutError)):
                await _Conversation(self._answer, self._audience, reader, writer).run()
        except (OSError, TimeoutError) as problem:
            log.debug("a browser: %s", problem or "takes too long")
        finally:
            self._open.discard(writer)
            writer.transport.abort()  # `close` waits for ever for one who does not read

    async def _answer(self, request: Request) -> Response:
        self.requests += 1
        answer = refusal(500, "the gateway failed at this request; its log says why")
        with self._supervisor.trying():
            answer = await self._handler(request)
        self.refused += answer.status in (403, 421)
        return answer


class _Conversation:
    """One connection, request by request."""

    def __init__(
        self, handler: Handler, audience: Audience, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._handler, self._audience, self._reader, self._writer = handler, audience, reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)

    async def run(self) -> None:
        """Until one side has had enough.  Raises OSError, TimeoutError."""
        while True:
            try:
                request = await self._request()
            except h11.RemoteProtocolError as problem:
                return await self._send(refusal(problem.error_status_hint, f"not HTTP as we know it: {problem}"))
            except TooLarge:
                return await self._send(refusal(413, f"a body has {BODY // 1024} kB at most"))
            if request is None:
                return None
            answer = await self._handler(request)
            if answer.live:
                return await self._stream(answer)
            await self._send(answer, head_only=request.method == "HEAD")
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return None
            self._http.start_next_cycle()
            await asyncio.sleep(0)  # whoever sent many requests at once has them answered one a turn of the loop

    async def _request(self) -> Request | None:
        """The next one; None when there is none.  Raises h11.RemoteProtocolError, TooLarge, TimeoutError."""
        async with asyncio.timeout(IDLE):
            head = await self._event()
            if not isinstance(head, h11.Request):
                return None
            body = b""
            while isinstance(part := await self._event(), h11.Data):
                body += bytes(part.data)
                if len(body) > BODY:
                    raise TooLarge
        return _understood(head, body)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(BODY))
        return event

    async def _send(self, answer: Response, *, head_only: bool = False) -> None:
        """Raises OSError, TimeoutError."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [*SAFE.items(), ("Content-Type", answer.kind), *answer.headers.items()]
        parts = [
            self._http.send(
                h11.Response(
                    status_code=answer.status, headers=[*headers, ("Content-Length", str(len(answer.body)))]
                )
            ),
            b"" if head_only else self._http.send(h11.Data(data=answer.body)),
            self._http.send(h11.EndOfMessage()),
        ]  # fmt: skip
        self._writer.write(b"".join(part for part in parts if part))
        async with asyncio.timeout(SLOW):
            await self._writer.drain()

    async def _stream(self, answer: Response) -> None:
        """Carry events until the other side goes, or is sent away because it does not read."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)  # else it would take megabytes unread
        self._writer.write(_open_end(answer) + answer.body)
        self._audience.add(self._writer)
        try:
            with suppress(OSError):
                while await self._reader.read(BODY):
                    pass  # whatever a browser says to a stream is of no interest
        finally:
            self._audience.discard(self._writer)


def _understood(head: h11.Request, body: bytes) -> Request:
    """Raises h11.RemoteProtocolError for an address that is none."""
    try:
        target = urlsplit(bytes(head.target).decode("ascii", "replace"))
        query = dict(parse_qsl(target.query, max_num_fields=FIELDS))
    except ValueError:
        raise h11.RemoteProtocolError("the address makes no sense", error_status_hint=400) from None
    headers = {bytes(name).decode("ascii").lower(): bytes(text).decode("latin-1") for name, text in head.headers}
    return Request(bytes(head.method).decode("ascii"), unquote(target.path), query, headers, body)


def _open_end(answer: Response) -> bytes:
    """The head of an answer that ends when the connection does, which h11 would cut into chunks."""
    headers = {**SAFE, "Content-Type": answer.kind, **answer.headers, "Connection": "close"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode("ascii")
