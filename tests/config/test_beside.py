"""A relative path in gateway.yaml is taken from its folder, not from where the gateway was started."""

import re
from pathlib import Path

import pytest

from gateway.config.load import load, parse
from gateway.config.schema import Settings
from gateway.model import ConfigError

ROOT = Path(__file__).parents[2]
DIALECT = re.findall(r"```dbc\n(.*?)```", (ROOT / "docs" / "add-an-inverter.md").read_text(), re.S)[-1]
HOUSE = """\
batteries:
  - {name: a, driver: dbc, dbc: files/acme.dbc, port: can0}
  - {name: b, driver: modbus_map, map: ./files/acme.yaml, port: /dev/ttyUSB0}
outputs:
  can_bms:
    - {channel: can1, inverter: ./mine.yaml, dbc: files/own.dbc}
    - {channel: can2, inverter: deye}
state_dir: state
control_socket: run/socket
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    (folder / "files").mkdir(parents=True)
    for name in ("dbc/acme.dbc", "modbus_map/acme.yaml"):
        (folder / "files" / Path(name).name).write_text((ROOT / "tests" / "vectors" / name).read_text())
    (folder / "files" / "own.dbc").write_text(DIALECT)
    (folder / "mine.yaml").write_text("like: deye\n")
    (folder / "gateway.yaml").write_text(HOUSE)
    return folder


def paths(found: Settings) -> list[str]:
    first, second = found.outputs.values()
    return [
        *(str(battery.setup.get("dbc") or battery.setup["map"]) for battery in found.batteries),
        *(str(path) for path in (first.inverter, first.dbc, second.inverter, found.state_dir, found.control_socket)),  # type: ignore[attr-defined]
    ]  # fmt: skip


def test_files_of_drivers_and_outputs_are_beside_gateway_yaml(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [
        "files/acme.dbc", "files/acme.yaml", "mine.yaml", "files/own.dbc", "deye", "state", "run/socket",
    ]  # fmt: skip
    there = [path if path == "deye" else str(house / path) for path in expected]
    assert paths(load(house / "gateway.yaml")) == there
    monkeypatch.chdir(house / "files")
    assert paths(load(Path("..") / "gateway.yaml")) == [p if p == "deye" else f"../{p}" for p in expected]
    monkeypatch.chdir(house)
    assert paths(load("gateway.yaml")) == ["files/acme.dbc", "./files/acme.yaml", "./mine.yaml", *expected[3:]]
    assert paths(parse(HOUSE, "-")) == paths(load("gateway.yaml")), "from standard input: where one stands"


def test_an_absolute_path_is_what_it_is(house: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (
        HOUSE.replace("files/", f"{house}/files/").replace("./mine", f"{house}/mine").replace(f"./{house}", str(house))
    )
    (tmp_path / "gateway.yaml").write_text(text)
    monkeypatch.chdir("/")
    assert paths(load(tmp_path / "gateway.yaml"))[:4] == [
        f"{house}/files/acme.dbc", f"{house}/files/acme.yaml", f"{house}/mine.yaml", f"{house}/files/own.dbc"
    ]  # fmt: skip


def test_mistakes_in_the_files_of_an_output_have_their_own_places(house: Path) -> None:
    (house / "mine.yaml").write_text("dlc: 7\nlik: deye\n")
    (house / "files" / "acme.yaml").write_text("values:\n  voltag: {register: 1}\n")
    with pytest.raises(ConfigError) as refused:
        load(house / "gateway.yaml")
    said = [": ".join(problem.removeprefix(f"{house}/").split(": ")[:2]) for problem in refused.value.problems]
    assert said == ["files/acme.yaml:2: values.voltag", "mine.yaml:1: dlc", "mine.yaml:2: lik"]
    (house / "mine.yaml").write_text("like: deye\n")
    (house / "files" / "own.dbc").write_text(DIALECT.replace(" soc :", " sok :"))
    with pytest.raises(ConfigError) as refused:
        load(house / "gateway.yaml")
    assert "files/own.dbc:11: message State (0x101): signal sok" in str(refused.value)
