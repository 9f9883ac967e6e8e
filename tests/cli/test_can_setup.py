"""`bms-gateway can setup`: what it writes, what it leaves alone, and that nothing is written unless asked."""

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.program import called

NETWORK = "etc/systemd/network/80-bms-gateway-can0.network"
LINK = "etc/systemd/network/80-bms-gateway-can0.link"
INTERFACES = "etc/network/interfaces.d/bms-gateway-can0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("etc/systemd/network", "etc/network/interfaces.d", "boot/firmware"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "boot/firmware/config.txt").write_text("dtparam=audio=on\n[pi4]\narm_boost=1")
    return tmp_path


def setup(root: Path, *words: str) -> "CompletedProcess[str]":
    return called("can", "setup", "can0", "--root", root, *words)


def tree(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


def test_without_write_it_only_shows(root: Path) -> None:
    before = tree(root)
    done = setup(root, "--how", "networkd", "--hat", "mcp2515")
    assert done.returncode == 0 and tree(root) == before
    for word in (NETWORK, LINK, "config.txt", "would be written", "BitRate=500000", "Why:", "can doctor can0"):
        assert word in done.stdout


def test_networkd(root: Path) -> None:
    done = setup(root, "--how", "networkd", "--bitrate", "250000", "--write")
    assert done.returncode == 0, done.stderr
    network, link = (root / NETWORK).read_text(), (root / LINK).read_text()
    assert "[Match]\nName=can0\n" in network and "[CAN]\nBitRate=250000\nRestartSec=100ms\n" in network
    assert "OriginalName=can0" in link and "TransmitQueueLength=64" in link
    assert "networkctl reload" in done.stdout
    assert (root / NETWORK).stat().st_mode & 0o777 == 0o644


def test_ifupdown_is_taken_where_it_is_used(root: Path) -> None:
    (root / "etc/network/interfaces").write_text("source /etc/network/interfaces.d/*\n")
    (root / "sbin").mkdir()
    (root / "sbin/ifup").touch()
    done = setup(root, "--write")
    assert done.returncode == 0, done.stderr
    assert "by ifupdown (ifup and /etc/network/interfaces are here)" in done.stdout
    text = (root / INTERFACES).read_text()
    assert "ip link set $IFACE type can bitrate 500000 restart-ms 100" in text and "txqueuelen 64" in text


@pytest.mark.parametrize(
    ("hat", "line"),
    [
        (("mcp2515", "--oscillator", "12"), "dtoverlay=mcp2515-can0,oscillator=12000000,interrupt=25"),
        (("mcp251xfd", "--interrupt", "24"), "dtoverlay=mcp251xfd,spi0-0,oscillator=40000000,interrupt=24"),
    ],
)
def test_a_hat_is_a_block_for_all_models_in_config_txt(root: Path, hat: tuple[str, ...], line: str) -> None:
    assert setup(root, "--how", "networkd", "--hat", *hat, "--write").returncode == 0
    text = (root / "boot/firmware/config.txt").read_text()
    assert text.startswith("dtparam=audio=on\n[pi4]\narm_boost=1\n#")
    assert f"[all]\ndtparam=spi=on\n{line}\n" in text


def test_writing_again_changes_only_what_differs(root: Path) -> None:
    words = ("--how", "networkd", "--hat", "mcp2515", "--write")
    setup(root, *words)
    before = tree(root)
    again = setup(root, *words)
    assert tree(root) == before and again.stdout.count("was so already") == 3
    changed = setup(root, *words, "--oscillator", "8")
    assert changed.returncode == 0
    text = (root / "boot/firmware/config.txt").read_text()
    assert text.count("dtoverlay=") == 1 and "oscillator=8000000" in text


def test_what_others_wrote_is_refused_and_nothing_is_half_written(root: Path) -> None:
    (root / LINK).write_text("[Link]\nMTUBytes=72\n")
    before = tree(root)
    done = setup(root, "--how", "networkd", "--write")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{root / LINK}: is there and was not written by bms-gateway")
    assert tree(root) == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("etc/systemd/network/10-can.network", "[Match]\nName=can0\n[CAN]\nBitRate=250000\n"),
        ("etc/network/interfaces", "auto can0\niface can0 can static\n  bitrate 500000\n"),
        ("etc/network/interfaces.d/can", "iface can0 inet manual\n"),
    ],
)
def test_an_interface_that_is_configured_elsewhere_is_refused(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text)
    done = setup(root, "--how", "networkd", "--write")
    assert done.returncode == 1 and f"{root / file} configures can0 already" in done.stderr
    assert not (root / NETWORK).exists()


def test_an_overlay_that_somebody_wrote_by_hand_is_refused(root: Path) -> None:
    (root / "boot/firmware/config.txt").write_text("dtoverlay=mcp2515-can0,oscillator=8000000,interrupt=25\n")
    done = setup(root, "--how", "networkd", "--hat", "mcp251xfd", "--write")
    assert done.returncode == 1 and "change that line by hand" in done.stderr
    assert not (root / NETWORK).exists()


@pytest.mark.parametrize("channel", ["", "a/b", "../x", "a_name_too_long_for_linux", "can0\nx"])
def test_what_is_no_interface_is_refused(tmp_path: Path, channel: str) -> None:
    done = called("can", "setup", "--root", tmp_path, "--", channel)
    assert done.returncode == 1 and "no network interface" in done.stderr


@pytest.mark.parametrize("words", [("can", "watch", "can77"), ("scan", "can77")])
def test_a_bus_that_is_not_there_is_said_with_what_to_do(words: tuple[str, ...]) -> None:
    done = called(*words)
    assert done.returncode == 1
    assert re.match(r"can77: .*(ip link set can77 up type can bitrate|modprobe can_raw)", done.stderr.splitlines()[-1])
