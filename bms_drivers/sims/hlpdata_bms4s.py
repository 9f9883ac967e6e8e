"""An HLPdata BMS4S, from its sheet alone (hlpdata_bms4s.md): a command line with an echo, lines end with CR LF."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

CELLS: Final = range(4, 5)
BEEPS: Final = {  # alarm -> beep code; sheet section 6
    "low_charge_temperature": 2, "high_charge_temperature": 3, "low_voltage": 4, "high_voltage": 5,
}  # fmt: skip
LONGEST: Final = 80  # characters of a command


def build(pack: Pack, settings: dict[str, Any]) -> "Bms4s":
    """The board; settings["decimal_comma"] makes `ps` print commas."""
    return Bms4s(pack, bool(settings.get("decimal_comma")))


class Bms4s:
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.05  # s

    def __init__(self, pack: Pack, decimal_comma: bool) -> None:
        self.pack, self._comma = pack, decimal_comma
        self._written: dict[str, str] = {}

    def answer(self, received: bytearray) -> list[bytes]:
        """A command ends with LF; an empty one is not answered."""
        replies: list[bytes] = []
        while (end := received.find(b"\n")) >= 0:
            command = bytes(received[:end]).decode("ascii", "replace").strip()
            del received[: end + 1]
            said = self._said(command)
            if said:
                replies.append("".join(f"{line}\r\n" for line in (command, *said)).encode())
        if len(received) > LONGEST:
            received.clear()
        return replies

    def _said(self, command: str) -> list[str]:
        if "=" in command:
            name, _, value = command.partition("=")
            self._written[name.strip()] = value.strip()
            return ["ok"]
        answers = {"pv": self._version, "ps": self._settings, "m1": self._measured, "p": self._short, "pe": self._log}
        return answers[command]() if command in answers else []

    def _version(self) -> list[str]:
        return ["BMS4S 4.2.89"]

    def _settings(self) -> list[str]:
        named = {"BatterySize": f"{self.pack.capacity:.0f}", "VoltHigh": "3.55", "VoltLow": "2.90"}
        more = {f"Param{n:02}": str(n) for n in range(49)}
        lines = [f"{name}= {value} " for name, value in {**named, **more, **self._written}.items()]
        return [line.replace(".", ",") for line in lines] if self._comma else lines

    def _measured(self) -> list[str]:
        pack = self.pack
        cells = ",".join(f"{volts:.3f}" for volts in pack.cells)
        soc = round(min(pack.soc, 100))
        beep = min((BEEPS[name] for name in pack.alarms if name in BEEPS), default=0)
        sensors = ",".join([*(f"b{n} {t:.0f}" for n, t in enumerate(pack.temperatures, 1)), "m1 25"])
        flags = f"{int(pack.charge_switch)},{int(pack.discharge_switch)}"
        return [
            f"{cells},{pack.flow:.3f},{soc},{flags},13.1,{soc},0,{beep},1,{sensors},m1 {pack.mosfet_temperature:.0f}"
        ]

    def _short(self) -> list[str]:
        pack = self.pack
        volts = " ".join(f"{v:.3f}" for v in (*pack.cells, pack.voltage))
        return [f"U={volts} I={pack.flow:.3f} SoC={min(pack.soc, 100):.0f}"]

    def _log(self) -> list[str]:
        return [f"Umax={max(self.pack.cells):.3f} Umin={min(self.pack.cells):.3f}"]
