"""Which tests run which lines, and how long each takes: one run of the tests under coverage."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("tests/limits", "tests/gateway", "tests/can_bms", "tests/rs485_bms", "tests/store", "tests/config")
"""Tests that run in this process; those that start processes would hide what they run from coverage."""

QUICK = 1.0  # s


@dataclass(frozen=True, slots=True)
class Covering:
    """What one run has shown."""

    by_line: Mapping[str, Mapping[int, tuple[str, ...]]]  # path -> line -> tests, the quickest first
    seconds: Mapping[str, float]

    def tests(self, path: str, line: int) -> tuple[str, ...]:
        """The tests that run this line; for one that runs while its file is imported, all that are quick."""
        lines = self.by_line.get(path, {})
        return lines.get(line) or (self.quick() if line in lines else ())

    def quick(self) -> tuple[str, ...]:
        """Every test that takes less than a second."""
        return tuple(_node(name) for name, seconds in self.seconds.items() if seconds < QUICK)


def measure(root: Path, sources: Iterable[str], scratch: Path) -> Covering:
    """Run the tests of `root` once.  Raises RuntimeError when they fail without any fault put in."""
    data, report, rc = scratch / "coverage", scratch / "tests.xml", scratch / "coveragerc"
    rc.write_text(f"[run]\ndynamic_context = test_function\ndata_file = {data}\ninclude = {','.join(sources)}\n")
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={rc}", "-m", "pytest", "-q", "-x"]
    done = subprocess.run([*command, f"--junitxml={report}", *ROOMS], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the tests fail as they are:\n{done.stdout[-2000:]}")
    shown = scratch / "coverage.json"
    asked = [sys.executable, "-m", "coverage", "json", f"--rcfile={rc}", "--show-contexts", "-q", "-o", str(shown)]
    subprocess.run(asked, cwd=root, check=True)
    seconds = _seconds(report)
    files = json.loads(shown.read_text())["files"]
    return Covering({path: _by_line(found["contexts"], seconds) for path, found in files.items()}, seconds)


def _seconds(report: Path) -> dict[str, float]:
    """Seconds of each test function, all its parameters together."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        name = (case.get("name") or "").partition("[")[0]
        seconds[f"{case.get('classname')}.{name}"] += float(case.get("time") or 0.0)
    return seconds


def _by_line(contexts: Mapping[str, list[str]], seconds: Mapping[str, float]) -> dict[int, tuple[str, ...]]:
    """Node ids of the tests of each line; what ran while modules were imported belongs to none."""
    found = {}
    for line, names in contexts.items():
        tests = sorted((name for name in names if name in seconds), key=lambda name: seconds[name])
        found[int(line)] = tuple(_node(name) for name in tests)
    return found


def _node(name: str) -> str:
    module, _, function = name.rpartition(".")
    return f"{module.replace('.', '/')}.py::{function}"
