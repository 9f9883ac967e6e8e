"""A catalogue of invented drivers, so that these tests do not depend on which drivers exist."""

from dataclasses import replace
from pathlib import Path

from bms_drivers.jbd import DRIVER
from bms_drivers.kit.declare import BleLine, Option, SerialLine
from gateway.config.load import parse
from gateway.config.schema import Catalogue, Settings
from gateway.model import ConfigError

REPOSITORY = Path(__file__).parents[2]

DRIVERS = {
    "plain": replace(DRIVER, name="plain", options=(), transports=("serial", "ble"), ble=BleLine(())),
    "chain": replace(
        DRIVER,
        name="chain",
        transports=("serial",),
        options=(
            Option("address", 1, "DIP switches", least=0, most=15),
            Option("cell_count", None, "cells in series", least=1, most=32),
            Option("invert_current", False, "the sensor sits the wrong way round", kind=bool),
            Option("pack_gap", 0.05, "pause between packs", kind=float, least=0, most=2),
        ),
    ),
    "modbus": replace(DRIVER, name="modbus", options=(), transports=("modbus",), line=None),
    "fast": replace(DRIVER, name="fast", options=(), line=SerialLine(baud=115200)),
    "canbms": replace(DRIVER, name="canbms", options=(), transports=("can",)),
}
CATALOGUE = Catalogue(lambda: sorted(DRIVERS), DRIVERS.__getitem__, lambda: sorted(DRIVERS.keys() - {"modbus"}))

ONE = """\
batteries:
  - name: rack-1
    driver: plain
    port: /dev/ttyUSB0
"""


def read(text: str) -> Settings:
    """Settings from text, with the invented drivers."""
    return parse(text, "g.yaml", CATALOGUE)


def mistakes(text: str) -> list[str]:
    """What is wrong with `text`, one line a mistake; [] = nothing."""
    try:
        read(text)
    except ConfigError as error:
        return list(error.problems)
    return []
