"""Which tests run which lines, and how long each takes: one run of the tests under coverage."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

ROOMS = ("tests/limits", "tests/gateway", "tests/can_bms", "tests/rs485_bms", "tests/store", "tests/config")
"""Tests that run in this process; those that start processes would hide what they run from coverage."""

QUICK = 1.0  # s
MOST_FAILED = 5
ENOUGH = 60.0  # s of tests, the quickest first, that a fault must be noticed by; who is slower finds it too late


@dataclass(frozen=True, slots=True)
class Covering:
    """What one run has shown."""

    by_line: Mapping[str, Mapping[int, tuple[str, ...]]]  # path -> line -> tests, the quickest first
    seconds: Mapping[str, float]

    def tests(self, path: str, line: int) -> tuple[str, ...]:
        """ENOUGH tests that run this line; for one that runs while its file is imported, those that are quick."""
        lines = self.by_line.get(path, {})
        return self._enough(lines.get(line) or (self.quick() if line in lines else ()))

    def _enough(self, tests: tuple[str, ...]) -> tuple[str, ...]:
        """The first of them, until they take long; one at least."""
        spent = accumulate(map(self.lasts, tests))
        return tuple(test for test, seconds in zip(tests, spent, strict=True) if test == tests[0] or seconds < ENOUGH)

    def lasts(self, test: str) -> float:
        """s that a test took, all its parameters together."""
        return self.seconds.get(_name(test), 0.0)

    def quick(self) -> tuple[str, ...]:
        """Every test that takes less than a second."""
        return tuple(_node(name) for name, seconds in self.seconds.items() if seconds < QUICK)


def measure(root: Path, sources: Iterable[str], scratch: Path, jobs: int = 1) -> Covering:
    """Run the tests of `root` once, so many rooms at a time; one that fails as it is cannot judge, and is left out.

    Raises RuntimeError when more fail than a busy machine explains.
    """
    rc, shown = scratch / "coveragerc", scratch / "coverage.json"
    rc.write_text(f"[run]\ninclude = {','.join(sources)}\n")
    with ThreadPoolExecutor(jobs) as pool:
        told = list(pool.map(lambda room: _run(root, room, rc, scratch / room.replace("/", "-")), ROOMS))
    cover = [sys.executable, "-m", "coverage"]
    subprocess.run([*cover, "combine", "-q", f"--data-file={scratch / 'all'}", *(data for data, _ in told)], cwd=root,
                   check=True)  # fmt: skip
    asked = ["json", f"--rcfile={rc}", f"--data-file={scratch / 'all'}", "--show-contexts", "-q", "-o", str(shown)]
    subprocess.run([*cover, *asked], cwd=root, check=True)
    failed = {name for _, report in told for name in _failed(report)}
    seconds = {name: s for _, report in told for name, s in _seconds(report).items() if name not in failed}
    if failed:
        print("these fail as they are, and are left out:", *sorted(failed), file=sys.stderr)
    if len(failed) > MOST_FAILED:
        raise RuntimeError(f"{len(failed)} tests fail as they are, expected none")
    files = json.loads(shown.read_text())["files"]
    return Covering({path: _by_line(found["contexts"], seconds) for path, found in files.items()}, seconds)


def _run(root: Path, room: str, rc: Path, name: Path) -> tuple[str, Path]:
    """One room's tests under coverage: its data, and the report on the tests.  Raises RuntimeError."""
    data, report = f"{name}.coverage", name.with_suffix(".xml")
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={rc}", f"--data-file={data}", "-m", "pytest", "-q"]
    done = subprocess.run(
        [*command, "-p", "mutation.contexts", f"--junitxml={report}", room], cwd=root, capture_output=True, text=True
    )
    if done.returncode > 1:  # 1 = some failed
        raise RuntimeError(f"the tests cannot be run:\n{done.stdout[-2000:]}")
    return data, report


def _seconds(report: Path) -> dict[str, float]:
    """Seconds of each test function, all its parameters together."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        name = (case.get("name") or "").partition("[")[0]
        seconds[f"{case.get('classname')}.{name}"] += float(case.get("time") or 0.0)
    return seconds


def _failed(report: Path) -> set[str]:
    """Test functions of which a case failed."""
    cases = ElementTree.parse(report).iter("testcase")
    wrong = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return {f"{case.get('classname')}.{(case.get('name') or '').partition('[')[0]}" for case in wrong}


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


def _name(node: str) -> str:
    """The opposite of `_node`."""
    return node.replace(".py::", ".").replace("/", ".")
