"""What is answered to those who ask on D-Bus: the methods of `com.victronenergy.BusItem`, and who browses.

Sheet: venus-dbus.md section 2.
"""

from collections.abc import Callable, Iterable
from typing import Any

from dbus import Dictionary
from dbus.lowlevel import ErrorMessage, MethodReturnMessage

from outputs.venus_dbus.bus import BUS_ITEM, from_wire, to_wire
from outputs.venus_dbus.controls import REFUSED
from outputs.venus_dbus.tree import Item, Tree, Value, introspection


class Answers:
    """The replies of one service."""

    def __init__(self, tree: Tree, write: Callable[[str, Item, Value], int]) -> None:
        """`write` does what SetValue asks for, and says what became of it."""
        self._tree, self._write = tree, write

    def to(self, message: Any) -> Any:
        """The reply, an error for what cannot be asked."""
        path, member, interface = str(message.get_path()), message.get_member(), message.get_interface()
        if path not in self._tree and not self._tree.is_node(path):
            return ErrorMessage(message, "org.freedesktop.DBus.Error.UnknownObject", f"there is no {path}")
        if member == "Introspect":
            return _reply(message, "s", introspection(self._tree, path))
        if member == "GetAll":
            return _reply(message, "a{sv}", {})
        answer = self._bus_item(path, member, message) if interface in (None, BUS_ITEM) else None
        if answer is None:
            text = f"{interface or BUS_ITEM} has no method {member} at {path}"
            return ErrorMessage(message, "org.freedesktop.DBus.Error.UnknownMethod", text)
        return answer

    def _bus_item(self, path: str, member: str, message: Any) -> Any:
        """A reply to a method of BusItem; None = no such method there."""
        if path not in self._tree:
            return self._node(path, member, message)
        item = self._tree[path]
        if member == "GetValue":
            return _reply(message, "v", to_wire(item.value))
        if member == "GetText":
            return _reply(message, "s", item.shown)
        if member == "SetValue":
            arguments = message.get_args_list()
            return _reply(message, "i", self._write(path, item, from_wire(arguments[0])) if arguments else REFUSED)
        return None

    def _node(self, path: str, member: str, message: Any) -> Any:
        if member == "GetItems" and path == "/":
            return _reply(message, "a{sa{sv}}", items(self._tree, self._tree))
        under = self._tree.under(path).items()
        if member == "GetValue":
            return _reply(message, "v", _tree({name: to_wire(item.value) for name, item in under}))
        if member == "GetText":
            return _reply(message, "v", _tree({name: item.shown for name, item in under}))
        return None


def items(tree: Tree, paths: Iterable[str]) -> dict[str, dict[str, object]]:
    """These paths as GetItems and ItemsChanged carry them."""
    return {path: {"Value": to_wire((item := tree[path]).value), "Text": item.shown} for path in paths}


def _reply(message: Any, signature: str, value: object) -> Any:
    reply = MethodReturnMessage(message)
    reply.append(value, signature=signature)
    return reply


def _tree(values: dict[str, object]) -> object:
    return Dictionary(values, signature="sv")
