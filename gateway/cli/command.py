"""bms-gateway command: the few things that may be commanded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from gateway.control import ask
from gateway.limits.history import GROUPS
from gateway.model import Command

ACTIONS: Final = ("charge", "discharge", "balance", "soc", "clear-history")
SWITCH: Final = {"on": 1.0, "off": 0.0}
FORMS: Final = "[BATTERY] ACTION=VALUE ..., such as: rack-1 charge=off"


@click.command(name="command", context_settings={"ignore_unknown_options": True}, options_metavar="[OPTIONS]")
@click.argument("words", nargs=-1, required=True, metavar="[BATTERY] ACTION=VALUE ...")
@click.option("--battery", default="", help="Its name; without it every battery that can.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
def command(words: tuple[str, ...], battery: str, socket: Path | None) -> None:
    """Command the BMS through the running gateway and report what became of it.

    `command rack-1 charge=off discharge=off soc=80`: charge, discharge and balance are on or off, soc is in percent.
    `command charge off` does the same for one action and every battery that can. The gateway confirms by reading
    back; exit 1 when a battery refused.

    clear-history=GROUP begins figures of the history anew: all, capacity, voltages, time, alarms, temperature, energy.
    """
    named, wanted = _understood(words)
    refused = False
    for action, value in wanted:
        asked = Command(action.replace("-", "_"), value, battery or named)  # type: ignore[arg-type]
        told = {"ask": "command", "action": asked.action, "value": asked.value, "battery": asked.battery}
        outcomes = ask(told, socket)["outcomes"]
        for outcome in outcomes:
            click.echo(outcome["note"])
        refused |= not outcomes or not all(outcome["accepted"] for outcome in outcomes)
    if refused:
        raise SystemExit(1)


def _understood(words: tuple[str, ...]) -> tuple[str, list[tuple[str, float]]]:
    """The battery that is named, if any, and each action with its value.  Raises UsageError."""
    if len(words) == 2 and words[0] in ACTIONS and "=" not in words[1]:
        return "", [(words[0], _number(*words))]
    named = words[0] if "=" not in words[0] else ""
    return named, list(_assignments(words[bool(named) :]))


def _assignments(words: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    if not words:
        raise click.UsageError(f"nothing is commanded, expected {FORMS}")
    for word in words:
        action, equals, value = word.partition("=")
        if not equals or action not in ACTIONS:
            raise click.UsageError(f"{word!r}: expected {FORMS}; ACTION is one of {', '.join(ACTIONS)}")
        yield action, _number(action, value)


def _number(action: str, value: str) -> float:
    if action == "clear-history":
        if value not in GROUPS.values():
            raise click.UsageError(f"clear-history takes one of {', '.join(GROUPS.values())}, not {value!r}")
        return next(number for number, name in GROUPS.items() if name == value)
    if action != "soc":
        if value not in SWITCH:
            raise click.UsageError(f"{action} takes on or off, not {value!r}")
        return SWITCH[value]
    try:
        return float(value)
    except ValueError:
        raise click.UsageError(f"soc takes a percentage such as 100, not {value!r}") from None
