"""Those who watch: each message is encoded once and given to all, and whoever does not read is left behind."""

import asyncio
from typing import Final

MOST: Final = 16  # streams
BEHIND: Final = 256 * 1024  # bytes that may wait for one reader; more than two messages of 16 packs


class Audience:
    """The open event streams."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._writers)

    @property
    def full(self) -> bool:
        """No more may come in."""
        return len(self._writers) >= MOST

    def add(self, writer: asyncio.StreamWriter) -> None:
        """One more."""
        self._writers.add(writer)

    def discard(self, writer: asyncio.StreamWriter) -> None:
        """One who went."""
        self._writers.discard(writer)

    def tell(self, message: bytes) -> None:
        """Give `message` to all; never waits."""
        for writer in tuple(self._writers):
            if writer.transport.get_write_buffer_size() > BEHIND:
                self.dropped += 1
                self._writers.discard(writer)
                writer.transport.abort()
            else:
                writer.write(message)

    def close(self) -> None:
        """Send all away."""
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._writers.clear()


def event(data: bytes, name: str = "state") -> bytes:
    """A server-sent event; `data` holds no line break."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
