"""A reader of Pylontech batteries that nobody here wrote reads ours, over a pty."""

import asyncio
from typing import Any

import pytest
from pylontech import Pylontech

from tests import make
from tests.rs485_bms.inverter import asking, bridged


def test_python_pylontech_reads_what_was_decided() -> None:
    def inquire(path: str) -> tuple[Any, Any]:
        reader = Pylontech(path, 9600)  # each call takes 2 s: it waits for a line feed
        try:
            return reader.get_values(), reader.get_management_info(2)
        finally:
            reader.s.close()

    async def scenario() -> tuple[Any, Any]:
        async with asking() as inverter:
            inverter.publish(decision=make.decision(allow_charge=False))
            with bridged(inverter.line) as path:
                return await asyncio.to_thread(inquire, path)

    values, management = asyncio.run(scenario())
    assert (values.NumberOfModules, values.StateOfCharge, values.TotalPower) == (1, 0.6, pytest.approx(1064.0))
    (module,) = values.Module
    assert (module.NumberOfCells, module.Voltage, module.Current) == (16, 53.2, 20.0)
    assert (module.TotalCapacity, module.RemainingCapacity, module.CycleNumber) == (280.0, 168.0, 42)
    assert (management.ChargeVoltageLimit, management.DischargeVoltageLimit) == (55.2, 46.4)
    assert (management.ChargeCurrentLimit, management.DischargeCurrentLimit) == (0.0, -60.0)
    assert (management.status.ChargeEnable, management.status.DischargeEnable) == (False, True)
