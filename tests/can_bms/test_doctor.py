"""What `can doctor` makes of an interface and of what was heard; who sent a frame."""

from collections import Counter

import can
import pytest

from gateway.findings import Finding, sound
from outputs.can_bms import doctor
from outputs.can_bms.doctor import Heard
from outputs.can_bms.net import Link
from outputs.can_bms.speakers import BMS, HERE, INVERTER, UNKNOWN, Speakers, resembles, sender
from tests.can_bms.test_interface import recorded

FINE = Link("can0", kind="can", up=True, carrier=True, state="error-active", bitrate=500_000, restart_ms=100,
            driver="mcp251x", queue=64, tx_errors=0, rx_errors=0)  # fmt: skip


def frame(can_id: int, at: float = 0.0, *, here: bool = False, extended: bool = False) -> can.Message:
    return can.Message(
        arbitration_id=can_id, data=bytes(8), timestamp=at, is_rx=not here, is_extended_id=extended
    )  # fmt: skip


def heard(*messages: can.Message, **errors: int) -> Heard:
    found = Heard(5.0, errors=Counter(errors))
    for message in messages:
        found.speakers.hears(message)
    return found


def faults(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if finding.level == "fault"]


def diagnosed(link: Link, found: Heard) -> list[Finding]:
    return [*doctor.examine("can0", link, 500_000), *doctor.diagnose(link, found, 500_000)]


def test_a_sound_bus_has_no_fault() -> None:
    found = diagnosed(FINE, heard(frame(0x351, here=True), frame(0x305)))
    assert sound(found)
    assert any("this host sends 0x351" in finding.what for finding in found)
    assert any("an inverter sends 0x305" in finding.what for finding in found)
    assert not [finding for finding in found if finding.level == "doubt"]


@pytest.mark.parametrize(
    ("link", "words", "do"),
    [
        (None, "there is no interface", "can setup can0"),
        (Link("can0", kind="can"), "is down", "sudo ip link set can0 up type can bitrate 500000"),
        ("gs_usb_receives_ill", "bitrate is 250 kbit/s, expected 500", "type can bitrate 500000"),
        ("mcp251x_bus_off", "bus-off", "restart-ms 100"),
    ],
)
def test_faults_of_the_interface(link: Link | str | None, words: str, do: str) -> None:
    found = list(doctor.examine("can0", recorded(link) if isinstance(link, str) else link, 500_000))
    assert [finding for finding in found if finding.level == "fault" and words in finding.what and do in finding.do]


def test_another_bms_is_a_fault_and_its_dialect_is_named() -> None:
    found = diagnosed(FINE, heard(*map(frame, (0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E))))
    assert any("another BMS" in what and "pylontech" in what for what in faults(found))


def test_nobody_acknowledges() -> None:
    found = diagnosed(FINE, heard(frame(0x351, here=True), ack=40))
    assert any("nobody acknowledges" in what and "40 ack" in what for what in faults(found))
    assert any("60 Ω" in finding.do for finding in found)


def test_another_bitrate() -> None:
    found = diagnosed(FINE, heard(stuff=4, form=9))
    assert any("another bitrate than 500 kbit/s" in what for what in faults(found))


def test_a_bus_on_which_frames_are_damaged() -> None:
    found = diagnosed(FINE, heard(frame(0x305), stuff=4))
    assert any("damaged on their way" in what for what in faults(found))
    assert any("one terminator is missing" in finding.do for finding in found)


def test_silence_is_a_doubt() -> None:
    found = diagnosed(FINE, heard())
    assert sound(found)
    assert any(finding.level == "doubt" and "nobody else was heard" in finding.what for finding in found)


def test_the_load_is_about_what_the_bits_say() -> None:
    found = heard(*(frame(0x351, 0.001 * n) for n in range(5000)))
    assert found.speakers.load(500_000, 5.0) == pytest.approx(5000 * 122 / 2_500_000, rel=0.05)


@pytest.mark.parametrize(
    ("can_id", "here", "who"),
    [
        ((0x351, False), True, HERE),
        ((0x351, False), False, BMS),
        ((0x351, True), False, UNKNOWN),
        ((0x305, False), False, INVERTER),
        ((0x305, True), False, INVERTER),
        ((0x7DF, False), False, UNKNOWN),
    ],
)
def test_who_sent_it(can_id: tuple[int, bool], here: bool, who: str) -> None:
    assert sender(can_id, here=here) == who


def test_gaps_are_those_of_one_id_from_one_side() -> None:
    speakers = Speakers()
    for at, can_id, here in ((0.0, 0x351, False), (0.1, 0x351, True), (1.0, 0x351, False), (3.5, 0x351, False)):
        last = speakers.hears(frame(can_id, at, here=here))
    assert (last.count, last.gap, last.longest) == (3, 2.5, 2.5)


def test_what_no_dialect_has_resembles_none() -> None:
    assert resembles([(0x351, False), (0x123, False)]) == [] == resembles([])
