"""Where the rows about limits from outside come from."""

from outputs.values.value import Subject


def asked(subject: Subject) -> list[dict[str, object]]:
    """Each of them."""
    return [limit.json(subject.snapshot.at) for limit in subject.snapshot.remote]


def left_by_source(subject: Subject) -> dict[str, float]:
    """s until the last one of each source ends."""
    found: dict[str, float] = {}
    for limit in subject.snapshot.remote:
        found[limit.source] = max(found.get(limit.source, 0.0), limit.expires - subject.snapshot.at)
    return found


def longest_left(subject: Subject) -> float | None:
    """s until the last one ends; None while there is none."""
    return max(left_by_source(subject).values(), default=None)


def latest_end(subject: Subject) -> float | None:
    """When the last one ends [s since the epoch]; None while there is none."""
    return max((limit.until for limit in subject.snapshot.remote), default=None)
