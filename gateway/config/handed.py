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
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway import VERSION
from gateway.config.prepared import Prepared
from gateway.model import ConfigError, GatewayError

MISTAKES: Final = 3  # exit code
MARK: Final = b"bms-gateway"
PATIENCE: Final = 120.0  # s; a slow computer with a full card takes ten


async def handed(file: Path, patience: float = PATIENCE) -> Prepared:
    """What the configuration in `file` amounts to.  Raises ConfigError as `load`; GatewayError where nothing comes."""
    words = [sys.executable, "-P", "-m", __name__, str(file)]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}  # it finds what this one finds
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=PIPE, env={**os.environ, **paths})
    try:
        told, said = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError:
        late = f"not read within {patience:g} s"
        raise GatewayError(f"{file}: {late}; is the computer busy, or its disk gone?") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == MISTAKES:
        raise ConfigError(*json.loads(told))
    return _taken(file, told, f"exit code {process.returncode}{_last_line(said)}")


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
