"""bms-gateway command: the few things that may be commanded."""

from pathlib import Path

import click

from gateway.control import ask
from gateway.limits.history import GROUPS
from gateway.model import GatewayError

SWITCH = {"on": 1.0, "off": 0.0}


@click.command(name="command")
@click.argument("action", type=click.Choice(["charge", "discharge", "balance", "soc", "clear-history"]))
@click.argument("value")
@click.option("--battery", default="", help="Its name; without it every battery that can.")
@click.option("--socket", type=click.Path(path_type=Path), help="The running gateway's control socket.")
def command(action: str, value: str, battery: str, socket: Path | None) -> None:
    """Command the BMS through the running gateway and report what became of it.

    ACTION is charge, discharge or balance with VALUE on or off, or soc with VALUE in percent.
    The gateway confirms by reading back; exit 1 when a battery refused.

    clear-history begins figures of the history anew: VALUE is all, capacity, voltages, time, alarms, temperature or
    energy.
    """
    wanted = {"action": action.replace("-", "_"), "value": _number(action, value), "battery": battery}
    answer = ask({"ask": "command", **wanted}, socket)
    for outcome in answer["outcomes"]:
        click.echo(outcome["note"])
    if not answer["outcomes"] or not all(outcome["accepted"] for outcome in answer["outcomes"]):
        raise SystemExit(1)


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
        percent = float(value)
    except ValueError:
        raise click.UsageError(f"soc takes a percentage such as 100, not {value!r}") from None
    if not 0 <= percent <= 100:
        raise GatewayError(f"soc {percent:g} outside 0..100 %")
    return percent
