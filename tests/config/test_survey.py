"""What `check` accepts can be built, and what cannot be built is refused by `check` with its line."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.config import doubts as config_doubts
from gateway.config.doubts import absent, doubts
from gateway.config.load import examine, load, parse
from gateway.config.schema import AUTO, Settings, battery_class, gathered, installed
from gateway.config.survey import survey
from gateway.model import ConfigError
from gateway.model.validation import validated
from gateway.store import Store
from gateway.wiring import build
from outputs.registry import settings_class
from tests.config.bench import CATALOGUE, mistakes

CASES = Path(__file__).parent / "cases"


def wrong(*batteries: str, outputs: str = "{venus_dbus: {}}") -> list[str]:
    """What is wrong with these batteries, whose lines begin with 2; the outputs' line is the last."""
    lines = [f"  - {{name: {chr(97 + n)}, {battery}}}" for n, battery in enumerate(batteries)]
    return mistakes("\n".join(["batteries:", *lines, f"outputs: {outputs}", ""]))


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        (
            "driver: chain, port: 'ble:C8:47:8C:00:11:22'",
            "2: batteries[0].port: ble:C8:47:8C:00:11:22: a chain cannot be reached over Bluetooth, expected one for",
        ),
        ("driver: modbus, port: simulated", "modbus has no simulator, there is one of canbms, chain, fast, plain"),
        ("driver: auto, port: simulated", "a simulated battery needs a driver, expected its name in place of auto"),
    ],
)
def test_battery_that_cannot_be_read_is_named_with_its_line(battery: str, expected: str) -> None:
    (found,) = wrong(battery)
    assert expected in found


@pytest.mark.parametrize(
    ("web", "modbus", "good"),
    [
        ("port: 1502", "{}", False),
        ("port: 1502", "listen: 0.0.0.0", False),
        ("listen: '::', port: 1502", "{}", False),
        ("port: 1502", "listen: 127.0.0.2", True),
        ("port: 0", "{}", True),
        ("", "{}", True),
    ],
)
def test_two_outputs_cannot_listen_at_one_door(web: str, modbus: str, good: bool) -> None:
    found = wrong("driver: fast, port: simulated", outputs=f"{{web: {{{web}}}, modbus_tcp: {{{modbus.strip('{}')}}}}}")
    said = "outputs.modbus_tcp.port: 1502 is the TCP port of outputs.web, too; expected a port of its own"
    assert [said in one for one in found] == ([] if good else [True])


def test_auto_needs_a_driver_that_reads_such_a_port(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"batteries\[0\]\.port: can0: no driver of this version reads such a port"):
        parse("batteries: [{name: a, driver: auto, port: can0}]\n", catalogue=_without("can"))


def test_auto_is_refused_where_nothing_can_be_found_out_by_asking() -> None:
    with pytest.raises(ConfigError, match=r"spi:0\.0: nothing there can be found out by asking, expected one of mnb"):
        parse("batteries: [{name: a, driver: auto, port: 'spi:0.0'}]\n")


def test_a_chip_is_nobody_elses() -> None:
    with pytest.raises(ConfigError, match=r"a and b are both on spi:0\.0"):
        parse("batteries: [{name: a, driver: mnb, port: 'spi:0.0'}, {name: b, driver: mnb, port: 'spi:0.0'}]\n")
    with pytest.raises(ConfigError, match=r"a mnb cannot be reached over a serial port, expected one for spi \("):
        parse("batteries: [{name: a, driver: mnb, port: /dev/ttyUSB0}]\n")


def _without(transport: str) -> Any:
    from dataclasses import replace

    kept = [name for name in CATALOGUE.names() if transport not in CATALOGUE.load(name).transports]
    return replace(CATALOGUE, names=lambda: kept)


def test_two_baud_rates_on_one_port() -> None:
    assert wrong("driver: plain, port: /dev/ttyUSB0", "driver: fast, port: /dev/ttyUSB0") == [
        "g.yaml:3: batteries[1].port: /dev/ttyUSB0: drivers on one port must use one baud rate and parity,"
        " these do not: plain 9600, fast 115200"
    ]


def test_auto_may_share_a_port_and_finds_what_is_nobody_elses() -> None:
    assert not wrong("driver: chain, port: /dev/ttyUSB0", "driver: auto, port: /dev/ttyUSB0")


