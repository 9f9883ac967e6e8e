"""What the documentation says is true: generated pages are up to date, examples are accepted."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from gateway.cli.main import COMMANDS
from gateway.config.load import parse
from gateway.control import SERVICE_DIRECTORY
from tests.cli.program import called

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(sys.executable).parent / "bms-gateway"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return called(*words, folder=ROOT)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/drivers.md", "drivers --markdown"),
        ("docs/inverters.md", "inverters --markdown"),
        ("docs/settings.md", "check --settings"),
        ("docs/values.md", "values --markdown"),
        ("docs/venus-dbus.md", "venus --markdown"),
        ("docs/modbus.md", "modbus --markdown"),
        ("docs/not-known.md", "can dialects --markdown"),
    ],
)
def test_generated_page_is_what_its_command_prints(page: str, words: str) -> None:
    same = run(*words.split()).stdout == (ROOT / page).read_text()
    assert same, f"{page} is stale: bms-gateway {words} > {page}"


def test_drivers_as_json() -> None:
    rows = {row["driver"]: row for row in json.loads(run("drivers", "--json").stdout)}
    assert list(rows) == registry.names()
    assert rows["jbd"]["features"]["Single cell details"] is True
    assert rows["pace"]["features"]["Get CCL/DCL from the BMS"] is False, "they are protection values"
    assert rows["daly"]["controls"] == ["charge", "discharge", "soc"], "no public source knows a balance command"
    assert rows["daly"]["features"]["Disable balancing via driver on BMS"] is False
    assert rows["jk_pb"]["daisy_chain"] is True
    assert "set soc" in rows["jbd"]["unseen"]


def test_inverters_as_json_and_in_words() -> None:
    brands = json.loads(run("inverters", "--json").stdout)
    assert brands["sma"]["cable"]["pins"]["4"] == "CAN_H"
    assert brands["solark"]["quirks"]["lower_slowly"] == {"step": 0.1, "every": 180.0}
    words = run("inverters").stdout
    assert all(f"{name}  {brand['title']}  ({brand['dialect']};" in words for name, brand in brands.items())
    assert "SoC at most 99 % until the battery is declared full" in words


def test_features_are_the_same_rows_in_the_page_and_in_json() -> None:
    page = run("drivers", "--markdown").stdout
    heads = re.findall(r"^\| driver \| (Voltage|Min/max cell voltages|Daisy chain|State of Health)(.*) \|$", page, re.M)
    shown = [name for first, rest in heads for name in f"{first}{rest}".split(" | ")]
    for row in json.loads(run("drivers", "--json").stdout):
        assert list(row["features"]) == shown
        words = {None: "file", True: "yes", False: "-"}
        assert [words[there] for there in row["features"].values()] == cells_of(row["driver"], page)


@pytest.mark.parametrize("name", ["dbc", "modbus_map"])
def test_what_the_users_own_file_says_is_shown_as_such(name: str) -> None:
    ((row,),) = ([row for row in json.loads(run("drivers", "--json").stdout) if row["driver"] == name],)
    assert row["features"]["Voltage"] is None and row["features"]["SOC reset via driver on BMS"] is False


def cells_of(driver: str, page: str) -> list[str]:
    """The yes, file and - of one driver, through all tables of the page."""
    lines = re.findall(rf"^\| `{driver}` \| ((?:yes|file|-)(?: \| (?:yes|file|-))*) \|$", page, re.M)
    return [cell for line in lines for cell in line.split(" | ")]


def test_readme_counts_the_drivers() -> None:
    there = f"{len(registry.names())} families of BMSs"
    assert there in (ROOT / "README.md").read_text(), f"README.md: say that there are {there}"


@pytest.mark.parametrize("page", ["README.md", "docs/limits.md", "docs/mqtt.md"])
def test_configurations_in_the_documentation_are_accepted(page: str) -> None:
    text = (ROOT / page).read_text()
    for example in re.findall(r"```yaml\n(.*?)```", text, re.S):
        if "batteries:" in example:
            parse(example, page)


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_repositorys_own_configuration_is_accepted() -> None:
    done = run("check", "gateway.yaml")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 200


def test_the_demo_ends_by_itself_and_both_outputs_carried_the_values() -> None:
    done = subprocess.run([PROGRAM, "demo", "--for", "6s"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 packs" in done.stdout
    assert re.search(r"CAN: SoC \d+", done.stdout)
    if shutil.which("dbus-daemon"):
        assert re.search(r"D-Bus: SoC \d+", done.stdout)
    assert "Traceback" not in done.stderr


def test_the_unit_runs_what_there_is_and_status_looks_where_it_puts_the_socket() -> None:
    unit = (ROOT / "packaging" / "bms-gateway.service").read_text()
    lines = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    program, *words = lines["ExecStart"].split()
    assert (program, words) == ("/opt/bms-gateway/current/bin/bms-gateway", ["run", "/etc/bms-gateway/gateway.yaml"])
    assert lines["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert Path("/run", lines["RuntimeDirectory"]) == SERVICE_DIRECTORY
    for place in (program.removesuffix("/current/bin/bms-gateway"), words[1]):
        assert place in (ROOT / "README.md").read_text()
