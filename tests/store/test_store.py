"""What survives a restart: torn files, failing disks, a writer that is killed, and how often flash is written."""

import contextlib
import errno
import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.store import BAD_FILES_KEPT, DRIFTING, Store, changes, default_directory, pack, unpack

STATE: dict[str, Any] = {"allow_max": True, "soc_calc": 61.5, "packs": {"rack-1": {"serial": "S1", "seen": [1, 2]}}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def bad_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.bad-*"))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    assert Store(tmp_path).save(STATE)
    assert Store(tmp_path).load() == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_nothing_saved_yet_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Store(tmp_path / "never" / "made").load() == {}
    assert not caplog.records


def test_directory_is_made_when_it_is_needed(tmp_path: Path) -> None:
    assert Store(tmp_path / "a" / "b").save(STATE)
    assert Store(tmp_path / "a" / "b").load() == STATE


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_any_state_round_trips(data: dict[str, Any]) -> None:
    assert unpack(pack(data)) == data


def test_file_cut_at_every_byte_is_never_believed(tmp_path: Path) -> None:
    whole = pack({"soc": 61.5, "name": "über"})
    for size in range(len(whole) - 1):  # the last byte is the newline
        with pytest.raises(ValueError, match=r"torn|not a state file"):
            unpack(whole[:size])
    (tmp_path / "state.json").write_bytes(whole[: len(whole) // 2])
    assert Store(tmp_path).load() == {}


@given(st.data())
@settings(max_examples=300)
def test_a_flipped_bit_never_gives_another_state(data: st.DataObject) -> None:
    whole = bytearray(pack(STATE))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(ValueError):
        assert unpack(bytes(whole)) == STATE  # a flip in white space only


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_state_or_a_reason(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "torn"),
        (b"\xff\xfe\x00", "torn"),
        (b"[" * 200_000, "torn"),
        (b'{"version": 1, "sha256": "0", "data": {"soc": 50}}', "checksum"),
        (pack(STATE).replace(b'"version": 1', b'"version": 7'), "version 7, expected 1"),
        (b'{"version": 1, "data": [1]}', "not a state file"),
        (b" " * 5_000_000, "larger than"),
    ],
)
def test_file_that_cannot_be_trusted_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raw: bytes, reason: str
) -> None:
    (tmp_path / "state.json").write_bytes(raw)
    store = Store(tmp_path, wall=lambda: 1_790_000_000.0)
    assert store.load() == {}
    assert bad_files(tmp_path) == ["state.json.bad-20260921T141320Z"]
    assert (tmp_path / bad_files(tmp_path)[0]).read_bytes() == raw
    assert len(caplog.records) == 1 and reason in caplog.text and "set aside" in caplog.text
    assert store.load() == {} and store.save(STATE) and store.load() == STATE


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(BAD_FILES_KEPT + 4):
        (tmp_path / "state.json").write_bytes(b"torn")
        assert Store(tmp_path, wall=lambda: 0.0).load() == {}
    assert len(bad_files(tmp_path)) == BAD_FILES_KEPT