def installed_wrong(*batteries: str) -> list[str]:
    """What is wrong with batteries of real drivers on one port."""
    lines = [f"  - {{name: {chr(97 + n)}, {battery}}}" for n, battery in enumerate(batteries)]
    try:
        parse("\n".join(["batteries:", *lines, "outputs: {venus_dbus: {}}", ""]))
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    "other", ["driver: seplos, port: /dev/x, address: 2", "driver: auto, port: /dev/x", "driver: pace, port: /dev/x"]
)
def test_nobody_is_asked_where_another_listens_to_a_master(other: str) -> None:
    listener = "driver: seplos, port: /dev/x, address: 1, listen: true"
    asked = installed_wrong(listener, other) + installed_wrong(listener, other.replace("pace", "daren_485"))
    assert any("b would be asked on /dev/x, where a is only" in text or "baud rate" in text for text in asked)
    assert installed_wrong(listener, "driver: seplos, port: /dev/x, address: 2, listen: true") == []
    assert installed_wrong("driver: jk_pb, port: /dev/x, address: 0", "driver: jk_pb, port: /dev/x, address: 1")


def test_nobody_is_overheard_over_tcp() -> None:
    assert "nobody can be overheard" in installed_wrong("driver: seplos_v3, port: 'tcp:host', listen: true")[0]


def test_one_device_under_two_names_is_one_port(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    (found,) = wrong(f"driver: chain, port: {tmp_path}/ttyUSB0", f"driver: chain, port: {tmp_path}/by-id")
    assert f"a and b are both on {tmp_path}/by-id, which is the same device as {tmp_path}/ttyUSB0, with" in found
    assert wrong(f"driver: chain, port: {tmp_path}/a", f"driver: chain, port: {tmp_path}/by-id, address: 2") == []
    rates = wrong(f"driver: plain, port: {tmp_path}/ttyUSB0", f"driver: fast, port: {tmp_path}/by-id")
    assert "one baud rate" in rates[0]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("{can_bms: {dialect: pylontek}}", "can_bms.dialect: dialect pylontek: there is none of that name; did you"),
        ("{can_bms: {dbc: /nowhere/my.dbc}}", "can_bms.dbc: /nowhere/my.dbc: No such file or directory"),
        ("{can_bms: {interface: sockcan}}", "interface: python-can knows no 'sockcan'; did you mean socketcan?"),
        ("{can_bms: {interface: zzz}}", "interface: python-can knows no 'zzz'; known are: "),
        ("{can_bms: {interface: socketcand}}", "interface: socketcand also needs host and port, which can.conf does"),
        ("{can_bms: {channel: ''}}", "can_bms.channel: is empty, expected the name of the bus, as can0"),
        ("{can_bms: {interface: socketcan, channel: /dev/ttyACM0}}", "'/dev/ttyACM0' is no network interface"),
    ],
)
def test_output_that_cannot_work_is_named_with_its_line(output: str, expected: str) -> None:
    (found,) = wrong("driver: plain, port: simulated", outputs=output)
    assert found.startswith("g.yaml:3: outputs.can_bms.") and expected in found


def test_a_dbc_that_is_no_inverter_dialect_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "my.dbc").write_text('VERSION ""\n')
    (found,) = wrong("driver: plain, port: simulated", outputs=f"{{can_bms: {{dbc: {tmp_path}/my.dbc}}}}")
    assert found.startswith(f"{tmp_path}/my.dbc: lacks charge_voltage_limit")


def test_what_is_wrong_with_ports_is_said_beside_all_other_mistakes() -> None:
    found = wrong(
        "driver: plain, port: can0", "driver: nonsense, port: /dev/ttyUSB0", "driver: fast, port: 'tcp:gw'",
        outputs="{can_bms: {dialect: no}}",
    )  # fmt: skip
    assert [line.split(": ")[1] for line in found] == [
        "batteries[0].port", "batteries[1].driver", "batteries[2].port", "outputs.can_bms.dialect",
    ]  # fmt: skip


def test_recorded_configurations_are_refused_by_their_lines() -> None:
    for name, expected in (
        (
            "ble_port",
            [":2: batteries[0].port: ble:C8:47:8C:00:00:01: a jbd cannot be reached over Bluetooth, expected"],
        ),
        (
            "rebulk_below_absorption",
            [
                ":5: limits.rebulk.cell_difference: 10 mV between cells ends float, and absorption goes on up to 285 ",
                ":5: limits.rebulk.cell_voltage: 3.4 V ends float, and float holds the cells at 3.375 V",
            ],
        ),
    ):
        file = CASES / f"{name}.yaml"
        with pytest.raises(ConfigError) as refused:
            load(file)
        assert len(refused.value.problems) == len(expected)
        assert all(
            line.startswith(f"{file}{start}") for line, start in zip(refused.value.problems, expected, strict=True)
        )


