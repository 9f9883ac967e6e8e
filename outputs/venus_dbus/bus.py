"""One private connection to a D-Bus daemon that never blocks its thread: even the greeting is asynchronous.

All of it runs on the D-Bus thread.  dbus-python attaches connections to GLib's default main context.
"""

import array
import fcntl
import os
import re
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import dbus
import dbus.connection
import dbus.lowlevel
from dbus.mainloop.glib import DBusGMainLoop

from gateway.supervise import Supervisor
from outputs.venus_dbus.tree import Value

DAEMON, DAEMON_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
LOCAL: Final = "org.freedesktop.DBus.Local"
BUS_ITEM: Final = "com.victronenergy.BusItem"
PATIENCE: Final = 10.0  # s for the daemon's own answers
FULL: Final = 32768  # bytes that the daemon has not read: it is stalled, nothing more is queued
INT32: Final = 2**31

Handler = Callable[[Any], bool]
"""Takes a message; False leaves it to others."""


def bus_address(bus: Literal["auto", "system", "session"], environment: Mapping[str, str]) -> str:
    """Where the daemon listens; a variable that is not set gives the standard place."""
    session = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    if bus == "session" or (bus == "auto" and session):
        runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        return session or f"unix:path={Path(runtime) / 'bus'}"
    return environment.get("DBUS_SYSTEM_BUS_ADDRESS") or "unix:path=/var/run/dbus/system_bus_socket"


class Bus:
    """A connection with its greeting, its calls and its end.

    ready    called once the daemon has given us a name
    handler  called with every method call and signal
    lost     called once with a reason when the connection cannot be made or has ended, not after `close`
    """

    def __init__(
        self, ready: Callable[[], None], handler: Handler, lost: Callable[[str], None], supervisor: Supervisor
    ) -> None:
        self._ready, self._handler, self._lost, self._supervisor = ready, handler, lost, supervisor
        self._connection: Any = None

    def open(self, address: str) -> None:
        """Connect and greet; what becomes of it is told to `ready` or `lost`."""
        try:
            self._connection = connection = dbus.connection.Connection(address, mainloop=DBusGMainLoop())
        except dbus.DBusException as problem:
            self._lost(f"no D-Bus daemon answers at {address} ({_words(problem)})")
            return
        connection.set_exit_on_disconnect(False)
        connection.add_message_filter(self._filter)

        def greeted(name: str) -> None:
            if self._connection is connection:
                connection.set_unique_name(name)
                self._ready()

        self.call(DAEMON, DAEMON_PATH, DAEMON, "Hello", "", (), greeted, self._fail)

    def close(self) -> None:
        """End the connection; every name it owned goes with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        arguments: Sequence[object],
        answered: Callable[..., None],
        failed: Callable[[str], None],
        timeout: float = PATIENCE,
    ) -> None:
        """Call a method without waiting; `failed` gets a reason.  Silent when the connection was closed meanwhile."""
        connection = self._connection
        if connection is None:
            return

        def on_error(problem: dbus.DBusException) -> None:
            if self._connection is connection:
                with self._supervisor.trying():
                    failed(f"{member}: {_words(problem)}")

        def on_reply(*values: object) -> None:
            if self._connection is connection:
                with self._supervisor.trying():
                    answered(*values)

        try:
            connection.call_async(
                destination, path, interface, member, signature, arguments, on_reply, on_error, timeout=timeout
            )
        except dbus.DBusException as problem:
            self._fail(_words(problem))

    def daemon(self, member: str, signature: str, arguments: Sequence[object], answered: Callable[..., None]) -> None:
        """Call the daemon itself; a failure ends the connection."""
        self.call(DAEMON, DAEMON_PATH, DAEMON, member, signature, arguments, answered, self._fail)

    def match(self, rule: str) -> None:
        """Have signals that fit `rule` delivered to the handler."""
        self.daemon("AddMatch", "s", (rule,), lambda: None)

    def send(self, message: Any) -> None:
        """Send a reply or signal."""
        if self._connection is not None:
            self._connection.send_message(message)

    @property
    def stalled(self) -> bool:
        """The daemon does not read what we send."""
        if self._connection is None or (descriptor := self._connection.get_unix_fd()) is None:
            return False
        unread = array.array("i", [0])
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, unread)
        return unread[0] > FULL

    def _filter(self, connection: Any, message: Any) -> int:
        with self._supervisor.trying():
            return self._filtered(connection, message)
        return int(dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED)

    def _filtered(self, connection: Any, message: Any) -> int:
        if connection is self._connection:
            if message.get_interface() == LOCAL and message.get_member() == "Disconnected":
                self._fail("the D-Bus daemon closed the connection")
            elif self._handler(message):
                return int(dbus.lowlevel.HANDLER_RESULT_HANDLED)
        return int(dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED)

    def _fail(self, reason: str) -> None:
        if self._connection is not None:
            self.close()
            self._lost(reason)


def to_wire(value: Value) -> object:
    """A value as it travels inside a variant; None = an empty array, which every reader takes as invalid."""
    if value is None:
        return dbus.Array([], signature="i")
    if isinstance(value, int) and not -INT32 <= value < INT32:
        return dbus.Int64(value)
    return value


def from_wire(value: object) -> Value:
    """A value from inside a variant as a plain one; what is no number and no text is invalid."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return int(value)
    return str(value) if isinstance(value, str) else None


def _words(problem: dbus.DBusException) -> str:
    """One line about a D-Bus error, the same at each try: without the number of our connection."""
    text = problem.get_dbus_message() or problem.get_dbus_name() or str(problem)
    return re.sub(r' ":[\d.]+"', "", str(text).splitlines()[0])
