"""bms-gateway modbus: the map of the Modbus TCP output."""

import click


@click.command(name="modbus")
@click.option("--markdown", is_flag=True, help="The page docs/modbus.md.")
def command(markdown: bool) -> None:
    """Print which register of the Modbus TCP output (`outputs: modbus_tcp:`) holds what, with type, factor and unit.

    Unit 1 is the bank, 10 and up are the batteries; everything can be read only.
    """
    from outputs.modbus_tcp.page import page

    for line in page():
        if markdown or line.startswith("| "):
            click.echo(line if markdown else "  ".join(part.strip() for part in line.strip("|").split("|")))
