"""What the commands say of a BMS that is a chip on the SPI bus."""

from pathlib import Path

import pytest

from tests.cli.program import called


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simulate", "mnb"], "mnb: is a chip on the computer's own SPI bus, no pty leads there; expected port:"),
        (["scan", "spi:0.0"], "spi:0.0: no driver finds out what is there; name it in gateway.yaml: mnb"),
        (["scan", "--driver", "mnb", "spi:0.0"], "mnb: cannot be found out by asking, expected its name and port"),
    ],
)
def test_what_cannot_be_done_with_it_is_said_in_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    done = called(*words, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert len(set(done.stderr.splitlines())) == 1
