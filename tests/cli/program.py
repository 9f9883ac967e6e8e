"""`bms-gateway` as a user calls it, in a process of its own; Python and the libraries are loaded once for many calls.

A small process that has loaded what most commands need forks for each call.  What it forks has an input, output and
error of its own, its folder, its environment and its exit code, and ends as any program ends.  It has no threads, so
that a fork tears nothing.

    python -m tests.cli.program     reads calls, one a line; answers each with its exit code
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
HIDING: Final = Path(__file__).parent / "hiding"
COMMON: Final = (
    "gateway.cli.main",
    "gateway.config.first",
    "gateway.control",
    "bms_drivers.kit.registry",
    "outputs.values",
)
STREAMS: Final = (("given", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT))


def called(
    *words: object, given: str = "", folder: Path | None = None, hidden: tuple[str, ...] = (), seconds: int = 60
) -> "subprocess.CompletedProcess[str]":
    """What a call with these words says, where the libraries `hidden` are not installed.

    Raises subprocess.TimeoutExpired after `seconds`.
    """
    spoken = [str(word) for word in words]
    with TemporaryDirectory() as streams:
        (Path(streams) / "given").write_text(given)
        call = {
            "words": spoken, "folder": str(folder or Path.cwd()), "environment": environment(*hidden),
            "streams": streams, "seconds": seconds,
        }  # fmt: skip
        code = _answered(_loaded(hidden), call)
        if code == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(spoken, seconds)
        said = [(Path(streams) / name).read_text() for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(spoken, code, *said)


def environment(*hidden: str) -> Mapping[str, str]:
    """That of a process in which `hidden` are not installed."""
    if not hidden:
        return {**os.environ}
    return {**os.environ, "HIDDEN": ",".join(hidden), "PYTHONPATH": os.pathsep.join(map(str, (HIDING, ROOT)))}


@cache
def _loaded(hidden: tuple[str, ...]) -> "subprocess.Popen[str]":
    """The process that waits for calls; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.program"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(*hidden),
    )  # fmt: skip


def _answered(server: "subprocess.Popen[str]", call: Mapping[str, Any]) -> int:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(call) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


# ---- in that process


def next_call() -> dict[str, Any] | None:
    """Forks for every call: the call in a new process, None in the old one when there are no more."""
    while line := sys.stdin.readline():
        if not (child := os.fork()):
            found: dict[str, Any] = json.loads(line)
            return found
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def become(call: Mapping[str, Any]) -> None:
    """Be the program that was called."""
    for number, (name, how) in enumerate(STREAMS):
        os.dup2(os.open(Path(call["streams"]) / name, how, 0o600), number)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["bms-gateway", *call["words"]]
    signal.alarm(call["seconds"])
    import_module("gateway.cli.main").main()


if __name__ == "__main__":
    for module in COMMON:
        import_module(module)
    if (call := next_call()) is not None:
        become(call)
