"""The picture of a day in docs/limits.md:  python -m bench.day docs/limits-day.svg

A mixed day with one weak cell, in a closed loop: what the battery does follows from the limits.
"""

import sys
from pathlib import Path
from typing import Final

from gateway.cli.limits import draw
from gateway.limits.scenario import Moment
from tests.limits.weather import Day, House

DAY: Final = Day("a day with clouds and one weak cell, 16 x 280 Ah", "mixed", weak=0.02, start=0.72, seed=3)
EVERY: Final = 60.0  # s between points of the picture; a change of state is one, too


def main(target: Path) -> None:
    """Live the day and draw it."""
    house, moments, mode = House(DAY), list[Moment](), ""
    for decision in house.run():
        if not moments or decision.charge_mode != mode or house.now - moments[-1].t >= EVERY:
            mode = decision.charge_mode
            moments.append(Moment(house.now, house.play.batteries["a"], decision, house.play.memory.full_events))
    draw(DAY.name, moments, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
