"""A driver's own settings: whatever the configuration accepts, the driver can ask with."""

from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Ask, CanAsk, Driver, Option, Registers
from gateway.config.schema import battery_class
from gateway.model import GatewayError
from gateway.model.validation import validated

EDGES = (-1, 0, 1, 255, 256, 65535, 65536, 10**9)
OPTIONS = [(registry.load(name), option) for name in registry.names() for option in registry.load(name).options]


def accepted(driver: Driver, option: Option) -> list[Any]:
    """Values at the edges that gateway.yaml takes."""
    values = [True, False] if option.kind is bool else [option.kind(value) for value in EDGES]
    values += option.choices
    values += [value for value in (option.default, option.least, option.most) if value is not None]
    kind = battery_class(driver.name, driver.options)
    found = []
    for value in values:
        try:
            validated(kind, {"name": "a", "driver": driver.name, "port": "simulated", option.name: value})
        except ValidationError:
            continue
        found.append(value)
    return found


@pytest.mark.parametrize(("driver", "option"), OPTIONS, ids=lambda part: part.name)
def test_every_accepted_setting_gives_questions(driver: Driver, option: Option) -> None:
    values = accepted(driver, option)
    assert values
    for value in values:
        for poll in driver.plan:
            with suppress(GatewayError):  # it waits for what an earlier answer tells
                question = next(poll.talk(driver.setup({option.name: value}), {"_cells": 16, "_sensors": 2}), None)
                assert question is None or isinstance(question, Ask | Registers | CanAsk)
