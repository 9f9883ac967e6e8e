"""Replies of the DR-1363 dialect to test with, built by hand from its sheets (daren_485.md, ks48100.md, section 5)."""


def words(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def realtime(cells: int = 16, sensors: int = 4, volts: int = 3300, **changes: int) -> bytes:
    """Service 42; `changes`: voltage, current, temperature, alarm, switches (3), low and high (balancing) words."""
    status = [changes.get(name, 0) for name in ("voltage", "current", "temperature", "alarm")]
    return b"".join(
        (
            b"\0", words(6700, volts * cells // 10), bytes((cells,)), words(*(volts + n for n in range(cells))),
            words(-15, 260, 270), bytes((sensors,)), words(*(-50 + 100 * n for n in range(sensors))),
            words(-1234, 55, 98), b"\0", words(10000, 6700, 204, *status, changes.get("switches", 3)), bytes(8),
            words(changes.get("low", 0), changes.get("high", 0)), bytes(8), b"\0", bytes(2),
        )
    )  # fmt: skip


def parameters(limit: int = 12000) -> bytes:
    """Service 47."""
    return b"\0" + words(3650, 2380, 115, -45, 10400, 3650, 2500, 16, limit, 10000, 90, 0) + b"\xff" * 40


MEASURED = {  # status word -> bit -> alarm; section 6 of both sheets
    "voltage": {
        0: ("high_cell_voltage", 2), 1: ("low_cell_voltage", 2), 2: ("high_voltage", 2), 3: ("low_voltage", 2),
        4: ("high_cell_voltage", 1), 5: ("low_cell_voltage", 1), 6: ("high_voltage", 1), 7: ("low_voltage", 1),
        8: ("cell_imbalance", 1), 13: ("fuse_blown", 2), 14: ("cell_imbalance", 2),
    },
    "current": {
        2: ("high_charge_current", 2), 3: ("short_circuit", 2), 4: ("high_discharge_current", 2),
        5: ("high_discharge_current", 2), 6: ("high_charge_current", 1), 7: ("high_discharge_current", 1),
    },
    "temperature": {
        0: ("high_charge_temperature", 2), 1: ("low_charge_temperature", 2), 2: ("high_temperature", 2),
        3: ("low_temperature", 2), 4: ("high_internal_temperature", 2), 6: ("high_internal_temperature", 2),
        8: ("high_charge_temperature", 1), 9: ("low_charge_temperature", 1), 10: ("high_temperature", 1),
        11: ("low_temperature", 1), 12: ("high_internal_temperature", 1), 14: ("high_internal_temperature", 1),
    },
}  # fmt: skip
