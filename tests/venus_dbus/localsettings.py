"""Stands in for Venus OS's localsettings, as a process of its own: `python localsettings.py ADDRESS [TAKEN ...]`.

With the word "refuses" it keeps nothing that is set; with "name=..." it has kept that custom name.
Knows AddSettings, GetValue and SetValue on each setting, and GetValue on the folder of the ESS; /Asked counts the
latter.  Instances in TAKEN are given to nobody.
Sheet: venus-dbus.md section 5.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

ITEM = "com.victronenergy.BusItem"


class Setting(dbus.service.Object):
    def __init__(self, bus, path, value, *, refuses=False):
        super().__init__(bus, path)
        self.path, self.value, self.refuses = path, value, refuses

    @dbus.service.method(ITEM, out_signature="v")
    def GetValue(self):  # noqa: N802
        return self.value

    @dbus.service.method(ITEM, in_signature="v", out_signature="i")
    def SetValue(self, value):  # noqa: N802
        if self.refuses:
            return 2
        self.value = value
        self.PropertiesChanged({"Value": value, "Text": str(value)})
        return 0

    @dbus.service.signal(ITEM, signature="a{sv}")
    def PropertiesChanged(self, changes):  # noqa: N802
        pass


class Folder(dbus.service.Object):
    def __init__(self, bus, path, settings):
        super().__init__(bus, path)
        self.path, self.settings, self.asked = path, settings, Setting(bus, "/Asked", 0)

    @dbus.service.method(ITEM, out_signature="v")
    def GetValue(self):  # noqa: N802
        self.asked.value += 1
        inside = {path: one for path, one in self.settings.items() if path.startswith(self.path + "/")}
        values = {path.removeprefix(self.path + "/"): one.value for path, one in inside.items()}
        return dbus.Dictionary(values, signature="sv")


class Root(dbus.service.Object):
    def __init__(self, bus, taken):
        super().__init__(bus, "/")
        self.bus, self.taken, self.settings = bus, set(taken), {}
        self.folder = Folder(bus, "/Settings/CGwacs", self.settings)

    @dbus.service.method("com.victronenergy.Settings", in_signature="aa{sv}", out_signature="aa{sv}")
    def AddSettings(self, wanted):  # noqa: N802
        return [self.add(str(entry["path"]), entry["default"]) for entry in wanted]

    def add(self, path, default):
        if path not in self.settings:
            kept = [word.removeprefix("name=") for word in self.taken if word.startswith("name=")]
            value = self.free(str(default)) if path.endswith("/ClassAndVrmInstance") else (*kept, default)[0]
            self.settings[path] = Setting(self.bus, path, value, refuses="refuses" in self.taken)
        return {"path": path, "error": 0, "value": self.settings[path].value}

    def free(self, wish):
        device, number = wish.split(":")
        while number in self.taken:
            number = str(int(number) + 1)
        self.taken.add(number)
        return f"{device}:{number}"


@contextmanager
def running(address: str, *taken: str) -> Iterator["subprocess.Popen[str]"]:
    """The stand-in, running, with some instances given to others already."""
    process = subprocess.Popen([sys.executable, __file__, address, *taken], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


if __name__ == "__main__":
    connection = dbus.bus.BusConnection(sys.argv[1], mainloop=DBusGMainLoop())
    root = Root(connection, sys.argv[2:])
    name = dbus.service.BusName("com.victronenergy.settings", connection, do_not_queue=True)
    print("there", flush=True)
    GLib.MainLoop().run()
