"""A dbus-daemon of one's own for every test that wants one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.venus_dbus.bus import Daemon


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A running private daemon; its folder is short-lived and its path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="bus-"))
    daemon = Daemon(folder)
    daemon.start()
    yield daemon
    daemon.kill()
    shutil.rmtree(folder)
