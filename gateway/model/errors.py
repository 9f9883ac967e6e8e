"""Everything that may go wrong, by whose fault it is.

    GatewayError
      ConfigError        the user's file: file, line, key, what is wrong, what would be right
      LinkError          the pipe: LinkClosed, LinkTimeout, LinkBusy, TalksByItself (all worth a retry)
      FrameError         the peer's bytes: BadChecksum, BadLength, WrongDevice, Implausible (drop the frame, count it)
      DeviceRefused      the peer understood and said no
      CommandError       a command that nobody may give: which, and what would be right
      MissingPart        an optional library is not installed: what needs it, and the command that installs it

Raised where known; caught where something can be done: by the supervisor of the one battery concerned.
"""


def printable(text: str) -> str:
    """`text` as it may travel anywhere: without line breaks, other controls, and halves of characters."""
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


class GatewayError(Exception):
    """Base of all errors of the gateway; its text is one line that says what, where and what would be right."""


class Placed(str):
    """A mistake in a file that the configuration names: its sentence begins with that file's name and line."""

    __slots__ = ()


class ConfigError(GatewayError):
    """A configuration that must not be run with; holds one line per mistake, of another file's a Placed one."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(GatewayError):
    """The way to the device failed; a later try may succeed."""


class LinkClosed(LinkError):
    """The port is not there: unplugged, not yet plugged in, or refused by the system."""


class LinkTimeout(LinkError):
    """No (complete) answer came in time."""


class LinkBusy(LinkError):
    """Another program owns the port."""


class TalksByItself(LinkError):
    """Something that is no BMS talks on the line: nothing is asked there."""


class FrameError(GatewayError):
    """Bytes that cannot be used; `kind` is the name under which they are counted."""

    kind = "frame"


class BadChecksum(FrameError):
    """A frame whose checksum does not fit its bytes."""

    kind = "checksum"


class BadLength(FrameError):
    """A frame or field shorter or longer than the protocol allows."""

    kind = "length"


class WrongDevice(FrameError):
    """A sound frame that answers another question or comes from another address."""

    kind = "foreign"


class Implausible(FrameError):
    """A well-formed but impossible value."""

    kind = "implausible"

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} {value} outside {expected}")
        self.field, self.value, self.expected = field, value, expected


class DeviceRefused(GatewayError):
    """The device answered "no"; the message holds its code and meaning."""


class CommandError(GatewayError):
    """A command with an action or a value that there is not; whatever door it came by, it is refused.

    Its text holds some of what came, but nothing that a line of a log or UTF-8 cannot hold.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class MissingPart(GatewayError):
    """A library that not every site needs is not there; the message holds the command that installs it."""
