"""What may be answered, and until when: made ahead of every question, so that none waits for the event loop."""

import math
from dataclasses import dataclass
from typing import Final

from outputs.rs485_bms.heard import Image

HANGS_MOST: Final = 60.0  # s that a gateway which hangs goes on saying stop, whatever `silence_after` says


@dataclass(frozen=True, slots=True)
class Sayings:
    """The newest state as answers.

    `live` stands until `until`, then `hung` (0 A both ways, and the alarm) until `silent_from`, then there is nothing.
    All times in s, monotonic.
    """

    live: Image | None = None
    until: float = -math.inf
    hung: Image | None = None
    silent_from: float = -math.inf

    def at(self, now: float) -> Image | None:
        """What may be answered at `now`; None = silence."""
        if not now < self.silent_from:
            return None
        return self.live if now <= self.until else self.hung

    def hangs(self, now: float) -> bool:
        """Did the gateway miss its own deadline?"""
        return self.live is not None and now > self.until


SILENCE: Final = Sayings()


def sayings(live: Image, hung: Image, until: float, since: float | None, patience: float | None) -> Sayings:
    """`live` until the Snapshot's deadline; `since` [s] when nobody vouches for the battery, None = somebody does."""
    after = HANGS_MOST if patience is None else min(patience, HANGS_MOST)
    silent_from = until + after
    if since is not None and patience is not None:
        silent_from = min(silent_from, since + patience)
    return Sayings(live, until, hung, silent_from)
