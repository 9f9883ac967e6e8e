"""What a receiver makes of a line whose two wires are exchanged: every bit is its opposite, idle is a break."""

from collections.abc import Iterator


def bits(data: bytes, idle: int = 30) -> Iterator[int]:
    """Levels of the line, a bit time each: start 0, eight data from the lowest, stop 1; 1 before and behind."""
    yield from [1] * idle
    for byte in data:
        yield 0
        yield from (byte >> n & 1 for n in range(8))
        yield 1
    yield from [1] * idle


def exchanged(data: bytes) -> bytes:
    """The bytes that arrive when A and B are swapped."""
    levels, found, at = [1 - level for level in bits(data)], bytearray(), 0
    while at < len(levels) and levels[at] == 0:
        at += 1  # a break, which nothing ends before the first bit
    while at + 10 <= len(levels):
        if levels[at] == 1:
            at += 1
            continue
        found.append(sum(levels[at + 1 + n] << n for n in range(8)))
        at += 10
        while at < len(levels) and levels[at - 1] == 0 and levels[at] == 0:
            at += 1  # no stop bit: until the line is at rest
    return bytes(found)