def test_leftover_of_a_torn_write_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".state.json.new").write_bytes(b"half a st")
    store = Store(tmp_path)
    assert store.load() == {} and store.save(STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    state = tmp_path / "state"
    state.mkdir()
    (state / ".state.json.new").symlink_to(victim)
    Store(state).save(STATE)
    assert victim.read_text() == "mine"
    assert Store(state).save(STATE)  # the link is gone after the first try


def test_state_that_json_cannot_hold_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.save(STATE)
    assert not store.save({"soc": math.nan})
    assert not store.save({"soc": object()})
    assert "JSON" in store.problem
    assert Store(tmp_path).load() == STATE


def test_a_file_where_the_directory_should_be_degrades_storing_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    place = tmp_path / "state"
    place.write_text("in the way")
    store = Store(place)
    assert store.load() == {}
    caplog.clear()
    assert [store.save(STATE) for _ in range(5)] == [False] * 5
    assert len(caplog.records) == 1, "said once, not five times"
    assert store.problem
    place.unlink()
    assert store.save(STATE) and store.problem == "" and "again" in caplog.text


def refused(number: int) -> Callable[[Path], bytes]:
    """Reading that the system refuses with this error."""

    def read(path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    return read


def unread_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.unread-*"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_cannot_be_read_is_set_aside_and_never_overwritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    Store(tmp_path).save(STATE)
    whole = (tmp_path / "state.json").read_bytes()
    store = Store(tmp_path, read=refused(number))
    assert store.load() == {} and store.forgotten
    assert store.save({"soc": 1.0}) and store.problem == ""
    (aside,) = unread_files(tmp_path)
    assert aside.read_bytes() == whole
    assert os.strerror(number) in caplog.text and aside.name in caplog.text
    assert Store(tmp_path).load() == {"soc": 1.0}


def test_what_could_not_be_read_is_kept_however_many_files_are_damaged_later(tmp_path: Path) -> None:
    Store(tmp_path).save(STATE)
    Store(tmp_path, read=refused(errno.EIO)).load()
    for _ in range(BAD_FILES_KEPT + 3):
        (tmp_path / "state.json").write_bytes(b"torn")
        assert Store(tmp_path).load() == {}
    (aside,) = unread_files(tmp_path)
    assert unpack(aside.read_bytes()) == STATE


def make_directory(path: Path) -> None:
    path.mkdir()
    (path / "somebody's").write_text("file")


@pytest.mark.parametrize("make", [make_directory, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_no_file_at_all_is_set_aside_without_waiting(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "state.json")
    store = Store(tmp_path)
    assert store.load() == {} and store.forgotten
    assert len(unread_files(tmp_path)) == 1
    assert store.save(STATE) and Store(tmp_path).load() == STATE


def test_nothing_saved_yet_is_nothing_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.load() == {} and not store.forgotten
    store.save(STATE)
    assert store.load() == STATE and not store.forgotten
    (tmp_path / "state.json").write_bytes(b"torn")
    assert store.load() == {} and store.forgotten


IN_THE_WAY = """
import os, sys
from pathlib import Path
from gateway.store import Store
place = Path(sys.argv[1])
os.mkfifo(place / "state.json")
assert os.system(f"mount -o remount,ro {place}") == 0
store = Store(place)
assert store.load() == {} and store.forgotten
assert "not a regular file" in store.problem and "ead-only" in store.problem, store.problem
assert os.system(f"mount -o remount,rw {place}") == 0
os.rename, kept = None, os.rename  # the system lets the directory be written, but not this file be renamed
Path.rename, rename = lambda path, target: (_ for _ in ()).throw(PermissionError(1, "not permitted")), Path.rename
assert not store.save({"number": 1}) and not store.save({"number": 2})
assert [path.name for path in place.iterdir()] == ["state.json"] and (place / "state.json").is_fifo()
assert "nothing is saved over it" in store.problem, store.problem
os.rename, Path.rename = kept, rename
assert store.save({"number": 3}) and store.problem == ""
assert Store(place).load() == {"number": 3}
assert [path.is_fifo() for path in place.glob("*.unread-*")] == [True]
print("survived")
"""


def test_what_can_be_neither_read_nor_set_aside_is_left_and_nothing_is_saved_over_it(tmp_path: Path) -> None:
    assert in_a_file_system_of_its_own(IN_THE_WAY, tmp_path) == "survived\n"


HALF_WRITE = """
import resource, signal, sys
from pathlib import Path
from gateway.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # no file grows past 200 bytes
place = Path(sys.argv[1])
store = Store(place)
assert store.save({"soc": 1.0})
assert not store.save({"soc": 2.0, "fill": "x" * 500})
assert Store(place).load() == {"soc": 1.0}
assert [path.name for path in place.iterdir()] == ["state.json"], "no half file may stay on a full disk"
"""


def test_write_that_stops_half_way_leaves_the_old_state(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HALF_WRITE, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


FULL_DISK = """
import os, sys
from pathlib import Path
from gateway.store import Store
place = Path(sys.argv[1])
store = Store(place)
assert store.save({"number": 1})
filler = os.open(place / "filler", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(filler, bytes(4096))
except OSError as error:
    assert error.errno == 28, error
assert not store.save({"number": 2}) and "space" in store.problem, store.problem
assert Store(place).load() == {"number": 1}
os.close(filler)
os.unlink(place / "filler")
assert store.save({"number": 3}) and store.problem == ""
assert os.system(f"mount -o remount,ro {place}") == 0
assert not store.save({"number": 4}) and "ead-only" in store.problem, store.problem
assert Store(place).load() == {"number": 3}
(place / "x").exists()
print("survived")
"""


def in_a_file_system_of_its_own(code: str, place: Path) -> str:
    """What `code` prints on a real file system of 64 kB, in a mount namespace (needs no root: user namespaces)."""
    script = f'mount -t tmpfs -o size=64k none {place}; "$@" {place}; umount {place}'
    # as root also where / is no mount point (a chroot), which cannot be made private
    how = ["--propagation", "unchanged"] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *how, "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return run.stdout or run.stderr


def test_full_and_read_only_disk_degrade_storing_alone(tmp_path: Path) -> None:
    assert in_a_file_system_of_its_own(FULL_DISK, tmp_path) == "survived\n"


def test_writer_killed_two_hundred_times_never_leaves_a_torn_state(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.store.killer", str(tmp_path), "200"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    result = json.loads(run.stdout)
    assert result["rounds"] == 200 and result["wrong"] == [] and result["bad"] == []
    assert result["saves"] > 200, "the writers did write"
    assert result["cut"] > 10, "some were killed in the middle of a save"


def test_unchanged_state_is_not_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 0.0)
    assert store.due(STATE, 0.0)
    store.save(STATE)
    assert not any(store.due(STATE, now) for now in (1.0, 16.0, 301.0, 1e6))


def test_change_is_written_at_most_every_15_seconds(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 100.0)
    store.save(STATE)
    changed = {**STATE, "allow_max": False}
    assert [store.due(changed, 100.0 + t) for t in (1, 14.9, 15, 60)] == [False, False, True, True]


def test_soc_counter_is_written_each_5_minutes_or_at_half_a_percent(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 0.0)
    store.save(STATE)
    drifted, moved = {**STATE, "soc_calc": 61.9}, {**STATE, "soc_calc": 61.0}
    assert [store.due(drifted, t) for t in (15, 299, 300)] == [False, False, True]
    assert [store.due(moved, t) for t in (14, 15)] == [False, True]


def test_history_alone_waits_5_minutes(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 0.0)
    store.save({"history": {"charged_energy": 1.0}})
    later = {"history": {"charged_energy": 9.0, "note": "new"}}
    assert [store.due(later, t) for t in (60, 299, 300)] == [False, False, True]


def test_trembling_wall_clock_is_no_news_but_the_start_of_absorption_is() -> None:
    state = {"max_voltage_start_time": 1_790_000_000.0}
    assert changes(state, {"max_voltage_start_time": 1_790_000_000.004}, DRIFTING) == "little"
    assert changes({"max_voltage_start_time": None}, state, DRIFTING) == "much"


def test_restart_does_not_write_what_is_on_the_disk_already(tmp_path: Path) -> None:
    Store(tmp_path).save(STATE)
    store = Store(tmp_path)
    assert not store.due(store.load(), 1e9)


def test_failing_disk_is_not_tried_more_often(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file", clock=lambda: 10.0)
    assert not store.save(STATE)
    assert [store.due(STATE, t) for t in (11.0, 24.0, 25.0)] == [False, False, True]


def test_a_day_of_drift_costs_few_writes(tmp_path: Path) -> None:
    """One full cycle a day, looked at every second: 0.5 % steps, else 5 minutes."""
    now, writes = 0.0, 0
    store = Store(tmp_path, clock=lambda: now)
    for second in range(0, 86400, 5):
        now = float(second)
        data = {"soc_calc": 50 + 50 * math.sin(second / 86400 * 2 * math.pi), "history": {"seconds": second}}
        if store.due(data, now):
            writes += store.save(data)
    assert writes < 700


@given(old=json_values, new=json_values)
def test_changes_are_symmetric_and_none_between_equals(old: Any, new: Any) -> None:
    assert changes(old, new, {}) == changes(new, old, {})
    assert changes(new, new, {}) == ""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/bms-gateway", "HOME": "/h"}, Path("/var/lib/bms-gateway")),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, Path("/var/lib/a")),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, Path("/x/bms-gateway")),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, Path("/h/.local/state/bms-gateway")),
        ({"HOME": "/h"}, Path("/h/.local/state/bms-gateway")),
        ({}, None),
    ],
)
def test_where_state_belongs(environment: dict[str, str], expected: Path | None) -> None:
    assert default_directory(environment) == expected


def test_service_without_any_place_for_state_runs_without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    store = Store(None)
    assert store.load() == {} and not store.save(STATE) and "state_dir" in store.problem
