"""Locks against other processes: real processes that hold them, and that are killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.locks import Held, Locks

HOLDER = """
import sys
from pathlib import Path
from gateway.locks import Locks
locks = Locks()
locks.take_directory(Path(sys.argv[1]))
locks.take_name(sys.argv[2])
print("holding", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(directory: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has both locks."""
    words = [sys.executable, "-c", HOLDER, str(directory), name]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def name_of(tmp_path: Path) -> str:
    """A name that no other test has."""
    return f"test {tmp_path}"


def test_what_another_process_holds_is_refused_with_its_number(tmp_path: Path) -> None:
    directory, name = tmp_path / "state", name_of(tmp_path)
    with holder(directory, name) as other, Locks() as locks:
        with pytest.raises(Held, match=rf"taken by another program \(process {other.pid}\)"):
            locks.take_directory(directory)
        with pytest.raises(Held, match=rf"taken by another program \(process {other.pid}\)"):
            locks.take_name(name)


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    directory, name = tmp_path / "state", name_of(tmp_path)
    with holder(directory, name) as other:
        other.kill()
        other.wait()
        with Locks() as locks:
            locks.take_directory(directory)
            locks.take_name(name)
        assert list(directory.iterdir()) == []


def test_what_was_let_go_is_free_for_others(tmp_path: Path) -> None:
    directory, name = tmp_path / "state", name_of(tmp_path)
    with Locks() as locks:
        locks.take_directory(directory)
        locks.take_directory(directory)
        locks.take_name(name)
        locks.take_name(name)
        assert locks.names() == {name}
        locks.release_names({name})
        with Locks() as others:
            others.take_name(name)
            with pytest.raises(Held):
                locks.take_name(name)
    with Locks() as others:
        others.take_directory(directory)


def test_long_names_that_differ_at_their_ends_are_different(tmp_path: Path) -> None:
    long = name_of(tmp_path) + "/and" * 40
    with Locks() as locks, Locks() as others:
        locks.take_name(long + "/one")
        others.take_name(long + "/two")
        with pytest.raises(Held):
            others.take_name(long + "/one")


def test_a_directory_that_cannot_be_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Locks() as locks:
        locks.take_directory(tmp_path / "file" / "state")
