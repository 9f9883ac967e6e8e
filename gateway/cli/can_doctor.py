"""bms-gateway can doctor: is the interface fine, who talks on the bus, and what to do."""

import json
import sys
from dataclasses import asdict

import click

from gateway.findings import Finding, in_lines, sound
from outputs.can_bms import doctor
from outputs.can_bms.doctor import Heard
from outputs.can_bms.net import Link
from outputs.can_bms.speakers import Speaker, sender


@click.command(name="doctor")
@click.argument("channel")
@click.option("--bitrate", default=500_000, show_default=True, type=click.IntRange(10_000, 1_000_000),
              help="bit/s that the inverter wants.")  # fmt: skip
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1, 600), help="How long to listen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor_command(channel: str, bitrate: int, seconds: float, as_json: bool) -> None:
    """Look at the CAN interface CHANNEL, listen for some seconds, say what is wrong and what to do.

    Sends nothing. Exit code 1 when there is a fault.
    """
    link = doctor.read(channel)
    findings = list(doctor.examine(channel, link, bitrate))
    heard = None
    if link is not None and link.up:
        if not as_json:
            click.echo(f"listening on {channel} for {seconds:g} s ...", err=True)
        heard = doctor.listen(channel, seconds)
        findings += doctor.diagnose(link, heard, bitrate)
    click.echo(json.dumps(_json(channel, link, heard, findings, bitrate), indent=1) if as_json else in_lines(findings))
    sys.exit(not sound(findings))


def _json(
    channel: str, link: Link | None, heard: Heard | None, findings: list[Finding], bitrate: int
) -> dict[str, object]:
    speakers = heard.speakers if heard else None
    return {
        "channel": channel,
        "sound": sound(findings),
        "interface": asdict(link) if link else None,
        "seconds": heard.seconds if heard else 0.0,
        "load": round(speakers.load((link and link.bitrate) or bitrate, heard.seconds), 4)
        if speakers and heard
        else None,
        "error_frames": dict(heard.errors) if heard else {},
        "heard": [_speaker(one) for one in speakers.all.values()] if speakers else [],
        "findings": [asdict(finding) for finding in findings],
    }


def _speaker(one: Speaker) -> dict[str, object]:
    return {"id": f"0x{one.id[0]:X}", "extended": one.id[1], "from": sender(one.id, here=one.here), "count": one.count,
            "longest_gap": round(one.longest, 4), "data": one.data.hex().upper()}  # fmt: skip
