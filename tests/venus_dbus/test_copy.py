"""The state among Venus OS's settings: read where the file is gone, written rarely, and nobody waits for it."""

import time
from pathlib import Path

import pytest

from gateway.store import NAME, Store, pack
from gateway.venus_copy import EVERY, VenusCopy
from tests.venus_dbus.bus import Daemon, value
from tests.venus_dbus.localsettings import running

STATE, LATER = {"batteries": {"a": {"soc_calc": 61.5}}}, {"batteries": {"a": {"soc_calc": 40.0}}}
PLACE = "/Settings/Devices/bms_gateway/State"


def kept(daemon: Daemon) -> str:
    return value(daemon.address, PLACE, service="com.victronenergy.settings")


def test_a_state_whose_directory_is_gone_is_taken_from_venus(tmp_path: Path, daemon: Daemon) -> None:
    with running(daemon.address):
        copy = VenusCopy(daemon.address, "bms_gateway")
        assert copy.load() == b""
        assert Store(tmp_path / "first", copy=copy).save(STATE)
        assert Store(tmp_path / "second", copy=VenusCopy(daemon.address, "bms_gateway")).load() == STATE
        assert Store(tmp_path / "second", copy=VenusCopy(daemon.address, "another")).load() == {}


def test_the_file_counts_while_it_is_there_and_the_copy_where_it_is_damaged(tmp_path: Path, daemon: Daemon) -> None:
    with running(daemon.address):
        now = [0.0]
        copy = VenusCopy(daemon.address, "bms_gateway", clock=lambda: now[0])
        store = Store(tmp_path, copy=copy)
        assert store.save(STATE) and store.save(LATER)
        assert "61.5" in kept(daemon), "flash is not written that often"
        assert Store(tmp_path, copy=copy).load() == LATER
        (tmp_path / NAME).write_bytes(pack(LATER)[:-20])
        damaged = Store(tmp_path, copy=copy)
        assert damaged.load() == STATE and not damaged.forgotten
        assert store.save(LATER, last=True)
        assert "40.0" in kept(daemon)
        now[0] = EVERY
        assert store.save(STATE)
        assert "61.5" in kept(daemon)


def test_a_copy_that_is_no_state_is_said_and_counts_for_nothing(
    tmp_path: Path, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    with running(daemon.address):
        copy = VenusCopy(daemon.address, "bms_gateway")
        copy.save(b'{"version": 1, "data": "what"}', last=True)
        assert Store(tmp_path, copy=copy).load() == {}
    assert "the copy of the state is no good" in caplog.text


def test_without_venus_or_with_one_that_hangs_all_goes_on(tmp_path: Path, daemon: Daemon) -> None:
    for copy in (VenusCopy(daemon.address, "x"), VenusCopy(f"unix:path={tmp_path}/no", "x")):
        began = time.monotonic()
        store = Store(tmp_path, copy=copy)
        assert store.load() == {} and store.save(STATE, last=True)
        assert time.monotonic() - began < 1.0
        (tmp_path / NAME).unlink()
    daemon.freeze()
    began = time.monotonic()
    assert Store(tmp_path, copy=VenusCopy(daemon.address, "x")).load() == {}
    assert time.monotonic() - began < 3.0
    daemon.thaw()
