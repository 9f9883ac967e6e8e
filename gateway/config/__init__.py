"""gateway.yaml to typed settings, or a list of mistakes that each name file, line, key and what would be right."""

from gateway.config.doubts import doubts
from gateway.config.editor import dump_schema
from gateway.config.load import load, parse
from gateway.config.schema import BankSettings, BatterySettings, Settings

__all__ = ["BankSettings", "BatterySettings", "Settings", "doubts", "dump_schema", "load", "parse"]
