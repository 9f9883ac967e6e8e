"""How the registry makes the page."""

from outputs.output import Clock, Commander
from outputs.web.output import Web
from outputs.web.settings import Settings


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Web:
    """The page; it commands nothing."""
    return Web(settings, clock, identity)
