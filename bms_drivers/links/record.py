"""A wrapper round any link that writes down every exchange in the vector format: a bug report that is a test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bms_drivers.declare import Ask, Frame, Question
from bms_drivers.links.link import Counters, Link


class RecordLink:
    """Passes everything through to `link`; keeps what was said.  Keeps the newest `limit` exchanges."""

    def __init__(self, link: Link, *, driver: str, transport: str = "serial", limit: int = 10_000) -> None:
        self._link = link
        self._driver, self._transport, self._limit = driver, transport, limit
        self.exchanges: list[dict[str, Any]] = []

    @property
    def counters(self) -> Counters:
        """Those of the recorded link."""
        return self._link.counters

    async def open(self) -> None:
        """Open the recorded link."""
        await self._link.open()

    async def close(self) -> None:
        """Close the recorded link."""
        await self._link.close()

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """As the recorded link; an exchange without an answer is written down with an empty one."""
        request = question.request if isinstance(question, Ask) else b""
        entry: dict[str, Any] = {"tx": request.hex(), "rx": []}
        self.exchanges.append(entry)
        del self.exchanges[: -self._limit]
        frames = await self._link.exchange(question)
        entry["rx"] = [frame.raw.hex() for frame in frames]
        return frames

    def case(self, **more: Any) -> dict[str, Any]:
        """The recording so far as one case of the vector format."""
        return {
            "driver": self._driver,
            "transport": self._transport,
            "kind": "captured",
            "exchanges": self.exchanges,
            "expected": {},
            **more,
        }

    def write(self, file: Path, **more: Any) -> None:
        """Write the case to `file`.  Raises OSError."""
        file.write_text(json.dumps(self.case(**more), indent=1) + "\n", encoding="utf-8")
