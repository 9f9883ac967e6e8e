"""./dev mutate: faults by chance in the safety rooms, each run against the tests that reach its line; prints survivors.

The same --seed means the same faults as long as the sources are the same.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mutation.covering import Covering, measure
from mutation.mutants import Mutant, mutants

SOURCES = (
    "gateway/bank.py", "gateway/battery.py", "gateway/guard.py", "gateway/plausible.py", "gateway/limits/*.py",
    "outputs/inverter/values.py", "outputs/inverter/teller.py", "outputs/rs485_bms/sayings.py",
    "outputs/rs485_bms/values.py",
)  # fmt: skip
PATIENCE = 240.0  # s beyond three times what the tests of one fault took; a fault that hangs them was noticed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one fault."""

    mutant: Mutant
    killed: bool
    tests: int  # how many functions reach its line

    def __str__(self) -> str:
        fate = "killed" if self.killed else "SURVIVED" if self.tests else "SURVIVED, no test reaches it"
        return f"{self.mutant.path}:{self.mutant.line}: {self.mutant.what}: {fate}"


def main() -> int:
    """Run; 0 when at least --least of the faults were noticed."""
    chosen = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(chosen.jobs):
            trees.put(_copied(scratch / f"tree{number}"))
        root = trees.get()
        print("running the tests once, as they are ...", file=sys.stderr)
        covering = measure(root, SOURCES, scratch, chosen.jobs)
        trees.put(root)
        faults = _sample(root, chosen.count, chosen.seed, chosen.only)
        with ThreadPoolExecutor(chosen.jobs) as pool:
            verdicts = list(pool.map(lambda mutant: _told(_tried(mutant, covering, trees)), faults))
    return _summary(verdicts, chosen.least, chosen.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many faults (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files whose path holds TEXT")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: one a core)")
    parser.add_argument("--least", type=float, default=0.9, help="share that must be noticed (default 0.9)")
    parser.add_argument("--json", action="store_true", help="the survivors as one JSON list on stdout")
    return parser.parse_args()


def _copied(to: Path) -> Path:
    """The files under version control, as they are now, in a folder of their own."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, to / name)
    return to


def _sample(root: Path, count: int, seed: int, only: str) -> list[Mutant]:
    """`count` faults by chance, from all files alike by their size."""
    paths = sorted(path for pattern in SOURCES for path in root.glob(pattern) if path.name != "__init__.py")
    names = [str(path.relative_to(root)) for path in paths]
    every = [mutant for name in names if only in name for mutant in mutants(name, (root / name).read_text())]
    return random.Random(seed).sample(every, min(count, len(every)))


def _tried(mutant: Mutant, covering: Covering, trees: "SimpleQueue[Path]") -> Verdict:
    tests = covering.tests(mutant.path, mutant.line)
    if not tests:
        return Verdict(mutant, False, 0)
    tree = trees.get()
    file = tree / mutant.path
    source = file.read_text()
    try:
        file.write_text(mutant.applied(source))
        patience = PATIENCE + 3 * sum(map(covering.lasts, tests))
        return Verdict(mutant, _noticed(tree, tests, patience), len(tests))
    finally:
        file.write_text(source)
        trees.put(tree)


def _noticed(tree: Path, tests: Sequence[str], patience: float) -> bool:
    """Does any of the tests fail, or do they hang for `patience` s?"""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def _told(verdict: Verdict) -> Verdict:
    print(verdict, file=sys.stderr, flush=True)
    return verdict


def _summary(verdicts: Sequence[Verdict], least: float, as_json: bool) -> int:
    survivors = [verdict for verdict in verdicts if not verdict.killed]
    killed = len(verdicts) - len(survivors)
    if as_json:
        print(json.dumps([str(verdict) for verdict in survivors], indent=1))
    else:
        print(*survivors, f"{killed} of {len(verdicts)} faults were noticed", sep="\n")
    return 0 if verdicts and killed >= least * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
