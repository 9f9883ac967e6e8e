"""One file with everything that somebody who looks for a fault asks for, and nothing that is nobody's business.

Made by the command, not by the gateway: that only hands out what it keeps (`gateway.evidence`).
"""

import io
import json
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.secrets import masked
from bms_drivers.links.ring import CAN, exchanges, frames, records
from gateway.evidence import unpacked
from gateway.model import ConfigError
from gateway.redact import Redactor
from gateway.versions import versions

OWN: Final = (".dbc", ".yaml", ".yml")
FORM: Final = 1  # of a report
README: Final = """A report of bms-gateway, made {when} UTC.  It was sent nowhere; whoever has it, has it from you.

readme.txt      this page
about.json      form of the report, versions, clocks, batteries and their drivers
gateway.yaml    the configuration, with its comments
state.json      the whole state when the report was made, as `bms-gateway status --json`
events.json     what changed lately: health, alarms, limits that became 0
audit.json      orders and commands from outside, refused ones too
history.json    the curves of the last hour, where a page is configured: lowest, mean and highest of every 10 s
log.txt         the last lines of the log; the second column is the monotonic clock, in s, as in all the other files
frames/         what went over each port, in the format of recordings: `bms-gateway decode` reads each file; under "bad"
                what was said around the last 20 bad frames
error.txt       only there where no gateway answered: why, and then there is little else
files/          DBC files and register maps of your own that batteries name
aside/          the same around the last alarms and losses

`bms-gateway replay` plays all of it through the same code and shows the same readings and decisions.

Masked: {masked}.  In frames the bytes that the drivers name (passwords, serial numbers) are asterisks, with checksums
made anew.  Local network addresses stay.  Look through gateway.yaml yourself: a comment may tell more than a key does.
"""


def bundle(evidence: Mapping[str, Any], config: str) -> bytes:
    """The report as a zip file; `config` is the text of gateway.yaml, "" where it cannot be read."""
    redactor = Redactor()
    batteries = evidence.get("batteries", ())
    redactor.learn(config, [battery[key] for battery in batteries for key in ("name", "driver", "ring")])
    files: dict[str, str] = {
        "gateway.yaml": redactor.text(config),
        "about.json": _json(redactor.data(_about(evidence))),
        "state.json": _json(redactor.data(evidence.get("state", {}))),
        "events.json": _json(redactor.data(evidence.get("events", []))),
        "audit.json": _json(redactor.data(evidence.get("audit", []))),
        "log.txt": redactor.text("".join(map(_line, evidence.get("log", [])))),
    }
    files |= {f"files/{path.name}": redactor.text(text) for path, text in _own_files(batteries)}
    if evidence.get("history"):
        files["history.json"] = _json(redactor.data(evidence["history"]))
    if "error" in evidence:
        files["error.txt"] = redactor.text(f"{evidence['error']}\n")
    for ring in evidence.get("rings", ()):
        drivers = _drivers(evidence["batteries"], ring["name"])
        said = {part: _recording(ring["name"], drivers, unpacked(ring[part])) for part in ("first", "newest", "bad")}
        bad = list({one["at"]: one for one in _said(said["bad"])}.values())  # each once, where they were close together
        told = {**said["newest"], "port": redactor.text(ring["port"]), "counters": ring["counters"]}
        files[f"frames/{_file(ring['name'])}.json"] = _dense({**told, "first": _said(said["first"]), "bad": bad})
    for number, aside in enumerate(evidence.get("aside", ()), 1):
        for name, raw in aside["rings"].items():
            drivers = [] if name in aside.get("gone", ()) else _drivers(evidence["batteries"], name)
            recording = _recording(name, drivers, unpacked(raw))
            told = {**recording, "why": redactor.text(aside["why"]), "when": aside["when"]}
            files[f"aside/{number}-{_file(name)}.json"] = _dense(told)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(evidence.get("wall", time.time())))
    files["readme.txt"] = README.format(when=when, masked=", ".join(redactor.lines()) or "nothing")
    return _zipped(files)


