"""Files that gateway.yaml names: a relative path is taken from its folder, wherever the gateway was started.

Whoever reads the file hands its folder to the validation; settings made in another way keep their paths as they are.
"""

from pathlib import Path
from typing import Annotated, Any

from gateway.model.section import FOLDER, HERE, Beside


def context(file: Path | str) -> dict[str, Any]:
    """For the validation of what stands in `file`."""
    return {FOLDER: Path(file).parent}


def name_beside(name: str, folder: Path) -> str:
    """Where the name leads that stands in a file of `folder`."""
    return name if folder == HERE else str(folder / name)


def beside(path: Path, folder: Path) -> Path:
    """As `name_beside`, of a path."""
    return Path(name_beside(str(path), folder))


FilePath = Annotated[Path, Beside(beside)]
FileName = Annotated[str, Beside(name_beside)]
