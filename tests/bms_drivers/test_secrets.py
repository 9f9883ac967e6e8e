"""No report holds a password or a serial number, and what is left of a frame plays as before."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.declare import EXTENDED, Driver
from bms_drivers.kit.decode import decode
from bms_drivers.kit.secrets import masked
from tests.vectors import Case, cases

TOLD = {"serial_number", "custom_name"}
"""What a masked recording tells otherwise."""
MASKING = [name for name in registry.names() if registry.load(name).secrets]
CASES = [(name, case) for name in MASKING for case in cases(name)]


def mask(driver: Driver, case: dict) -> dict:  # type: ignore[type-arg]
    """A recording as a report holds it."""
    said = [
        {**one, "rx": [masked(driver.secrets, bytes.fromhex(one["tx"]), b"".join(map(bytes.fromhex, one["rx"]))).hex()]}
        for one in case.get("exchanges", ())
    ]  # fmt: skip
    frames = [
        {**one, "data": masked(driver.secrets, kind(one).to_bytes(4, "big"), bytes.fromhex(one["data"])).hex()}
        for one in case.get("frames", ())
    ]
    return {**case, "exchanges": said, "frames": frames}


def kind(frame: dict) -> int:  # type: ignore[type-arg]
    return int(str(frame["id"]), 0) | EXTENDED * bool(frame.get("ext"))


def test_every_driver_that_tells_a_serial_number_names_its_bytes() -> None:
    telling = [
        name for name in registry.names()
        if any("serial_number" in poll.gives for poll in registry.load(name).plan)
        and not registry.load(name).made_of
    ]  # fmt: skip
    assert [name for name in telling if not registry.load(name).secrets] == []


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda one: str(one))
def test_a_recording_without_its_secrets_reads_the_same(name: str, case: Case) -> None:
    driver = registry.load(name)
    clean = mask(driver, case.data)
    before, after = decode(driver, case.data), decode(driver, clean)
    assert (after.errors, [str(torn) for torn in after.torn]) == (before.errors, [str(torn) for torn in before.torn])
    assert after.readings.keys() == before.readings.keys()
    text = json.dumps(clean).lower()
    for key, reading in before.readings.items():
        for field in reading.__dataclass_fields__:
            was, now = getattr(reading, field), getattr(after.readings[key], field)
            assert now == was or field in TOLD or (field == "model" and name == "jk"), field
        serial = reading.serial_number or ""
        assert len(serial) < 6 or serial.encode().hex() not in text
    assert mask(driver, clean) == clean, "once is enough"


def test_passwords_are_gone() -> None:
    """Those that are in the public recordings, as the sheets say where."""
    driver = registry.load("jk_pb")
    record = bytearray(300)
    record[:6] = b"\x55\xaa\xeb\x90\x03\x00"
    record[62:72], record[118:124], record[86:97] = b"hunter2hun", b"123456", b"30112233445"
    record[299] = sum(record[:299]) & 0xFF
    clean = masked(driver.secrets, b"", b"\0\0" + bytes(record) + b"\x01\x10")
    assert not any(word in clean for word in (b"hunter2", b"123456", b"301122"))
    assert clean[2 + 299] == sum(clean[2 : 2 + 299]) & 0xFF and clean[-2:] == b"\x01\x10"


@given(st.sampled_from(CASES), st.integers(0, 400), st.integers(0, 255), st.binary(max_size=20))
@examples(max_examples=150, deadline=None)
def test_torn_and_wrong_frames_hide_them_too_and_stay_wrong(
    one: tuple[str, Case], at: int, noise: int, before: bytes
) -> None:
    name, case = one
    driver = registry.load(name)
    for exchange in case.data.get("exchanges", ())[:6]:
        request, answer = bytes.fromhex(exchange["tx"]), b"".join(map(bytes.fromhex, exchange["rx"]))
        whole = masked(driver.secrets, request, answer)
        torn = masked(driver.secrets, request, answer[:at])
        assert len(torn) == len(answer[:at])
        hidden = {n for n in range(len(answer[:at])) if whole[n] != answer[n]}
        checks = set(range(max(0, len(answer) - 6), len(answer)))
        assert all(torn[n] == whole[n] or n not in hidden or n in checks for n in range(len(torn)))
        longer = masked(driver.secrets, request, before + answer)
        assert len(longer) == len(before + answer)
