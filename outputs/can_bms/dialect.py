"""One inverter dialect: values -> frames and back.  What differs between dialects is in DBC files: see `dbc_file`.

Sheet: can-inverter-protocols.md sections 1 and 14.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dbc.table import Message
from outputs.inverter.coder import Coder
from outputs.inverter.keys import KINDS, LEVELS, NAMES, Value, Values, mistaken

Dlc = Literal["8", "native"]


class Frame(NamedTuple):
    """A CAN data frame."""

    id: int
    data: bytes
    extended: bool = False

    def __str__(self) -> str:
        return (
            f"{self.id:08X}#{self.data.hex().upper()}" if self.extended else f"{self.id:03X}#{self.data.hex().upper()}"
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """One message: its signals' coders and when it is sent."""

    message: Message
    coders: tuple[Coder, ...]
    order: int
    cycle: int  # ms
    only_when_known: bool
    cuts: Mapping[str, int] = field(default_factory=dict)  # signal: native length without it

    @property
    def id(self) -> tuple[int, bool]:
        """CAN id and whether it is a 29-bit one."""
        return self.message.id, self.message.extended

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all values that the frame depends on."""
        names = [name for c in self.coders for name in (c.key, c.fallback, *c.group[:1]) if name]
        return tuple(dict.fromkeys([*names, *self.cuts]))

    def withheld(self, values: Values) -> list[str]:
        """Values for the lack of which the frame is not sent."""
        return [c.key for c in self.coders if c.when_unknown == "withhold" and c.find(values) is None]

    def wanted(self, values: Values) -> bool:
        """Whether the frame is to be sent at all."""
        if self.withheld(values):
            return False
        return not self.only_when_known or any(
            coder.find(values) is not None for coder in self.coders if coder.coding != "constant"
        )

    def encode(self, values: Values, dlc: Dlc, clamped: list[str] | None) -> Frame:
        """The frame that says `values`."""
        raw = {coder.key: coder.raw(values, clamped) for coder in self.coders}
        data = self.message.encode(raw)
        if dlc == "8":
            data = data.ljust(8, b"\0")
        else:
            for key, length in self.cuts.items():
                if values.get(key) is None:
                    data = data[:length]
        return Frame(self.message.id, data, self.message.extended)

    def decode(self, data: bytes) -> dict[str, int]:
        """Raw integers of the signals that `data` is long enough for."""
        return self.message.decode(data)


@dataclass(frozen=True, slots=True)
class About:
    """What the file says of the dialect as a whole."""

    title: str = ""
    remark: str = ""
    refused_names: tuple[str, ...] = ()  # no name that we give may hold one of them


class Dialect:
    """The frames of one DBC file."""

    def __init__(
        self,
        name: str,
        layouts: Sequence[Layout],
        keep_alive: frozenset[int],
        defaults: Values,
        about: About = About(),
        reports: Sequence[Message] = (),
    ) -> None:
        self.name, self.about = name, about
        self.reports = tuple(reports)  # what the inverter sends, as far as it says something
        self.layouts = tuple(sorted(layouts, key=lambda layout: layout.order))
        self.keep_alive = keep_alive  # ids that the inverter sends
        self.defaults = defaults  # what the gateway says where it has no value of its own
        self.keys = frozenset(coder.key for layout in layouts for coder in layout.coders if coder.coding != "constant")
        self.period = min(layout.cycle for layout in layouts) / 1000  # s between two beats
        self._every = [max(1, round(layout.cycle / 1000 / self.period)) for layout in self.layouts]
        self._by_id = {layout.id: layout for layout in self.layouts}

    @property
    def ids(self) -> frozenset[tuple[int, bool]]:
        """(id, 29 bits) of the frames that we send."""
        return frozenset(self._by_id)

    def encode(self, values: Values, dlc: Dlc = "8", *, beat: int = 0, clamped: list[str] | None = None) -> list[Frame]:
        """Frames that say `values`, in sending order; on beat 0 all, later those whose cycle time has passed.

        Names of values outside their range are added to `clamped`.  Raises GatewayError for what is not a number.
        """
        return [layout.encode(values, dlc, clamped) for layout in self.due(beat) if layout.wanted(values)]

    def due(self, beat: int) -> list[Layout]:
        """Those whose cycle time has passed on that beat; on beat 0 all."""
        return [layout for layout, every in zip(self.layouts, self._every, strict=True) if beat % every == 0]

    def unsaid(self, values: Values) -> list[str]:
        """What happens for the lack of which value, for people: a stand-in is sent, or a frame is withheld."""
        found = []
        for layout in self.layouts:
            held = layout.withheld(values)
            if held:
                found.append(f"0x{layout.message.id:X} is withheld while not known: {', '.join(held)}")
            elif layout.wanted(values):
                found.extend(_stand_ins(layout, values))
        return found

    def mistaken(self, text: str) -> str:
        """Why an inverter of this dialect may not be given the name `text`; "" = it may."""
        return mistaken(text, self.about.refused_names)

    def unmistakable(self, values: Values) -> Values:
        """`values` without names that the dialect refuses; the gateway's own ones in their place."""
        wrong = [key for key in NAMES if isinstance(name := values.get(key), str) and self.mistaken(name)]
        if not wrong:
            return values
        own = {key: self.defaults[key] for key in wrong if key in self.defaults}
        return {key: value for key, value in values.items() if key not in wrong} | own

    def decode(self, frames: Iterable[Frame]) -> dict[str, Value]:
        """What `frames` say, the last one of each id; ids of other dialects are ignored, missing bytes left out."""
        latest: dict[tuple[int, bool], bytes] = {}
        for frame in frames:
            latest[frame.id, frame.extended] = frame.data
        values: dict[str, Value] = {}
        for key, layout in self._by_id.items():
            if key in latest:
                self._read(layout, layout.decode(latest[key]), values)
        return {key: value.rstrip() if isinstance(value, str) else value for key, value in values.items()}

    def unit(self, key: str) -> str:
        """In which unit the value called `key` is; "" = a number without one, a flag or a text."""
        units = (s.unit for layout in self.layouts for s in layout.message.signals if s.name == key)
        return next(units, "").replace("degC", "°C")

    def knows(self, frame: Frame) -> bool:
        """Whether it is one of the frames that this dialect sends."""
        return (frame.id, frame.extended) in self._by_id

    @staticmethod
    def _read(layout: Layout, raw: Mapping[str, int], values: dict[str, Value]) -> None:
        for coder in layout.coders:
            if coder.key not in raw or coder.coding == "constant":
                continue
            value = coder.value(raw[coder.key])
            if coder.group:
                group: Any = values.setdefault(coder.group[0], {level: [] for level in LEVELS})
                if value:
                    group[coder.group[1]].append(coder.group[2])
            if value is None or coder.key not in KINDS:
                continue
            before = values.get(coder.key)
            continued = coder.text_offset and isinstance(before, str) and isinstance(value, str)
            values[coder.key] = f"{before:{coder.text_offset}}{value}" if continued else value


def _stand_ins(layout: Layout, values: Values) -> list[str]:
    return [
        f"{coder.key} is not known: {coder.stand_in():g} is sent"
        for coder in layout.coders
        if coder.coding == "number" and coder.when_unknown == "start_value" and coder.find(values) is None
    ]
