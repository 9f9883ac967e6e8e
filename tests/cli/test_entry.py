"""A plain call of `run` is understood as the command line would understand it; any other is left to it."""

from pathlib import Path

import pytest

from gateway.cli.entry import plain
from gateway.cli.run import command

PLAIN = [
    ["run"],
    ["run", "house.yaml"],
    ["run", "-c", "house.yaml", "--log", "debug"],
    ["run", "--watchdog", "30", "/data/gateway.yaml"],
    ["run", "--config", "a b.yaml", "--socket", "/run/x.sock", "--watchdog", "600"],
]
OTHERS = [
    [], ["status"], ["--version"], ["run", "--help"], ["run", "-h"], ["run", "-"], ["run", "--log=debug"],
    ["run", "--log"], ["run", "--log", "loud"], ["run", "--watchdog", "0"], ["run", "--watchdog", "601"],
    ["run", "--watchdog", "nan"],
    ["run", "a.yaml", "b.yaml"], ["run", "a.yaml", "-c", "a.yaml"], ["run", "--socket", "--log"], ["run", ""],
    ["run", "--unknown", "x"], ["run", "--", "a.yaml"],
]  # fmt: skip


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_what_is_plain_means_what_click_reads(words: list[str]) -> None:
    said = command.make_context("run", words[1:]).params
    config = said.pop("file") or said["config"] or Path("gateway.yaml")
    assert plain(words) == {**said, "config": config}


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_whatever_else_is_said_goes_the_way_of_all_commands(words: list[str]) -> None:
    assert plain(words) is None