# ---- doubts


def test_a_port_that_is_not_there_is_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "tty").touch()
    found = parse(
        f"batteries: [{{name: a, driver: jbd, port: {tmp_path}/tty}}, {{name: b, driver: jbd, port: {tmp_path}/gone}},"
        " {name: c, driver: jbd, port: 'socket://gw:1'}]\n"
        "outputs: {can_bms: {interface: socketcan, channel: can77}}\n"
    )
    said = list(absent(found))
    assert len(said) == 2
    assert said[0].startswith(f"b: port {tmp_path}/gone is not there now")
    assert said[1].startswith("outputs.can_bms.channel: can77 is not there now")


@pytest.mark.parametrize(("where", "doubted"), [("", False), ("new/deeper", False), ("file", True), ("file/new", True)])
def test_a_state_dir_that_cannot_be_one_is_a_doubt(where: str, doubted: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    battery = "batteries: [{name: a, driver: jbd, port: simulated}]"
    found = parse(f"{battery}\nstate_dir: {tmp_path / where}\noutputs: {{venus_dbus: {{}}}}\n")
    said = f"state_dir: {tmp_path}/file is no directory, so nothing would survive a restart"
    assert [line for line in absent(found) if line.startswith("state_dir")] == ([said] if doubted else [])


@pytest.mark.parametrize(
    ("port", "radios", "expected"),
    [
        ("ble:C8:47:8C:00:00:01", [], "is not there now; there is no Bluetooth adapter"),
        ("ble:C8:47:8C:00:00:01@hci1", ["hci0"], "is not there now; there is adapter hci0"),
        ("ble:C8:47:8C:00:00:01@hci1", ["hci0", "hci1"], ""),
        ("ble:C8:47:8C:00:00:01", ["hci3"], ""),
    ],
)
def test_a_bluetooth_adapter_that_is_not_there_is_a_doubt(
    port: str, radios: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_doubts, "RADIOS", tmp_path)
    for radio in radios:
        (tmp_path / radio).mkdir()
    found = parse(f"batteries: [{{name: a, driver: jk_ble, port: '{port}'}}]\noutputs: {{venus_dbus: {{}}}}\n")
    assert list(absent(found)) == ([f"a: port {port} {expected}"] if expected else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("driver: auto, port: /dev/ttyUSB0, address: 3", "a: address 3 is not used, auto takes the first BMS"),
        ("driver: canbms, port: can0", "outputs.can_bms.channel: can0 is also the port of a: each hears the other"),
    ],
)
def test_what_looks_unintended_is_doubted(text: str, expected: str) -> None:
    file = f"batteries: [{{name: a, {text}}}]\noutputs: {{can_bms: {{silence_after: 0}}}}\n"
    found = doubts(parse(file, catalogue=CATALOGUE), CATALOGUE)
    assert any(expected in doubt for doubt in found)
    assert any("silence_after: 0 s" in doubt for doubt in found)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("{}", ["a: a mnb tells no SoC; expected limits.soc.source: counter", "a: a mnb tells no capacity; expected"]),
        ("{soc: {source: counter}}", ["a: a mnb tells no capacity; expected limits.soc.capacity, in Ah"]),
        ("{soc: {source: counter, capacity: 130}}", []),
    ],
)
def test_a_bms_without_a_soc_needs_the_counter(limits: str, expected: list[str]) -> None:
    said = doubts(parse(f"batteries: [{{name: a, driver: mnb, port: simulated}}]\nlimits: {limits}\n"))
    found = [doubt for doubt in said if " tells no " in doubt]
    assert len(found) == len(expected)
    assert all(doubt.startswith(beginning) for doubt, beginning in zip(found, expected, strict=True))


def test_a_sensor_outside_may_tell_the_soc_that_a_bms_does_not() -> None:
    sensor = "bank: {external_sensor: {service: com.victronenergy.battery.x, soc: /Soc}}"
    said = doubts(parse(f"batteries: [{{name: a, driver: mnb, port: simulated}}]\n{sensor}\n"))
    assert not [doubt for doubt in said if " tells no " in doubt]


def test_a_bms_that_tells_its_soc_needs_no_counter() -> None:
    told = [name for name in installed().simulated() if {"soc", "current"} <= installed().gives(name)]
    assert told
    for name in told:
        said = doubts(parse(f"batteries: [{{name: a, driver: {name}, port: simulated}}]\n"))
        assert not [doubt for doubt in said if " tells no " in doubt]


