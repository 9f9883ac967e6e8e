"""bms-gateway can: frames for given values, what logged frames say, and which dialects there are."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import click

from gateway.cli.can_doctor import doctor_command
from gateway.cli.can_setup import setup_command
from gateway.cli.can_watch import watch_command
from gateway.model import GatewayError
from outputs.can_bms.dbc_file import load, names
from outputs.can_bms.dialect import Dialect, Dlc, Frame
from outputs.can_bms.not_known import page
from outputs.inverter.keys import NAMES, Value, check

CHANNEL: Final = "can0"
ERROR_FRAME: Final = 0x20000000  # flag in the id of a SocketCAN error frame
SHOWN_MOST: Final = 3  # torn lines quoted in full

# "(1700000000.123456) can0 351#1402C012" as candump -L and -l write it, perhaps with R or T at the end
LOGGED: Final = re.compile(
    r"^\(\d+\.\d+\)\s+\S+\s+(?P<id>[0-9A-F]{3}|[0-9A-F]{8})#(?P<data>[0-9A-F]*)(?:\s+[RT])?$",
    re.I,
)
# "can0  351   [8]  14 02 C0 12" as candump prints, perhaps with a time before it, RX - - after the bus, text at the end
PRINTED: Final = re.compile(
    r"^(?:\(\S+(?: \S+)?\)\s+)?\S+\s+(?:[RT]X\s+\S+\s+\S+\s+)?(?P<id>[0-9A-F]{3}|[0-9A-F]{8})"
    r"\s+\[(?P<length>\d)\]\s*(?P<data>(?:\s[0-9A-F]{2})*)(?:\s+'.*')?$",
    re.I,
)


@dataclass(slots=True)
class Log:
    """A log that was read: frames, and the lines that are none."""

    frames: list[Frame] = field(default_factory=list)
    torn: list[tuple[int, str]] = field(default_factory=list)


def dialect_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both commands have."""
    command = click.option("--dbc", "file", type=click.Path(path_type=Path), help="Your own DBC file instead.")(command)
    return click.option("--dialect", "name", default="pylontech", show_default=True, help="What the inverter speaks.")(
        command
    )


@click.group(name="can")
def command() -> None:
    """The CAN bus towards inverters: set it up, examine it, watch it; encode values, decode logs."""


for shown in (setup_command, doctor_command, watch_command):
    command.add_command(shown)


@command.command(name="frames")
@dialect_options
@click.option("--values", "values_file", type=click.Path(path_type=Path), required=True, help="JSON object of values.")
@click.option("--dlc", type=click.Choice(["8", "native"]), default="8", show_default=True, help="Length of the frames.")
def frames(name: str, file: Path | None, values_file: Path, dlc: str) -> None:
    """Print the frames that would be sent, as candump log lines in sending order."""
    dialect = load(name, file)
    given = _json(values_file)
    if not isinstance(given, dict):
        raise GatewayError(f'{values_file}: expected a JSON object such as {{"soc": 88, "voltage": 52.1}}')
    if isinstance(given.get("values"), dict):
        given = given["values"]  # what `can decode --json` prints
    clamped: list[str] = []
    try:
        made = dialect.encode(check(given), cast(Dlc, dlc), clamped=clamped)
    except GatewayError as problem:
        raise GatewayError(f"{values_file}: {problem}") from None
    for frame in made:
        click.echo(f"(0.000000) {CHANNEL} {frame}")
    for why in filter(None, (dialect.mistaken(str(given.get(key) or "")) for key in NAMES)):
        click.echo(f"{values_file}: {why}", err=True)
    if clamped:
        click.echo(f"{values_file}: clamped to the range of {dialect.name}: {', '.join(clamped)}", err=True)


@command.command(name="decode")
@dialect_options
@click.argument("log_file", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"values": {...}}.')
def decode(name: str, file: Path | None, log_file: Path, as_json: bool) -> None:
    """Print what the frames in LOG say: a candump log (either format) or a recording in the vector format.

    Of several frames with one id the last one counts. Lines that are no frames are skipped, counted and named.
    """
    dialect = load(name, file)
    log = read_log(log_file)
    _name_torn(log, log_file)
    if not any(dialect.knows(frame) for frame in log.frames):
        raise GatewayError(f"{log_file}: {len(log.frames)} frames, none of them of the dialect {dialect.name}")
    _print(dialect, log, as_json)


