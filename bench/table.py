"""How figures are shown."""

from collections.abc import Iterator

Row = tuple[str, str, str]  # what, figure, budget


def table(rows: list[Row]) -> Iterator[str]:
    """Columns as wide as they need to be."""
    whole: list[Row] = [("figure", "measured", "budget"), *rows]
    widths = [max(len(row[column]) for row in whole) for column in range(3)]
    for row in whole:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
