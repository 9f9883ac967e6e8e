"""The settings of the CAN output with all that stands in the files they name."""

from dataclasses import dataclass

from outputs.can_bms.brand import Brand
from outputs.can_bms.dialect import Dialect
from outputs.can_bms.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """Plain data; see prepare.py."""

    settings: Settings
    towards: Brand
    dialect: Dialect