@command.command(name="dialects")
@click.option("--markdown", is_flag=True, help="The page docs/not-known.md.")
def dialects(markdown: bool) -> None:
    """List the dialects; with --markdown what each sends for every value, and while it is not known."""
    if markdown:
        click.echo("\n".join(page()))
        return
    for name in names():
        dialect = load(name)
        ids = " ".join(f"{layout.message.id:X}" for layout in dialect.layouts)
        click.echo(f"{name:16} {dialect.about.title}\n{'':16} {dialect.period * 1000:g} ms: {ids}")


def read_log(file: Path) -> Log:
    """Frames of a candump log or of a recording.  Raises GatewayError for a file that is neither."""
    text = _text(file)
    if text.lstrip().startswith("{"):
        return Log(frames=_recorded(file))
    log = Log()
    for number, line in enumerate(text.splitlines(), 1):
        if line := line.strip():
            try:
                frame = parse(line)
            except ValueError:
                log.torn.append((number, line))
            else:
                log.frames += [frame] if frame else []
    if log.torn and not log.frames:
        raise GatewayError(f"{file}: no candump log: line {log.torn[0][0]} is no frame: {log.torn[0][1][:60]!r}")
    return log


def parse(line: str) -> Frame | None:
    """The data frame of one line; None for an error frame.  Raises ValueError for a line that is no whole frame."""
    found = LOGGED.match(line) or PRINTED.match(line)
    if found is None:
        raise ValueError(line)
    data = bytes.fromhex(found["data"])
    if len(data) != int(found.groupdict().get("length") or len(data)) or len(data) > 8:
        raise ValueError(line)
    identifier = int(found["id"], 16)
    extended = len(found["id"]) == 8
    if extended and identifier & ERROR_FRAME:
        return None
    if identifier > (0x1FFFFFFF if extended else 0x7FF):
        raise ValueError(line)
    return Frame(identifier, data, extended)


def _recorded(file: Path) -> list[Frame]:
    """Frames of a recording in the vector format."""
    recording = _json(file)
    found = recording.get("frames") if isinstance(recording, dict) else None
    if not isinstance(found, list):
        raise GatewayError(f'{file}: a recording of CAN frames has "frames": [{{"id", "ext", "data"}}]')
    return [_recorded_frame(file, number, entry) for number, entry in enumerate(found, 1)]


def _recorded_frame(file: Path, number: int, entry: Any) -> Frame:
    try:
        identifier = entry["id"] if isinstance(entry["id"], int) else int(entry["id"], 16)
        frame = Frame(identifier, bytes.fromhex(entry["data"]), bool(entry.get("ext", False)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GatewayError(f'{file}: frame {number}: needs "id" and "data" in hex, and "ext" true or false') from None
    if len(frame.data) > 8 or not 0 <= frame.id <= 0x1FFFFFFF:
        raise GatewayError(f"{file}: frame {number}: at most 8 bytes and 29 bits of id")
    return frame


def _name_torn(log: Log, file: Path) -> None:
    say = partial(click.echo, err=True)
    for number, line in log.torn[:SHOWN_MOST]:
        say(f"{file}:{number}: no whole frame, skipped: {line[:60]!r}")
    if log.torn:
        say(f"{file}: {len(log.torn)} lines skipped, {len(log.frames)} frames read")


def _print(dialect: Dialect, log: Log, as_json: bool) -> None:
    values: Mapping[str, Value] = dialect.decode(log.frames)
    if as_json:
        click.echo(json.dumps({"values": values}, indent=1))
        return
    for key, value in values.items():
        click.echo(f"{key:28} {value} {dialect.unit(key)}".rstrip())


def _json(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except (ValueError, RecursionError) as problem:
        raise GatewayError(f"{file}: not JSON: {problem}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise GatewayError(f"{file}: {problem.strerror}") from None
