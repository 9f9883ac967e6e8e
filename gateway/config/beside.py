"""Files that gateway.yaml names: a relative path is taken from its folder, wherever the gateway was started.

Whoever reads the file hands its folder to the validation; settings made in another way keep their paths as they are.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ValidationInfo

HERE: Final = Path()
FOLDER: Final = "folder"  # of the file that is validated, in pydantic's context


def context(file: Path | str) -> dict[str, Any]:
    """For the validation of what stands in `file`."""
    return {FOLDER: Path(file).parent}


def name_beside(name: str, info: ValidationInfo) -> str:
    """Where the name leads that stands in the file."""
    folder: Path = (info.context or {}).get(FOLDER, HERE)
    return name if folder == HERE else str(folder / name)


def beside(path: Path, info: ValidationInfo) -> Path:
    """As `name_beside`, of a path."""
    return Path(name_beside(str(path), info))


FilePath = Annotated[Path, AfterValidator(beside)]
FileName = Annotated[str, AfterValidator(name_beside)]
