"""Every CAN message the gateway sends or reads, as DBC files."""

from pathlib import Path


def path(name: str) -> Path:
    """The file of the DBC called `name` (without suffix).  Raises FileNotFoundError."""
    file = Path(__file__).parent / f"{name}.dbc"
    if not file.is_file():
        raise FileNotFoundError(file)
    return file


def names() -> list[str]:
    """Names of the DBC files we ship."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.dbc"))
