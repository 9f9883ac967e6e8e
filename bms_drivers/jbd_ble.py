"""JBD (Jiabaida; LLT Power, Overkill Solar, Xiaoxiang) smart BMS over Bluetooth LE: the frames of jbd, another way.

Sheet: jbd_ble.md.  Not here: the password frames (FF AA) of newer modules; most boards are read without them.
"""

from dataclasses import replace
from typing import Final

from bms_drivers import jbd, kit

LINE: Final = kit.BleLine(
    ways=(kit.Gatt("ff00", "ff01", "ff02"), kit.Gatt("fff0", "fff1", "fff2")),  # the second: DH04 and similar
    names=r"(?i)JBD-|xiaoxiang|[SD]P\d\dS|DWF|LSG-|SX[16]|SBL-|OGR-|TZ-H",
)

DRIVER: Final = replace(
    jbd.DRIVER,
    name="jbd_ble",
    title="JBD / LLT Power / Overkill Solar / Xiaoxiang, Bluetooth",
    transports=("ble",),
    line=None,
    ble=LINE,
    unseen=("alarms", "cell_undervoltage_protection", "model", "set soc", "modules that want a password"),
)