# ---- the law

PORTS = [
    *("simulated", "simulated", "/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2", "{folder}/one", "{folder}/other"),
    *("socket://gw:8899", "tcp:gw", "tcp://GW:502", "can0", "spi:0.0", "spi:0.1", "ble:C8:47:8C:00:00:01"),
]  # fmt: skip
BATTERY = st.fixed_dictionaries(
    {"driver": st.sampled_from([*installed().names(), "jdb"]), "port": st.sampled_from(PORTS)},
    optional={
        "address": st.integers(1, 15) | st.sampled_from([-1, 0, 64]),
        "poll_interval": st.sampled_from([0.1, 1, 20]),
    },
)
CAN = st.fixed_dictionaries(
    {},
    optional={
        "interface": st.sampled_from(["virtual", "socketcan", "slcan", "udp_multicast", "nosuch"]),
        "channel": st.sampled_from(["can0", "can1", "vcan0", "", "a/b"]),
        "dialect": st.sampled_from(["pylontech", "pylontech_v13", "pylon"]),
        "dbc": st.sampled_from([None, None, None, "{folder}/one", "/nowhere.dbc"]),
    },
)
OUTPUTS = st.fixed_dictionaries({}, optional={"can_bms": CAN, "venus_dbus": st.just({})})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds one device under two names."""
    place = tmp_path_factory.mktemp("dev")
    (place / "one").touch()
    (place / "other").symlink_to(place / "one")
    return place


async def built(settings: Settings, state: Path) -> int:
    """How many batteries came out; everything is closed again."""
    gateway = await build(settings, store=Store(state))
    for close in gateway.plan.closing:
        await close()
    return len(gateway.plan.batteries)


def unchecked(tree: dict[str, Any]) -> Settings | None:
    """The same configuration without asking `check`; None when it is not even well-formed."""
    catalogue = installed()
    try:
        batteries = []
        for one in tree["batteries"]:
            options = catalogue.options(one["driver"]) if one["driver"] != "jdb" else ()
            batteries.append(gathered(validated(battery_class(one["driver"], options), one), options))
        outputs = {name: validated(settings_class(name), given) for name, given in tree["outputs"].items()}
        return Settings(batteries=tuple(batteries), outputs=outputs)
    except ValueError:
        return None


@given(batteries=st.lists(BATTERY, min_size=1, max_size=3), outputs=OUTPUTS)
@examples(max_examples=150, deadline=None)
def test_check_accepts_exactly_what_can_be_built(
    folder: Path, batteries: list[dict[str, Any]], outputs: dict[str, Any]
) -> None:
    named = [{"name": f"b{n}", **battery} for n, battery in enumerate(batteries)]
    text = json.dumps({"batteries": named, "outputs": outputs}).replace("{folder}", str(folder))
    found, problems = examine(text)
    event("accepted" if found else "refused")
    if found is not None:
        assert asyncio.run(built(found, folder / "state")) == len(batteries)
    else:
        assert problems and all(problem.line > 0 and problem.path for problem in problems)
        bypassed = unchecked(json.loads(text))
        if bypassed is not None:
            with pytest.raises(ConfigError):
                asyncio.run(built(bypassed, folder / "state"))


def test_what_a_survey_says_of_a_good_configuration() -> None:
    found = survey(
        parse(
            "batteries: [{name: a, driver: jbd, port: simulated}, {name: b, driver: jk_pb, port: /dev/x, address: 2},"
            " {name: c, driver: jk_pb, port: /dev/x, address: 3}, {name: d, driver: auto, port: /dev/y}]"
        )
    )
    assert found.mistakes == ()
    assert [(berth.where, [b.name for b in berth.batteries.values()]) for berth in found.berths] == [
        ("simulated", ["a"]), ("/dev/x", ["b", "c"]), ("/dev/y", ["d"]),
    ]  # fmt: skip
    assert set(found.drivers) == {"a", "b", "c"} and AUTO not in found.drivers


def test_an_output_whose_library_is_missing_is_a_doubt_and_no_traceback() -> None:
    """In a process of its own, as a library that was imported once is there for good."""
    program = (
        "import sys; sys.modules['cantools'] = None\n"
        "from gateway.config.load import parse; from gateway.config.doubts import doubts\n"
        "print(doubts(parse('batteries: [{name: a, driver: jbd, port: simulated}]\\noutputs: {can_bms: {}}')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "outputs.can_bms needs cantools, which is not installed; install it with: " in done.stdout
