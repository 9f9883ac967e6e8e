"""Limits that somebody outside the house asks for, for a while: they can only tighten, and end by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.model.errors import CommandError

Key = Literal["ccl", "dcl", "soc_min", "soc_max"]
BOUNDS: Final[Mapping[Key, tuple[float, str]]] = {  # the most that may be asked for, and its unit
    "ccl": (10_000.0, "A"), "dcl": (10_000.0, "A"), "soc_min": (100.0, "%"), "soc_max": (100.0, "%"),
}  # fmt: skip
LEAST, MOST, USUAL = 10.0, 86_400.0, 900.0  # s that a limit may last; 0 = it ends at once
TTL: Final = "ttl_seconds"


@dataclass(frozen=True, slots=True)
class Restriction:
    """What one source asks for.

    source  who: "cli", "mqtt", "http" ...; one never changes what another asked for
    values  ccl, dcl: A at most; soc_min: no discharge at or below this SoC [%]; soc_max: no charge at or above it;
            None = ask for it no longer; a key that is absent stays as it is; no key at all = none of them any longer
    ttl     s until it ends by itself

    Making one raises CommandError for anything else: this is the one place where they are checked.
    """

    source: str
    values: Mapping[Key, float | None]
    ttl: float = USUAL

    def __post_init__(self) -> None:
        """Check keys, values and time."""
        for key, value in self.values.items():
            if key not in BOUNDS:
                raise CommandError(f"{key!s:.40}: nothing of that name can be limited, expected {', '.join(BOUNDS)}")
            most, unit = BOUNDS[key]
            if value is not None and not _within(value, 0.0, most):
                raise CommandError(f"{key} {value!s:.40} is no limit, expected a number 0..{most:g} {unit} or null")
        if not _within(self.ttl, LEAST, MOST) and not _within(self.ttl, 0.0, 0.0):
            raise CommandError(f"{TTL} {self.ttl!s:.40}: expected {LEAST:g}..{MOST:g} s, or 0 to end at once")
        if not self.values and self.ttl != 0:
            raise CommandError(f"nothing is limited, expected one of {', '.join(BOUNDS)}, or {TTL} 0 to end all")

    @property
    def ends(self) -> bool:
        """It asks for nothing any longer."""
        return self.ttl == 0


def restriction(source: str, data: Any) -> Restriction:
    """The order in `data`, as it comes by MQTT or HTTP: {"ccl": 20, "dcl": null, "ttl_seconds": 900}.

    Raises CommandError.
    """
    if not isinstance(data, dict):
        raise CommandError(f'expected an object such as {{"ccl": 20, "{TTL}": {USUAL:g}}}')
    values = {key: value for key, value in data.items() if key != TTL}
    ttl = data.get(TTL, USUAL)
    return Restriction(source, values, 0.0 if ttl is None else ttl)


def _within(value: object, least: float, most: float) -> bool:
    """A plain number in the range; false for true, for text and for what is no number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


@dataclass(frozen=True, slots=True)
class RemoteLimit:
    """One limit in force."""

    key: Key
    value: float  # A or %
    source: str
    expires: float  # s, monotonic
    until: float  # s since the epoch, for people

    def json(self, now: float) -> dict[str, Any]:
        """As plain data; `now` is monotonic."""
        return {
            "key": self.key, "value": self.value, "source": self.source, "until": round(self.until),
            "seconds_left": round(max(0.0, self.expires - now)),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Restricted:
    """What became of a Restriction: a sentence for people, and what is in force now, of all sources."""

    accepted: bool
    note: str
    limits: tuple[RemoteLimit, ...] = ()
    number: int = 0  # of this order, so that its line in the log can be found

    @property
    def in_force(self) -> dict[str, float]:
        """The tightest of each."""
        return tightest_of(self.limits)

    def json(self) -> dict[str, Any]:
        """As it is answered by MQTT, HTTP and the control socket."""
        until = {limit.key: round(limit.until) for limit in self.limits if limit.value == self.in_force[limit.key]}
        return {
            "accepted": self.accepted, "note": self.note, "in_force": self.in_force, "until": until, "id": self.number,
        }  # fmt: skip


def tightest_of(limits: tuple[RemoteLimit, ...]) -> dict[str, float]:
    """By key, what counts where several sources ask: the least, of a lowest SoC the highest."""
    found: dict[str, float] = {}
    for limit in limits:
        stricter = max if limit.key == "soc_min" else min
        found[limit.key] = stricter(limit.value, found.get(limit.key, limit.value))
    return found
