"""bms-gateway restrict: limits that end by themselves."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.control import ask
from gateway.model.restriction import BOUNDS, TTL, USUAL
from gateway.remote import words_of

UNITS: Final[Mapping[str, float]] = {"s": 1, "m": 60, "min": 60, "h": 3600}
FORMS: Final = "KEY=VALUE ..., such as: ccl=20 dcl=0 soc-max=80"


@click.command(name="restrict")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE ...]")
@click.option("--for", "ttl", metavar="TIME", help="How long: 90s, 15m, 2h; 10 s to 24 h, default 15m.")
@click.option("--clear", is_flag=True, help="End what the command line asked for; with KEYs only these.")
@click.option("--clear-all", is_flag=True, help="End every limit, whoever asked for it: MQTT, HTTP, command line.")
@click.option("--audit", is_flag=True, help="Show the last orders of every source, refused ones too.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
def command(
    words: tuple[str, ...], ttl: str | None, clear: bool, clear_all: bool, audit: bool, socket: Path | None
) -> None:
    """Tighten the limits of the running gateway for a while; they can never be loosened this way.

    ccl and dcl are A at most, soc-max ends charging at that SoC in %, soc-min discharging. Each ends by itself after
    its time, however long ago the last order came, and is then let go of slowly. Asking again renews it. Nothing
    survives a restart. Without words it lists what is in force.
    """
    if audit:
        _show_audit(ask({"ask": "audit"}, socket)["audit"])
    elif clear_all:
        _tell(ask({"ask": "unrestrict"}, socket))
    elif not words and not clear:
        _list(ask({"ask": "state"}, socket).get("remote", []))
    else:
        _tell(ask({"ask": "restrict", "order": _order(words, ttl, clear)}, socket))


def _order(words: tuple[str, ...], ttl: str | None, clear: bool) -> dict[str, Any]:
    if clear:
        return {**{_key(word): None for word in words}, TTL: 0}
    wanted = [_assignment(word) for word in words]
    for key, times in Counter(key for key, _ in wanted).items():
        if times > 1:
            raise click.UsageError(f"{key.replace('_', '-')} is given {times} times; which of them?")
    return {**dict(wanted), TTL: USUAL if ttl is None else _seconds(ttl)}


def _assignment(word: str) -> tuple[str, float | None]:
    key, equals, value = word.partition("=")
    if not equals:
        raise click.UsageError(f"{word!r}: expected {FORMS}")
    try:
        return _key(key), None if value == "off" else float(value)
    except ValueError:
        raise click.UsageError(f"{key} takes a number without its unit, or off; not {value!r}") from None


def _key(word: str) -> str:
    key = word.replace("-", "_")
    if key not in BOUNDS:
        known = ", ".join(name.replace("_", "-") for name in BOUNDS)
        raise click.UsageError(f"{word!r}: KEY is one of {known}; expected {FORMS}")
    return key


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)", text)
    if found is None:
        raise click.UsageError(f"--for {text}: expected a time such as 90s, 15m or 2h")
    return float(found[1]) * UNITS[found[2]]


def _tell(answer: Mapping[str, Any]) -> None:
    click.echo(answer["note"])
    if not answer["accepted"]:
        raise SystemExit(1)


def _list(limits: list[dict[str, Any]]) -> None:
    if not limits:
        click.echo("nothing is asked for from outside")
    for limit in limits:
        click.echo(f"{limit['source']}: {words_of(limit['key'], limit['value'])}, another {limit['seconds_left']} s")


def _show_audit(entries: list[dict[str, Any]]) -> None:
    for line in _lines(entries):
        click.echo(line)


def _lines(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry["when"]))
        change = f" {entry['before']} -> {entry['after']}" if entry["before"] != entry["after"] else ""
        note = f": {entry['note']}" if entry.get("note") else ""
        yield f"{at} UTC  {entry['source']}: {entry['what']}{change}{note}"
