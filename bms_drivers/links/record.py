"""A wrapper round any link that writes down every exchange in the vector format: a bug report that is a test."""

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from bms_drivers.kit.declare import EXTENDED, CanAsk, Frame, Question
from bms_drivers.links import rtu
from bms_drivers.links.link import Counters, Link, Tapped

NEWEST: Final = 10_000  # exchanges that are kept


class RecordLink:
    """Passes everything through to `link`; keeps what was said, byte for byte: noise and torn frames too."""

    def __init__(
        self, link: Link, *, driver: str, transport: str = "serial", limit: int = NEWEST, joined: bool = False
    ) -> None:
        """Keeps the newest `limit` exchanges; a question asked again is another exchange.

        `joined`: an answer is written in one, whatever pieces the system handed it over in.
        """
        self._link, self._joined = link, joined
        self._driver, self._transport = driver, transport
        self._exchanges: deque[dict[str, Any]] = deque(maxlen=limit)
        self._frames: deque[dict[str, Any]] = deque(maxlen=limit)
        self._listening: dict[str, Any] | None = None  # the exchange that what is heard belongs to
        self._tapped = isinstance(link, Tapped)
        if isinstance(link, Tapped):
            link.tap = self._heard

    @property
    def counters(self) -> Counters:
        """Those of the recorded link."""
        return self._link.counters

    @property
    def exchanges(self) -> list[dict[str, Any]]:
        """[{"tx": hex, "rx": [hex, ...]}], oldest first."""
        return list(self._exchanges)

    async def open(self) -> None:
        """Open the recorded link."""
        await self._link.open()

    async def close(self) -> None:
        """Close the recorded link."""
        await self._link.close()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the recorded link; an exchange without an answer is written down with an empty one."""
        if isinstance(question, CanAsk):
            return self._keep(await self._link.exchange(question))
        asked = rtu.on_line(question).request
        if not self._tapped or not asked:
            self._begin(asked)
        frames = await self._link.exchange(question)
        if not self._tapped:
            for frame in frames:
                self._heard("rx", frame.raw)
        return frames

    def _keep(self, heard: Sequence[Frame]) -> Sequence[Frame]:
        """The frames of a CAN bus, each once; what is repeated with the same contents tells nothing new."""
        for frame in heard:
            id_, extended = frame.kind & ~EXTENDED, bool(frame.kind & EXTENDED)
            written = {"id": f"0x{id_:X}", "ext": extended, "data": frame.payload.hex()}
            if written not in self._frames:
                self._frames.append(written)
        return heard

    def case(self, **more: Any) -> dict[str, Any]:
        """The recording so far as one case of the vector format."""
        return {
            "driver": self._driver,
            "transport": self._transport,
            "kind": "captured",
            **({"frames": list(self._frames)} if self._transport == "can" else {"exchanges": self.exchanges}),
            "expected": {},
            **more,
        }

    def write(self, file: Path, **more: Any) -> None:
        """Write the case to `file`.  Raises OSError."""
        file.write_text(json.dumps(self.case(**more), indent=1) + "\n", encoding="utf-8")

    def _heard(self, direction: Literal["tx", "rx"], data: bytes) -> None:
        if direction == "tx":
            self._begin(data)
        elif self._listening is not None:  # what comes before the first question belongs to none
            answer = self._listening["rx"]
            answer[-1:] = [answer[-1] + data.hex()] if self._joined and answer else [*answer[-1:], data.hex()]

    def _begin(self, request: bytes) -> None:
        self._listening = {"tx": request.hex(), "rx": []}
        self._exchanges.append(self._listening)
