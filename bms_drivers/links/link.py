"""What a link is, and how a driver's talk is led over one."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from bms_drivers.kit.declare import CanId, Frame, Question, Talk, Values
from gateway.model import DeviceRefused, FrameError, LinkTimeout

if TYPE_CHECKING:
    from bms_drivers.links.can import CanFrame

Counters = Counter[str]
"""requests, replies, timeout, late (came after the time-out), torn (began but did not end), reopened, and the reasons
of everything dropped: checksum, length, noise, foreign."""

Tap = Callable[[Literal["tx", "rx"], bytes], None]
"""Is told every byte that goes over a link, as it went: noise and torn frames too."""
FrameTap = Callable[[Literal["tx", "rx"], "CanFrame"], None]
"""The same for the frames of a CAN bus."""


class Link(Protocol):
    """A pipe to one bus.  Not safe for two exchanges at once: the port that owns it lets batteries take turns."""

    @property
    def counters(self) -> Counters:
        """What happened on the link so far."""

    async def open(self) -> None:
        """Open the device, if it is not open.  Raises LinkClosed (not there) or LinkBusy (somebody else's)."""

    async def exchange(self, question: Question) -> Sequence[Frame]:
        """Ask, repeat as often as the question allows, and return the frames of its answer.

        Raises LinkTimeout when no whole answer came, LinkClosed when the device is gone.
        """

    async def close(self) -> None:
        """Let go of the device; may be called at any time."""


class Around:
    """A link that stands before another one and changes how it is asked."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.counters = link.counters

    async def open(self) -> None:
        """Open the link."""
        await self._link.open()

    async def close(self) -> None:
        """Close the link."""
        await self._link.close()


@runtime_checkable
class Tapped(Protocol):
    """A link whose bytes can be listened to."""

    tap: Tap | None


@runtime_checkable
class FrameTapped(Protocol):
    """A CAN bus whose frames can be listened to."""

    frame_tap: "FrameTap | None"


@runtime_checkable
class Rated(Protocol):
    """A link over the air."""

    @property
    def signal(self) -> int | None:
        """How strong the device was heard when it was looked for last [dBm]; None = not known."""


@runtime_checkable
class Expecting(Protocol):
    """A link on which frames come unasked."""

    def expect(self, hears: Iterable[CanId]) -> None:
        """From now on these are received: who asks for them later need not wait for them one after the other."""


async def converse(link: Link, talk: Talk, answered: Callable[[Sequence[Frame]], None] = lambda frames: None) -> Values:
    """Lead `talk` over `link` to its end and return what it learnt; `answered` is told each answer.

    A time-out, an unusable frame or a refusal is raised inside the talk, which may do without that answer.
    Raises LinkError, FrameError, DeviceRefused when the talk does not handle them.
    """
    try:
        question = next(talk)
        while True:
            try:
                frames = await link.exchange(question)
            except (LinkTimeout, FrameError, DeviceRefused) as problem:
                question = talk.throw(problem)
            else:
                answered(frames)
                question = talk.send(frames)
    except StopIteration as end:
        learnt: Values = end.value
        return learnt
    finally:
        talk.close()
