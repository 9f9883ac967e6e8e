"""The limit logic: pure functions from a bank, settings, memory and the time to a Decision with its reasons."""

from gateway.limits.engine import evaluate
from gateway.limits.memory import Memory
from gateway.limits.settings import LimitSettings
from gateway.limits.site import Site

__all__ = ["LimitSettings", "Memory", "Site", "evaluate"]
