"""How gateway.yaml names an inverter: by one of our names, or by a file of the user's own."""

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from gateway.config.beside import name_beside


def is_file(inverter: str) -> bool:
    """Is it a file of the user's own, not one of our names?"""
    return "/" in inverter or inverter.endswith((".yaml", ".yml"))


def _chosen(inverter: str, info: ValidationInfo) -> str:
    return name_beside(inverter, info) if is_file(inverter) else inverter


Chosen = Annotated[str, AfterValidator(_chosen)]
