"""What is wrong with a CAN interface and its bus: found by looking and listening, nothing is sent."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import can

from gateway.findings import Finding
from gateway.model import GatewayError
from gateway.supervise import words
from outputs.can_bms import net
from outputs.can_bms.errors import Tally, advice
from outputs.can_bms.net import PASSIVE_FROM, Link
from outputs.can_bms.setup import QUEUE
from outputs.can_bms.speakers import BMS, HERE, INVERTER, UNKNOWN, Speakers, listed, listener, resembles

BUSY: Final = 0.5  # load from which frames of low priority begin to wait
SHORT_QUEUE: Final = 20  # frames; the longest dialect's beat


@dataclass(slots=True)
class Heard:
    """What was heard on the bus."""

    seconds: float
    speakers: Speakers = field(default_factory=Speakers)
    errors: Counter[str] = field(default_factory=Counter)
    problem: str = ""  # why no more


def listen(channel: str, seconds: float) -> Heard:
    """Everything on the bus for so long, what this host sends included."""
    heard, tally = Heard(seconds), Tally()
    try:
        with listener("socketcan", channel) as bus:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                message = bus.recv(left)
                if message is not None and message.is_error_frame:
                    tally.look([message], time.monotonic())
                elif message is not None:
                    heard.speakers.hears(message)
    except (can.CanError, OSError) as fault:
        heard.problem = words(fault)
    heard.errors = tally.all
    return heard


def examine(channel: str, link: Link | None, bitrate: int) -> Iterator[Finding]:
    """What the kernel says of the interface; a fault among it = there is no use in listening."""
    if link is None:
        yield Finding("fault", f"there is no interface {channel}",
                      f"plug the adapter in, or: bms-gateway can setup {channel}")  # fmt: skip
        return
    if not link.up:
        rest = f" type can bitrate {bitrate}; for every boot: bms-gateway can setup {channel}"
        yield Finding("fault", f"{channel} is down", f"sudo ip link set {channel} up{'' if link.virtual else rest}")
        return
    yield Finding("fine", f"{channel} is {link}")
    if link.bitrate is not None and link.bitrate != bitrate:
        down_up = f"sudo ip link set {channel} down && sudo ip link set {channel} up type can bitrate {bitrate}"
        yield Finding("fault", f"its bitrate is {link.bitrate / 1000:g} kbit/s, expected {bitrate / 1000:g}", down_up)
    if link.off:
        yield Finding("fault", "the controller is in bus-off: it sends and hears nothing", net.remedy(link))
    if link.restart_ms == 0 and link.restartable:
        yield Finding("doubt", "restart-ms is 0: after bus-off it stays silent until somebody restarts it",
                      net.remedy(link))  # fmt: skip
    if not link.virtual and link.queue is not None and link.queue < SHORT_QUEUE:
        yield Finding("doubt", f"the kernel queues {link.queue} frames: fewer than a beat of the longest dialects",
                      f"sudo ip link set {channel} txqueuelen {QUEUE}")  # fmt: skip


def diagnose(link: Link, heard: Heard, bitrate: int) -> Iterator[Finding]:
    """What was heard, and what it means."""
    if heard.problem:
        yield Finding("fault", f"cannot listen: {heard.problem}", "look at `ip link show`, then try again")
        return
    speakers = heard.speakers
    inverter, others, here = speakers.of(INVERTER), speakers.of(BMS), speakers.of(HERE)
    outside = [*inverter, *others, *speakers.of(UNKNOWN)]
    yield from _errors(link, heard, outside_heard=bool(outside))
    if here:
        yield Finding("fine", f"this host sends {listed(here)}{_like([s.id for s in here])}")
    if inverter:
        yield Finding("fine", f"an inverter sends {listed(inverter)}")
    if others:
        yield Finding(
            "fault",
            f"another BMS sends {listed(others)}{_like([s.id for s in others])}: an inverter that hears two batteries "
            "obeys the one it heard last",
            "unplug one of them from this bus",
        )
    if unknown := speakers.of(UNKNOWN):
        yield Finding("fine", f"somebody sends {listed(unknown)}, which no known battery or inverter does")
    if not outside:
        yield Finding("doubt", f"nobody else was heard for {heard.seconds:g} s; some inverters speak only when spoken "
                      "to", "start the gateway and look again; otherwise check plug, pinout and the inverter's "
                      "battery setting")  # fmt: skip
    load = speakers.load(link.bitrate or bitrate, heard.seconds)
    yield Finding("doubt" if load > BUSY else "fine", f"load about {100 * load:.1f} %")


def _errors(link: Link, heard: Heard, *, outside_heard: bool) -> Iterator[Finding]:
    found = advice(link, heard.errors, heard=outside_heard, stuck=False)
    counted = ", ".join(f"{count} {kind}" for kind, count in heard.errors.most_common())
    told = f"; error frames: {counted}" if counted else ""
    if found:
        yield Finding("fault", found + told, _hint(link, heard))
    elif counted:
        yield Finding("doubt", f"error frames: {counted}", "120 Ω at both ends of the cable, and nowhere else")


def _hint(link: Link, heard: Heard) -> str:
    """Which end of the cable to begin at."""
    if heard.errors["ack"] or (link.tx_errors or 0) >= PASSIVE_FROM:
        return (
            "is the inverter on, and its plug's pinout right (CAN-H and CAN-L not swapped)? Its bitrate? With power "
            "off there are 60 Ω between CAN-H and CAN-L"
        )
    return (
        "compare the bitrate with the inverter's manual; with power off there are 60 Ω between CAN-H and CAN-L: 120 Ω "
        "= one terminator is missing, 40 Ω = one too many"
    )


def _like(ids: list[tuple[int, bool]]) -> str:
    names = resembles(ids)
    return f" (as {' or '.join(names[:3])})" if names else ""


def read(channel: str) -> Link | None:
    """The interface.  Raises GatewayError for what is no CAN interface."""
    link = net.read(channel)
    if link is not None and link.kind and link.kind not in net.KINDS:
        raise GatewayError(f"{channel} is no CAN interface but of kind {link.kind}")
    return link