def _about(evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "form": FORM, "versions": versions(), "monotonic": evidence.get("monotonic"), "wall": evidence.get("wall"),
        "batteries": evidence.get("batteries", []), "memories": evidence.get("memories", []),
        "files": {ring["name"]: f"frames/{_file(ring['name'])}.json" for ring in evidence.get("rings", ())},
    }  # fmt: skip


def _own_files(batteries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Path, str]]:
    """DBC files and register maps of the user's own, without which a replay cannot read the frames."""
    for battery in batteries:
        for value in battery["setup"].values():
            path = Path(value) if isinstance(value, str) else Path()
            if path.suffix in OWN and path.is_file():
                yield path, path.read_text(encoding="utf-8", errors="replace")


def _drivers(batteries: Iterable[Mapping[str, Any]], ring: str) -> list[Driver]:
    """Those of the batteries on one port; one that is not found out yet has none."""
    found = []
    for battery in batteries:
        if battery["ring"] == ring:
            try:
                found.append(registry.load(battery["driver"]))
            except ConfigError:
                continue
    return found


def _recording(name: str, drivers: Sequence[Driver], raw: bytes) -> dict[str, Any]:
    """The bytes of a ring as a recording in the vector format, without secrets.

    Where it is not known whose they are, without whatever is a secret with any driver.
    """
    masks = [mask for driver in drivers or map(registry.load, registry.names()) for mask in driver.secrets]
    driver = drivers[0].name if drivers else "unknown"
    on_can = any(record.way >= CAN for record in records(raw))
    transport = drivers[0].transports[0] if drivers else "can" if on_can else "serial"
    case: dict[str, Any] = {"driver": driver, "transport": transport, "kind": "captured", "origin": name}
    said: list[dict[str, Any]]
    if transport == "can":
        said = [_masked_frame(masks, frame) for frame in frames(records(raw))]
        return {**case, "frames": said, "expected": {}}
    said = [_masked_exchange(masks, one) for one in exchanges(records(raw))]
    return {**case, "exchanges": said, "expected": {}}


def _said(recording: Mapping[str, Any]) -> Any:
    return recording.get("frames", recording.get("exchanges", []))


def _masked_exchange(masks: Sequence[Any], one: dict[str, Any]) -> dict[str, Any]:
    answer = masked(masks, bytes.fromhex(one["tx"]), b"".join(map(bytes.fromhex, one["rx"])))
    return {**one, "rx": [answer.hex()] if answer else []}


def _masked_frame(masks: Sequence[Any], one: dict[str, Any]) -> dict[str, Any]:
    kind = int(one["id"], 0) | one["ext"] << 31
    return {**one, "data": masked(masks, kind.to_bytes(4, "big"), bytes.fromhex(one["data"])).hex()}


def _line(line: Sequence[Any]) -> str:
    created, monotonic, level, text = line
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created)) + f".{created % 1:.3f}"[2:]
    return f"{at}Z {monotonic:.3f} {level} {text}\n"


def _file(name: str) -> str:
    """As part of a path: what a battery may be called, so that no two are one."""
    return "".join(letter if letter.isalnum() or letter in "-_ .+#()" else "_" for letter in name)


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _dense(recording: Mapping[str, Any]) -> str:
    """A recording with a line for each exchange."""
    lists = {key: value for key, value in recording.items() if isinstance(value, list)}
    head = json.dumps({key: value for key, value in recording.items() if key not in lists})[:-1]
    body = [f'"{key}": [\n' + ",\n".join(map(json.dumps, value)) + "\n]" for key, value in lists.items()]
    return ",\n".join([head, *body]) + "}\n"


def _zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bag:
        for name in ("readme.txt", *(name for name in files if name != "readme.txt")):
            bag.writestr(name, files[name].encode(errors="replace"))  # a BMS may have said half a character
    return buffer.getvalue()
