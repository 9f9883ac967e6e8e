"""The whole gateway on an inverter's RS485 line: silence before and after, stop between, never an old answer."""

import signal
import time
from pathlib import Path

from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.wire import Wire
from tests.e2e.house import house
from tests.rs485_bms.inverter import Line, pylon

CONFIG = """
batteries:
  - {{name: pack, driver: jbd, port: {port}}}
  - {{name: hung, driver: jbd, port: {hung}, control: false}}
limits:
  on_loss: {{block: true}}
outputs:
  rs485_bms: {{port: {line}, inverter: anenji}}
"""
DIALECT = make("pylontech", Wire())


def ask(line: Line, command: int = 0x63) -> dict[str, object]:
    """What is answered; {} = silence."""
    line.say(pylon(command))
    answer = line.hear()[0]
    return DIALECT.read(pylon(command), answer) if answer else {}


def test_an_inverter_on_rs485_lives_through_everything(tmp_path: Path) -> None:
    line = Line()
    with house(tmp_path) as home:
        port, hung = home.pack("pack0", "jbd", "--soc", "60"), home.pack("pack1", "jbd")
        process = home.gateway(CONFIG.format(port=port, hung=hung, line=line.path))
        ready = home.wait(
            lambda s: s["bank"]["complete"] and s["outputs"]["rs485_bms"]["connected"], 20, "an open line"
        )
        home.signal("pack1", signal.SIGSTOP)
        assert ask(line)["charge_current_limit"] == ready["decision"]["ccl"]
        assert ask(line, 0x61)["soc"] == 60
        shown = home.state()["outputs"]["rs485_bms"]
        assert (shown["inverter"], shown["towards"]) == ("asking", "anenji")
        assert [one["what"] for one in shown["asks"]] == ["63", "61"]

        home.signal("gateway", signal.SIGSTOP)
        line.say(pylon(0x63))
        assert line.hear(0.5)[0] == b"", "a process that hangs is silent"
        home.signal("gateway", signal.SIGCONT)
        assert line.hear(0.4)[0] == b"", "and does not answer what was asked meanwhile"
        assert ask(line)["charge_enable"] == 1

        home.signal("pack0", signal.SIGSTOP)
        home.wait(lambda s: s["outputs"]["rs485_bms"]["safe_state"], 15, "the loss of the battery")
        stopped = ask(line)
        assert (stopped["charge_current_limit"], stopped["discharge_current_limit"]) == (0.0, 0.0)
        assert (stopped["charge_enable"], stopped["discharge_enable"]) == (0, 0)
        assert stopped["charge_voltage_limit"] > 40  # type: ignore[operator]
        assert ask(line, 0x62)["a_internal_comm_fail"] == 1
        home.signal("pack0", signal.SIGCONT)

        home.signal("gateway", signal.SIGTERM)
        process.wait(10)
        assert ask(line) == {}
        time.sleep(0.1)
        assert "defect" not in home.log("gateway") and "Traceback" not in home.log("gateway")
    line.close()
