"""./dev bench: what the gateway costs and how quick it is, measured on real processes; prints a table.

Figures depend on the machine; ratios between lines of one run do not.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import (
    ageing,
    broker,
    bus,
    cost,
    decoding,
    encoding,
    evaluation,
    flood,
    gaps,
    latency,
    page,
    processes,
    rs485,
    weather,
)
from bench.table import Row, table

MEASURES: dict[str, Callable[[Path, float], Iterator[Row]]] = {
    "start": processes.start,
    "cpu": processes.cpu,
    "cost": cost.cost,
    "jitter": processes.jitter,
    "gaps": gaps.gaps,
    "rs485": rs485.rs485,
    "latency": latency.latency,
    "limits": evaluation.evaluation,
    "decode": decoding.decoding,
    "encode": encoding.encoding,
    "bus": bus.bus,
    "page": page.page,
    "flood": flood.flood,
    "mqtt": broker.mqtt,
    "weather": weather.weather,
    "ageing": ageing.ageing,
}
LONG = {"ageing", "cost", "weather", "gaps", "rs485"}  # take minutes; only when they are named


def main() -> None:
    """Run the measures named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument(
        "measures",
        nargs="*",
        metavar="MEASURE",
        help=f"of {', '.join(MEASURES)}; default all but {', '.join(sorted(LONG))}",
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement (default 20)")
    parser.add_argument("--minutes", type=float, help="the same in minutes, for gaps and rs485: 10, ageing: 24")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    chosen = parser.parse_args()
    unknown = set(chosen.measures) - set(MEASURES)
    if unknown:
        parser.error(f"no measure is called {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    rows: list[Row] = []
    for name in chosen.measures or [name for name in MEASURES if name not in LONG]:
        print(f"measuring {name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            rows.extend(MEASURES[name](Path(folder), 60 * chosen.minutes if chosen.minutes else chosen.seconds))
    print(json.dumps([dict(zip(("what", "figure", "budget"), row, strict=True)) for row in rows], indent=1)
          if chosen.json else "\n".join(table(rows)))  # fmt: skip


if __name__ == "__main__":
    main()
