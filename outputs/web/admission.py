"""Who may ask.  Pure.

A browser anywhere may be made to ask us by a foreign page: by a name that its owner suddenly points at our address
(then Host bears that name), or outright (then Origin and Sec-Fetch-Site say so).  Sheet: face.md chapter 5.
"""

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from outputs.web.message import Request

READING = ("GET", "HEAD")


def turned_away(request: Request, names: Iterable[str]) -> str:
    """Why this request is not answered; "" = it is.  `names`: further ones by which we may be asked for."""
    host = host_of(request.headers.get("host", ""))
    if not ours(host, names):
        return f"this gateway is not called {host[:60]!r}; ask by its address, or name it in outputs.web.names"
    site = request.headers.get("sec-fetch-site", "same-origin")
    navigates = request.headers.get("sec-fetch-mode") == "navigate" and request.method in READING
    if site not in ("same-origin", "none") and not navigates:
        return "a page of somebody else's asks for this; open the gateway's own page"
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        return "a page of somebody else's asks for this; open the gateway's own page"
    return ""


def host_of(header: str) -> str:
    """The host of a Host header, without its port: [::1]:8765 -> ::1."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower().rstrip(".")


def ours(host: str, names: Iterable[str]) -> bool:
    """Is this a name that nobody outside can point at us?"""
    try:
        ip_address(host)
    except ValueError:
        return host in ("localhost", socket.gethostname().lower(), *names) or host.endswith(".local")
    return True
