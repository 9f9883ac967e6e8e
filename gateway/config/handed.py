"""A configuration read by a short-lived process, which hands over what came of it.

Validating takes pydantic, ruamel.yaml, cantools and a schema of every setting: more memory than what runs afterwards,
and a process gives none of it back.  So the one that stays asks another to read:

    python -m gateway.config.handed FILE    stdout: a line, a pickled Prepared; or mistakes as JSON

What is pickled comes from our own program, run by ourselves: nobody else's bytes are ever unpickled.
"""

import asyncio
import hashlib
import json
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway import VERSION
from gateway.config.prepared import Prepared
from gateway.model import ConfigError, GatewayError

MISTAKES: Final = 3  # exit code
MARK: Final = b"bms-gateway"
PATIENCE: Final = 60.0  # s; a slow computer with a full card takes ten, and systemd waits for 90 (TimeoutStartSec)
ENDING: Final = 1.0  # s that a process which was killed may take; one that waits for a disk that is gone never ends


class _Ear(asyncio.SubprocessProtocol):
    """Keeps what a process says on each of its two ways out."""

    def __init__(self) -> None:
        self.heard = {1: bytearray(), 2: bytearray()}
        self.ended = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.heard[fd] += data

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and nobody holds its ways out open."""
        self.ended.set_result(None)


async def handed(file: Path, patience: float = PATIENCE) -> Prepared:
    """What the configuration in `file` amounts to.  Raises ConfigError as `load`; GatewayError where nothing comes."""
    words = [sys.executable, "-P", "-m", __name__, str(file)]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}  # it finds what this one finds
    code, told, said = await _heard(file, words, {**os.environ, **paths}, patience)
    if code == MISTAKES:
        raise ConfigError(*json.loads(told))
    return _taken(file, told, f"exit code {code}{_last_line(said)}")


async def _heard(
    file: Path, words: Sequence[str], environment: Mapping[str, str], patience: float
) -> tuple[int | None, bytes, bytes]:
    """Exit code, stdout and stderr of the process that reads `file`.  Raises GatewayError."""
    running = asyncio.get_running_loop().subprocess_exec(_Ear, *words, stdin=DEVNULL, env=environment)
    try:
        process, ear = await running
    except OSError as problem:
        why = f"{words[0] or 'Python'} cannot be started ({problem.strerror or problem})"
        raise GatewayError(f"{file}: not read, {why}; was the installation replaced? Restart the gateway") from None
    try:
        if not (await asyncio.wait([ear.ended], timeout=patience))[0]:
            late = f"not read within {patience:g} s"
            raise GatewayError(f"{file}: {late}; is the computer busy, or its disk gone?")
    finally:
        process.close()
        await asyncio.wait([ear.ended], timeout=ENDING)
    return process.get_returncode(), bytes(ear.heard[1]), bytes(ear.heard[2])


def _taken(file: Path, told: bytes, how: str) -> Prepared:
    """What was handed over.  Raises GatewayError for anything else; `how` says how the process ended."""
    head, _, body = told.partition(b"\n")
    if head == _head(body):
        prepared: Prepared = pickle.loads(body)
        return prepared
    if head.startswith(MARK):
        raise GatewayError(f"{file}: read by another version than the one that runs; restart the gateway")
    raise GatewayError(f"{file}: the process that reads it handed over nothing ({how}); is the installation whole?")


def _head(body: bytes) -> bytes:
    """The line before what is handed over: only what is whole, and from this very version, is taken."""
    return b"%s %s %s" % (MARK, VERSION.encode(), hashlib.sha256(body).hexdigest().encode())


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").split("\n")
    return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")


def main(file: str) -> int:
    """Read `file` and hand it over; returns the exit code."""
    from gateway.config.load import load
    from gateway.config.prepare import prepare

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no part of it
    try:
        body, code = pickle.dumps(prepare(load(file)), pickle.HIGHEST_PROTOCOL), 0
        told = _head(body) + b"\n" + body
    except GatewayError as error:
        told, code = json.dumps(getattr(error, "problems", [str(error)])).encode(), MISTAKES
    with out:
        out.write(told)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
