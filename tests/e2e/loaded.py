"""A gateway that tells which modules it has loaded: `python -m tests.e2e.loaded MODULES.json gateway.yaml`.

They are written at SIGUSR2, of the very process that runs.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any


def tell(file: Path, *_: Any) -> None:
    """Write the names of all modules."""
    whole = file.with_suffix(".part")
    whole.write_text(json.dumps(sorted(sys.modules)))
    whole.rename(file)


if __name__ == "__main__":
    from functools import partial

    from gateway.running import run

    target, config = sys.argv[1:]
    signal.signal(signal.SIGUSR2, partial(tell, Path(target)))
    run(Path(config))
