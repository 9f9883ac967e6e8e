"""python-can without its plugins' machinery: the same buses as with it, and all of them where there is a plugin."""

import subprocess
import sys
from pathlib import Path

import pytest
from can.interfaces import BACKENDS

PROGRAM = """
import sys
from gateway.lean import without_openssl, without_unused_parts
without_openssl()
without_unused_parts()
import can
from can.interfaces import BACKENDS
lean = "importlib.metadata" not in sys.modules
from importlib.metadata import version
print(lean, version("python-can") > "4", type(can.__spec__.loader).__name__, *BACKENDS)
with can.Bus(interface=sys.argv[1], channel="1") as bus:
    print(bus.channel_info)
"""
PLUGIN = """
from can.interfaces.virtual import VirtualBus
class Bus(VirtualBus):
    def __init__(self, channel, **more):
        super().__init__(channel)
        self.channel_info = "a bus of its own"
"""


def run(interface: str, *path: Path) -> list[str]:
    ahead = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n"
    command = [sys.executable, "-c", ahead + PROGRAM, interface]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def usual(*, lean: bool) -> str:
    """What the program says of python-can with its own buses."""
    return f"{lean} True SourceFileLoader {' '.join(BACKENDS)}"


def test_without_plugins_all_buses_are_there_and_what_is_installed_can_be_asked_for_afterwards() -> None:
    assert run("virtual") == [usual(lean=True), "Virtual bus channel 1"]


@pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
def test_the_bus_of_a_plugin_is_there(tmp_path: Path, kind: str) -> None:
    about = tmp_path / f"plugged-1.0.{kind}"
    about.mkdir()
    (about / ("METADATA" if kind == "dist-info" else "PKG-INFO")).write_text("Name: plugged\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[can.interface]\nplugged = plugged_bus:Bus\n")
    (tmp_path / "plugged_bus.py").write_text(PLUGIN)
    assert run("plugged", tmp_path) == [f"{usual(lean=False)} plugged", "a bus of its own"]


def test_what_cannot_be_read_holds_no_plugin(tmp_path: Path) -> None:
    (tmp_path / "odd-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)
    assert run("virtual", tmp_path / "away", tmp_path) == [usual(lean=True), "Virtual bus channel 1"]


LATER = """
from importlib.metadata import PackageNotFoundError, distribution, metadata
click = distribution("click").name + metadata("click")["Name"]
"""


def test_a_later_python_can_may_ask_for_more_of_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "can").mkdir()
    (tmp_path / "can" / "__init__.py").write_text(LATER)
    ahead = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from gateway.lean import without_unused_parts\n"
    program = ahead + "without_unused_parts(); import can; from importlib.metadata import version; print(can.click)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("clickclick\n", "")
