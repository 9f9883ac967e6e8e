"""What nobody expected ends one try, is said once a kind, and is counted."""

import asyncio
import logging
import re
from pathlib import Path

import pytest

from gateway.supervise import Supervisor

ROOT = Path(__file__).parent.parent.parent


def overflow() -> None:
    (-1).to_bytes(2, "big")


def test_a_defect_ends_only_its_own_try_and_is_told_to_whoever_does_the_work() -> None:
    failures: list[Exception] = []
    supervisor, tries = Supervisor("rack-1"), 0
    for _ in range(3):
        with supervisor.trying(failures.append):
            tries += 1
            overflow()
    assert tries == 3
    assert [type(failure) for failure in failures] == [OverflowError] * 3


def test_a_kind_is_said_once_on_one_line_with_its_place_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor("rack-1")
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            with supervisor.trying():
                overflow()
            with supervisor.trying():
                raise ValueError("two\nlines")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert re.match(r"rack-1: a defect, .*: can't convert negative int .*test_supervise\.py:\d+", caplog.messages[0])
    assert "two lines" in caplog.messages[1]
    assert sorted(supervisor.faults.values()) == [5, 5]


def test_the_traceback_is_there_for_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Supervisor("rack-1").trying():
        overflow()
    assert "Traceback" in caplog.text


def test_a_cancelled_task_stays_cancelled() -> None:
    async def work() -> None:
        with Supervisor("rack-1").trying():
            await asyncio.sleep(60.0)

    async def cancel() -> bool:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel())


def test_the_house_has_one_broad_except() -> None:
    broad = re.compile(r"\b(except|suppress)\b.*\b(Base)?Exception\b|\bexcept\s*:|isinstance\(\w+, (Base)?Exception\)")
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("gateway", "bms_drivers", "outputs")
        for path in sorted((ROOT / room).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if broad.search(line)
    ]
    assert found == ["gateway/supervise.py"]


def test_work_that_a_defect_ends_begins_again_and_work_that_is_done_is_done(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            overflow()

    asyncio.run(Supervisor("rack-1").keep(work, pause=0.0))
    assert tries == 3
    assert len(caplog.records) == 1


def test_what_is_expected_passes() -> None:
    supervisor = Supervisor("rack-1")
    with pytest.raises(KeyError), supervisor.trying(passing=(LookupError,)):
        raise KeyError("x")
    assert not supervisor.faults
