"""How gateway.yaml names an inverter: by one of our names, or by a file of the user's own."""

from pathlib import Path
from typing import Annotated

from gateway.config.beside import name_beside
from gateway.model.section import Beside


def is_file(inverter: str) -> bool:
    """Is it a file of the user's own, not one of our names?"""
    return "/" in inverter or inverter.endswith((".yaml", ".yml"))


def _chosen(inverter: str, folder: Path) -> str:
    return name_beside(inverter, folder) if is_file(inverter) else inverter


Chosen = Annotated[str, Beside(_chosen)]
