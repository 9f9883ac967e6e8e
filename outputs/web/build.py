"""How the registry makes the page."""

from outputs.output import Clock, Commander
from outputs.web.output import Web
from outputs.web.settings import Settings


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Web:
    """The page; limits for a while are all that it may ask for."""
    return Web(settings, clock, identity, commander)
