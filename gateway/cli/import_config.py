"""`bms-gateway import-config`: a config.ini of dbus-serialbattery as gateway.yaml."""

from pathlib import Path

import click

from gateway.model import ConfigError


@click.command("import-config")
@click.argument("file", type=click.Path(path_type=Path), default="config.ini")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this new file, not to the terminal.")
def command(file: Path, output: Path | None) -> None:
    """Print the gateway.yaml that means the same as FILE (default config.ini) of dbus-serialbattery.

    Options without an equal are listed at its end; those that nobody knows, and what this version cannot do, are also
    told here.  A value that dbus-serialbattery would have read as 0 or False (3,45 or "yes") is refused with its line.
    """
    from gateway.config.importer import convert

    imported = convert(_text(file), str(file))
    written = imported.yaml
    for note in imported.notes:
        click.echo(note, err=True)
    if output is None:
        click.echo(written, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as target:
            target.write(written)
    except FileExistsError:
        raise ConfigError(f"{output}: exists already, expected the name of a new file") from None
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written ({error.strerror})") from None
    click.echo(f"{output}: written; look at batteries, then run bms-gateway check {output}")


def _text(path: Path) -> str:
    """The file's text.  Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file, expected a config.ini of dbus-serialbattery") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text, save the file as UTF-8") from None
