"""The items of one service as a tree of paths: what each holds, what changed, and how it reads as text.  Pure.

A path keeps one type for life: "d" floating point, "i" integer, "s" text; None = invalid.
Sheet: venus-dbus.md section 2.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["d", "i", "s"]
Value = float | int | str | None
Text = Callable[[Value], str]

INVALID_TEXT = "---"


def plain(value: Value) -> str:
    """A value as it stands."""
    return str(value)


def fixed(digits: int, unit: str) -> Text:
    """Text with a fixed number of decimals and the unit right behind: fixed(2, "V")(52.8) is 52.80V."""
    return lambda value: f"{value:.{digits}f}{unit}"


def hexadecimal(value: Value) -> str:
    """0xBAFE."""
    return f"0x{value:X}"


@dataclass(slots=True)
class Item:
    """One path: its type, its text format, its present value."""

    kind: Kind
    text: Text = plain
    value: Value = None
    writable: bool = False

    @property
    def shown(self) -> str:
        """The value as text with its unit; --- when invalid."""
        return INVALID_TEXT if self.value is None else self.text(self.value)


class Tree:
    """Paths and their items; `/` and every node between are answered from them."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def __getitem__(self, path: str) -> Item:
        return self._items[path]

    def __contains__(self, path: object) -> bool:
        return path in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def add(self, path: str, item: Item) -> None:
        """A path that is there from now on."""
        self._items[path] = item

    def put(self, path: str, value: Value) -> bool:
        """Set a value in its path's type; True when that is a change.  Raises KeyError for an unknown path."""
        item = self._items[path]
        value = typed(item.kind, value)
        if value == item.value:
            return False
        item.value = value
        return True

    def update(self, values: Iterable[tuple[str, Value]]) -> list[str]:
        """Set many values (already of the right type); the paths that changed."""
        items, changed = self._items, []
        for path, value in values:
            item = items[path]
            if item.value != value:
                item.value = value
                changed.append(path)
        return changed

    def is_node(self, path: str) -> bool:
        """`/`, or a part of some longer path."""
        start = below(path)
        return any(known.startswith(start) for known in self._items)

    def under(self, path: str) -> Mapping[str, Item]:
        """Items below a node, by relative path without a leading slash."""
        start = below(path)
        return {known[len(start) :]: item for known, item in self._items.items() if known.startswith(start)}

    def children(self, path: str) -> list[str]:
        """Names one step below a node, in order."""
        return list(dict.fromkeys(relative.split("/", 1)[0] for relative in self.under(path)))


def below(path: str) -> str:
    """What every path under this node starts with."""
    return path if path.endswith("/") else path + "/"


def typed(kind: Kind, value: Value) -> Value:
    """`value` in a path's type; None stays None.  Raises ValueError when it has no such meaning."""
    if value is None:
        return None
    if kind == "s":
        return clean(str(value))
    return float(value) if kind == "d" else int(float(value))


def clean(text: str) -> str:
    """Text that may travel as a D-Bus string: valid UTF-8 without NUL or other control characters."""
    sound = text.encode("utf-8", "replace").decode("utf-8", "replace")
    return (sound if sound.isprintable() else "".join(filter(str.isprintable, sound))).strip()


INTROSPECTION_HEAD = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
ITEM_METHODS = """\
    <method name="GetValue"><arg direction="out" type="v" name="value"/></method>
    <method name="GetText"><arg direction="out" type="{text}" name="text"/></method>
"""
LEAF_METHODS = """\
    <method name="SetValue">
      <arg direction="in" type="v" name="value"/>
      <arg direction="out" type="i" name="refused"/>
    </method>
"""
ROOT_METHODS = """\
    <method name="GetItems"><arg direction="out" type="a{sa{sv}}" name="items"/></method>
    <signal name="ItemsChanged"><arg type="a{sa{sv}}" name="changes"/></signal>
"""
INTROSPECTABLE = """\
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect"><arg direction="out" type="s" name="xml"/></method>
  </interface>
"""


def introspection(tree: Tree, path: str) -> str:
    """The D-Bus introspection document of a leaf, a node or `/`."""
    leaf = path in tree
    methods = ITEM_METHODS.format(text="s" if leaf else "v")
    methods += LEAF_METHODS if leaf else ROOT_METHODS if path == "/" else ""
    nodes = "".join(f'  <node name="{name}"/>\n' for name in tree.children(path))
    item = f'  <interface name="com.victronenergy.BusItem">\n{methods}  </interface>\n'
    return f"{INTROSPECTION_HEAD}<node>\n{item}{INTROSPECTABLE}{nodes}</node>\n"
