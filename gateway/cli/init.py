"""bms-gateway init: a first configuration, by questions or by options."""

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from gateway.claimed import devices, rules
from gateway.cli.asking import Asker, one_of, within
from gateway.cli.scan import Scanned, look
from gateway.config.doubts import NETWORK, SERIAL, absent, doubts
from gateway.config.first import GX, NONE, Answers, first_yaml
from gateway.config.load import parse
from gateway.config.schema import Settings
from gateway.control import ask
from gateway.home import DEBIAN, Home, homes, venus_version
from gateway.limits.settings import CellVoltage, Current, DischargeCurrent
from gateway.model import GatewayError
from outputs.can_bms import brand

STOP_TTY: Final = Path("/opt/victronenergy/serial-starter/stop-tty.sh")
UDEV: Final = Path("/etc/udev/rules.d/70-bms-gateway.rules")
AMPS: Final = within(0, 2000, "A")


@dataclass(frozen=True, slots=True)
class Given:
    """What the options said; None = to be asked."""

    batteries: tuple[str, ...]
    ports: tuple[str, ...]
    inverter: str | None
    channel: str | None
    charge_current: float | None
    discharge_current: float | None
    cell_voltage: float | None
    bank_charge_current: float | None
    bank_discharge_current: float | None


@click.command(name="init")
@click.option("--battery", "batteries", multiple=True, metavar="driver=D,port=P[,name=N][,address=A]...",
              help="One battery, without looking for it; may be repeated.")  # fmt: skip
@click.option("--port", "ports", multiple=True, help="Look for BMSs here; may be repeated. Default: asks.")
@click.option("--inverter", help="A brand as `bms-gateway inverters` lists them; gx = this machine is the GX; none.")
@click.option("--channel", help="The CAN interface to the inverter.")
@click.option("--charge-current", type=float, help="A, of one battery at most.")
@click.option("--discharge-current", type=float, help="A, of one battery at most.")
@click.option("--cell-voltage", type=float, help="V, to which each cell is charged.")
@click.option("--bank-charge-current", type=float, help="A, of all together at most.")
@click.option("--bank-discharge-current", type=float, help="A, of all together at most.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; default: the installed service's.")
@click.option("--force", is_flag=True, help="Replace a file that is there; it is kept as FILE.before.")
@click.option("--yes", is_flag=True, help="Ask nothing: safe answers to whatever no option says.")
@click.option("--start/--no-start", default=None, help="Start the installed service afterwards; default: asks.")
def command(output: Path | None, force: bool, yes: bool, start: bool | None, **options: Any) -> None:
    """Write a first gateway.yaml: finds the BMSs, asks which inverter and which limits, checks, offers the service.

    Enter takes the safe answer. Only ports that you agree to are asked, and nothing is overwritten without --force.
    """
    home = next(iter(homes()), None)
    target = output or (home.config if home is not None else Path("gateway.yaml"))
    _refuse_existing(target, force)
    asker = Asker(yes)
    answers = _answers(Given(**options), asker)
    text = first_yaml(answers)
    settings = parse(text, str(target))
    _write(target, text)
    click.echo(f"{target}: written; its check says ok")
    for remark in (*doubts(settings), *absent(settings)):
        click.echo(f"{target}: doubt: {remark}")
    _tell_inverter(answers)
    _serve(home if target == (home and home.config) else None, target, settings, asker, start)


def _refuse_existing(target: Path, force: bool) -> None:
    """Raises GatewayError; better before the questions than after them."""
    if target.exists() and not force:
        raise GatewayError(f"{target}: exists already; --force replaces it (and keeps it as {target.name}.before), "
                           "-o FILE writes another")  # fmt: skip
    if not os.access(target.parent if target.parent.exists() else ".", os.W_OK):
        raise GatewayError(f"{target}: may not be written; try sudo bms-gateway init, or -o FILE for another place")


def _write(target: Path, text: str) -> None:
    """The whole file or nothing; one that was there keeps beside it.  Raises GatewayError."""
    new = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        if target.exists():
            target.replace(target.with_name(f"{target.name}.before"))
        new.replace(target)
    except OSError as problem:
        raise GatewayError(f"{target}: cannot be written ({problem.strerror})") from None


# ---- answers


def _answers(given: Given, asker: Asker) -> Answers:
    batteries = [_battery(words, number) for number, words in enumerate(given.batteries, 1)]
    batteries = batteries or _found(given, asker) or _by_hand(asker)
    several = len(batteries) > 1
    inverter = _inverter(given.inverter, asker)
    usual = Current().max, DischargeCurrent().max, CellVoltage().max
    volts = within(1.5, 4.5, "V")
    return Answers(
        batteries,
        inverter,
        channel=_channel(given.channel, inverter, asker),
        charge_current=_or(given.charge_current, lambda: asker.ask(
            "Charge current of one battery at most, in A", usual[0], "--charge-current", AMPS)),
        discharge_current=_or(given.discharge_current, lambda: asker.ask(
            "Discharge current of one battery at most, in A", usual[1], "--discharge-current", AMPS)),
        cell_voltage=_or(given.cell_voltage, lambda: asker.ask(
            "Charge each cell up to, in V (LiFePO4: 3.45)", usual[2], "--cell-voltage", volts)),
        bank_charge_current=_cap(given.bank_charge_current, several, "Charge", asker),
        bank_discharge_current=_cap(given.bank_discharge_current, several, "Discharge", asker),
    )  # fmt: skip


def _or(given: Any, asked: Any) -> Any:
    return asked() if given is None else given


def _cap(given: float | None, several: bool, what: str, asker: Asker) -> float | None:
    """A cap for the whole bank, where it is more than one battery."""
    if given is not None or not several:
        return given
    question = f"{what} current of all batteries together at most, in A (fuse, cables)"
    return asker.ask(question, "", f"--bank-{what.lower()}-current", AMPS) or None


