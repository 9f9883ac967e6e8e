"""Links: the only files that open devices.  A link is a pipe; what flows through is the driver's business."""

from bms_drivers.links.link import Counters, Link, converse

__all__ = ["Counters", "Link", "converse"]
