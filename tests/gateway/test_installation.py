"""The id of a gateway is made once and kept, whatever happens to the disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.installation import FORM, NAME, installation


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    first = installation(tmp_path / "state")
    assert FORM.fullmatch(first)
    assert installation(tmp_path / "state") == first
    assert [file.name for file in (tmp_path / "state").iterdir()] == [NAME]
    assert installation(tmp_path / "other") != first


@pytest.mark.parametrize("damage", [b"", b"0123", b"\xff" * 12, b"x" * 5000])
def test_a_damaged_file_names_nobody_and_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / NAME).write_bytes(damage)
    made = installation(tmp_path)
    assert FORM.fullmatch(made) and installation(tmp_path) == made


def test_those_who_ask_at_the_same_time_hear_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda n: installation(tmp_path), range(32)))) == 1


def test_where_nothing_can_be_kept_it_is_still_the_same_at_every_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    nowhere = installation(tmp_path / "file" / "state")
    assert FORM.fullmatch(nowhere)
    assert installation(tmp_path / "file" / "state") == nowhere == installation(None)
    assert "cannot be kept (Not a directory)" in caplog.text