def _inverter(given: str | None, asker: Asker) -> str:
    names = [*([GX] if venus_version() else []), *brand.names(), NONE]
    understood = one_of([*names, GX])
    if given is not None:
        return understood(given)
    safe = GX if venus_version() else NONE
    return str(asker.ask(f"Which inverter is to obey ({', '.join(names)})", safe, "--inverter", understood))


def _channel(given: str | None, inverter: str, asker: Asker) -> str:
    if given is not None or inverter in (GX, NONE):
        return given or "can0"
    there = sorted(path.name for path in NETWORK.glob("*can*"))
    words = f" (there is {', '.join(there)})" if there else " (there is none yet: bms-gateway can setup can0)"
    return str(asker.ask(f"CAN interface to the inverter{words}", there[0] if there else "can0", "--channel"))


# ---- batteries


def _battery(words: str, number: int) -> dict[str, Any]:
    """driver=jbd,port=/dev/ttyUSB0,address=1 as a battery of the file.  Raises GatewayError."""
    pairs = [part.partition("=") for part in words.split(",")]
    given = {key.strip(): _plain(value.strip()) for key, equals, value in pairs if equals}
    if len(given) != len(pairs) or not {"driver", "port"} <= given.keys():
        raise GatewayError(f"--battery {words}: expected driver=NAME,port=PORT, then name=, address=, ... as needed")
    return {"name": given.pop("name", f"battery-{number}"), **given}


def _plain(value: str) -> Any:
    """A number or true, where it is one."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _found(given: Given, asker: Asker) -> list[dict[str, Any]]:
    """Batteries on the ports that the user offers."""
    ports = given.ports or _offered(asker)
    for port in ports:
        _release(port)
    scanned = asyncio.run(look(tuple(ports), (), False)) if ports else []
    batteries = list(_as_batteries(scanned))
    if ports and not batteries:
        click.echo(
            "no BMS was recognised: is it awake, and the wiring right? (docs/raspberry-pi.md, docs/venus.md)", err=True
        )
    return batteries


def _offered(asker: Asker) -> Sequence[str]:
    there = ports_there()
    if not there:
        click.echo("no serial port is here; plug the adapter in, or go on by hand", err=True)
        return ()
    said = asker.ask("Look for BMSs on (they are asked questions; none = go on by hand)", " ".join(there), "--port")
    return () if said == "none" else str(said).split()


def ports_there() -> list[str]:
    """Serial ports, each once, by the name that stays its own."""
    names = [str(path) for form in SERIAL for path in sorted(Path("/").glob(form.lstrip("/")))]
    return list({Path(name).resolve(): name for name in reversed(names)}.values())[::-1]


def _release(port: str) -> None:
    """Have Venus OS's serial-starter let go of a port, as the service does at each start."""
    if STOP_TTY.exists() and port.startswith("/dev/"):
        subprocess.run([str(STOP_TTY), Path(port).resolve().name], check=False, stdout=subprocess.DEVNULL)


def _as_batteries(scanned: Iterable[Scanned]) -> Iterable[dict[str, Any]]:
    found = [(port.port, device) for port in scanned for device in port.found]
    for number, (port, device) in enumerate(found, 1):
        yield {"name": f"battery-{number}", "driver": device.driver.name, "port": port, **device.setup}


def _by_hand(asker: Asker) -> list[dict[str, Any]]:
    """Driver and port as the user says them.  Raises GatewayError where nothing is said."""
    batteries: list[dict[str, Any]] = []
    while said := asker.ask("Battery by hand: DRIVER PORT [ADDRESS] (Enter = no more)", "", "--battery", _three):
        batteries.append({"name": f"battery-{len(batteries) + 1}", **said})
    if not batteries:
        raise GatewayError("no battery: connect one and try again, or name it: --battery driver=jbd,port=/dev/ttyUSB0")
    return batteries


def _three(said: str) -> dict[str, Any]:
    words = said.split()
    if len(words) not in (2, 3):
        raise GatewayError(f"{said!r}: expected a driver and a port, such as: jbd /dev/ttyUSB0")
    return dict(zip(("driver", "port", "address"), map(_plain, words), strict=False))


# ---- afterwards


def _tell_inverter(answers: Answers) -> None:
    if answers.inverter == GX:
        click.echo(
            "on the GX: Settings, System setup, Charge control: DVCC on, Controlling BMS: bms-gateway (docs/venus.md)"
        )
    elif answers.inverter != NONE:
        setting = brand.load(answers.inverter).setting
        click.echo(f"on the inverter: {setting or 'choose a lithium battery with CAN'}; cable: docs/inverters.md")


def _runs() -> bool:
    """A gateway answers: it takes the new file over without a gap."""
    try:
        return bool(ask({"ask": "state"}))
    except GatewayError:
        return False


def _serve(home: Home | None, target: Path, settings: Settings, asker: Asker, start: bool | None) -> None:
    """Start the installed service, or say how it is run without one."""
    if home is None:
        click.echo(f"next: bms-gateway doctor {target}; bms-gateway run {target}; as a service: sudo ./install")
        return
    if home is DEBIAN and UDEV.parent.is_dir():
        UDEV.write_text(rules(settings))
    if start or (start is None and not asker.quiet and asker.agrees("Start the service now", "--start", safe=True)):
        for port in devices(settings):
            _release(port)
        done = subprocess.run(shlex.split(home.reload if _runs() else home.start), check=False)
        click.echo("started: bms-gateway status" if done.returncode == 0 else f"not started; see {home.log}")
    else:
        click.echo(f"next: bms-gateway doctor; {home.start}")
