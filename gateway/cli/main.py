"""`bms-gateway`: finds the command named on the command line and imports nothing else."""

from importlib import import_module
from typing import Final

import click

from gateway import VERSION
from gateway.ending import in_one_line
from gateway.model.words import meant

COMMANDS: Final = {  # name: (module, one line for --help)
    "init": ("init", "A first gateway.yaml: finds the BMSs, asks what it must, offers the service."),
    "doctor": ("doctor", "What is wrong on this machine, and what to do about it."),
    "run": ("run", "The service: read batteries, decide, feed the outputs."),
    "demo": ("demo", "Simulated batteries, virtual CAN, private D-Bus, live view; needs no hardware."),
    "check": ("check", "Validate a configuration; --schema prints its JSON Schema."),
    "status": ("status", "Ask the running gateway for the whole state."),
    "explain": ("explain", "Ask the running gateway why the limits are what they are."),
    "command": ("command", "Switch charging, discharging or balancing, or set the SoC of a battery."),
    "restrict": ("restrict", "Tighten the limits for a while; they come back by themselves."),
    "drivers": ("drivers", "List the BMSs that can be read, and what each provides."),
    "inverters": ("inverters", "List the brands of inverters, and what each is told otherwise."),
    "venus": ("venus", "List every path of the D-Bus service on Venus OS."),
    "decode": ("decode", "Run a driver on a recording and print the Reading."),
    "scan": ("scan", "Find BMSs on the ports offered; prints the yaml to paste."),
    "ports": ("ports", "The serial ports that a configuration claims; --udev keeps others away."),
    "record": ("record", "Write a recording from a device: a bug report that is a test."),
    "simulate": ("simulate", "Be a BMS on a pseudo-terminal."),
    "mqtt": ("mqtt", "What the MQTT broker keeps of this gateway: topics, and forget."),
    "modbus": ("modbus", "The registers of the Modbus TCP output."),
    "report": ("report", "Evidence in one file, without secrets; sent nowhere."),
    "replay": ("replay", "Play a report through the same code."),
    "can": ("can", "The CAN bus: set it up, examine and watch it; encode values, decode logs."),
    "rs485": ("rs485", "The RS485 line of an inverter: answer and read recordings, watch a line."),
    "values": ("values", "List every published value, and what each interface calls it."),
    "limits": ("limits", "Run a limits scenario."),
    "import-config": ("import_config", "Turn a dbus-serialbattery config.ini into gateway.yaml."),
}


class Commands(click.Group):
    """Commands by name, each in its own module, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command; of one that there is not, name the nearest."""
        if name not in COMMANDS:
            ctx.fail(f"no command is called {name!r}, {meant(name, COMMANDS, 'see --help')}")
        command: click.Command = import_module(f"gateway.cli.{COMMANDS[name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of --help, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="bms-gateway")
def cli() -> None:
    """Any supported BMS in, one battery out: to Venus OS over D-Bus and to inverters over CAN or RS485.

    `bms-gateway demo` shows it without any hardware; `bms-gateway COMMAND --help` explains each command.
    """


def main() -> None:
    """Entry point; wrong usage exits with 2."""
    with in_one_line("this command"):
        cli.main(prog_name="bms-gateway", standalone_mode=True)
