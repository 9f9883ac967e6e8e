"""Times on the command line."""

import re

import click


def parse_duration(text: str) -> float:
    """Seconds of "15s", "2m", "1h" or a bare number.  Raises click.UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not found:
        raise click.UsageError(f"--for {text}: expected a time such as 15s, 2m or 1h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]
