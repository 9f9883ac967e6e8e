"""What may go wrong on a cable, on request."""

import random
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = {
    "silent": "no answer at all",
    "torn": "the answer breaks off in the middle",
    "late": "the answer comes so many seconds late",
    "checksum": "one byte of the answer is changed",
    "address": "the answer bears another address (its first bytes changed)",
    "noise": "random bytes before and after the answer",
}


@dataclass
class Faults:
    """The faults that are on; a value is how many answers are to suffer, or the seconds for `late`; None = all."""

    on: dict[str, float | None] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def set(self, kind: str, value: float | None = None) -> None:
        """Switch one on.  Raises KeyError for a kind that is none."""
        if kind not in KINDS:
            raise KeyError(kind)
        self.on[kind] = value

    def clear(self, kind: str) -> None:
        """Switch one off."""
        self.on.pop(kind, None)

    def spoil(self, reply: bytes) -> tuple[bytes, float]:
        """What really goes out, and how many seconds late."""
        delay = 0.0
        for kind in list(self.on):
            value = self.on[kind]
            if kind == "late":
                delay = value or 1.0
                continue
            reply = self._spoilt(kind, reply)
            if value is not None:
                self.on[kind] = value - 1
                if value <= 1:
                    self.clear(kind)
        return reply, delay

    def _spoilt(self, kind: str, reply: bytes) -> bytes:
        if kind == "silent" or not reply:
            return b""
        if kind == "torn":
            return reply[: len(reply) // 2]
        if kind == "noise":
            return self.rng.randbytes(7) + reply + self.rng.randbytes(3)
        where = 1 if kind == "address" else len(reply) // 2
        return reply[:where] + bytes((reply[where] ^ 0x41,)) + reply[where + 1 :]
