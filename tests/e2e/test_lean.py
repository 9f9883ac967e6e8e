"""What a running gateway has loaded: what start-up alone needs is not among it.  Figures are for ./dev bench cost."""

import json
import signal
import sys
from pathlib import Path

from bench.cost import CAN, DBUS, configured
from tests.e2e.house import house, until

READING = {"pydantic", "pydantic_core", "ruamel.yaml", "cantools", "bitstruct", "textparser"}
OPENSSL = {"ssl", "_ssl", "_hashlib"}
UNUSED = {"click", "can.io.player", "sqlite3", "wrapt", "decimal", "importlib.metadata", "email", "bz2"}


def test_one_pack_runs_without_what_reads_files_or_is_never_used(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        configured(home, 1, CAN + DBUS)
        file, config = tmp_path / "modules.json", str(tmp_path / "gateway.yaml")
        home.start("gateway", sys.executable, "-m", "tests.e2e.loaded", str(file), config)
        home.wait(lambda state: state["decision"]["cvl"] and home.dbus("/Soc"), 30, "a decision on the bus")
        home.signal("gateway", signal.SIGHUP)
        until(lambda: "read again: nothing has changed" in home.log("gateway"), 30, "the configuration, again")
        home.signal("gateway", signal.SIGUSR2)
        until(file.exists, 10, "the modules")
        loaded = set(json.loads(file.read_text()))
    assert {"can", "dbus", "gateway.service"} <= loaded
    assert loaded & (READING | OPENSSL | UNUSED) == set()
