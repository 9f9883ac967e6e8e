"""A gateway whose Python calls are counted: `python -m bench.counted COUNTS.json WARM SECONDS gateway.yaml`.

Counts are exact where times are not: the same house makes the same calls on every machine.
"""

import json
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from gateway.running import run

FIRST = "Gateway.decide"  # with it a gateway runs, however long its start took


def count(counts: "Counter[CodeType]", frame: FrameType, event: str, _: Any) -> None:
    """The profiler's hook: one more call of a Python function."""
    if event == "call":
        counts[frame.f_code] += 1


def named(counts: "Counter[CodeType]", before: "Counter[CodeType]") -> dict[str, int]:
    """Calls since `before` by file, line and name, the most frequent first."""
    since = Counter({f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}": n - before[code]
                     for code, n in counts.items()})  # fmt: skip
    return {name: n for name, n in since.most_common() if n}


def observe(counts: "Counter[CodeType]", file: Path, warm: float, seconds: float) -> None:
    """Count between `warm` and `warm + seconds` after the first decision, and write what was seen."""
    pause = threading.Event()
    while not any(code.co_qualname == FIRST for code in list(counts)):
        pause.wait(0.2)
    pause.wait(warm)
    before = counts.copy()
    pause.wait(seconds)
    file.write_text(json.dumps(named(counts.copy(), before)))


if __name__ == "__main__":
    target, warm, seconds, config = sys.argv[1:]
    called: Counter[CodeType] = Counter()
    watch = threading.Thread(target=observe, args=(called, Path(target), float(warm), float(seconds)), daemon=True)
    watch.start()  # before the hook, so that it is not counted itself
    threading.setprofile(partial(count, called))
    sys.setprofile(partial(count, called))
    run(Path(config))
