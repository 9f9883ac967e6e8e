"""Orders for limits from outside: who may ask for what, for how long, and what is noted of it."""

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.app import Gateway
from gateway.config.load import parse
from gateway.limits import LimitSettings, Site
from gateway.model import Command, RemoteLimit
from gateway.remote import BURST, SOURCES, Remote
from gateway.store import Store
from gateway.wiring import build, rebuild
from tests.limits.play import Play, settings


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def remote() -> tuple[Remote, Clock, Clock]:
    clock, wall = Clock(), Clock(1_790_000_000.0)
    return Remote(clock, wall), clock, wall


def in_force(found: Remote) -> dict[tuple[str, str], float]:
    return {(limit.source, limit.key): limit.value for limit in found.active()}


def test_keys_are_independent_and_sources_do_not_touch_each_other() -> None:
    found, clock, _ = remote()
    assert found.asked("mqtt", {"ccl": 20, "dcl": 10, "ttl_seconds": 60}).accepted
    assert found.asked("http", {"ccl": 5}).in_force == {"ccl": 5, "dcl": 10}
    clock.now += 30
    assert found.asked("mqtt", {"ccl": 30, "ttl_seconds": 60}).in_force == {"ccl": 5, "dcl": 10}
    clock.now += 30
    assert in_force(found) == {("mqtt", "ccl"): 30, ("http", "ccl"): 5}, "dcl was not renewed"
    assert found.asked("http", {"ccl": None}).in_force == {"ccl": 30}
    assert found.asked("http", {"ttl_seconds": 0}).in_force == {"ccl": 30}, "nor does one clear another's"
    assert found.asked("mqtt", {"soc_max": 80, "soc_min": 20}).in_force == {"ccl": 30, "soc_max": 80, "soc_min": 20}
    assert found.asked("mqtt", {"ccl": 0, "ttl_seconds": 0}).in_force == {"soc_max": 80, "soc_min": 20}
    assert found.clear().json() == {
        "accepted": True, "note": "ended: mqtt.soc_max, mqtt.soc_min", "in_force": {}, "until": {}, "id": 8,
    }  # fmt: skip


def test_what_is_configured_for_all_batteries_together_is_the_most() -> None:
    site = Site(LimitSettings(), {"b": settings(charge_current={"max": 20.0})}, discharge_current_limit=100.0)
    assert site.most(["a", "b", "a/2"]) == {"ccl": 120.0, "dcl": 100.0}


def test_it_ends_by_the_monotonic_clock_whatever_the_date_does() -> None:
    found, clock, wall = remote()
    found.asked("mqtt", {"ccl": 20, "ttl_seconds": 600})
    for jump in (86400 * 365, -86400 * 3650, 5e9):
        wall.now += jump
        assert in_force(found) == {("mqtt", "ccl"): 20}
    clock.now += 599.9
    assert in_force(found)
    clock.now += 0.2
    assert not in_force(found)
    assert [entry["what"] for entry in found.audit] == ["limit", "expired"]


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"ccl": -0.1}, "ccl -0.1 is no limit, expected a number 0..10000 A or null"),
        ({"ccl": math.nan}, "ccl nan is no limit"),
        ({"dcl": math.inf}, "dcl inf is no limit"),
        ({"ccl": True}, "ccl True is no limit"),
        ({"ccl": "20A"}, "ccl 20A is no limit"),
        ({"ccl": "20"}, "ccl 20 is no limit"),
        ({"ccl": [1]}, "ccl [1] is no limit"),
        ({"soc_max": 101}, "soc_max 101 is no limit, expected a number 0..100 % or null"),
        ({"cvl": 50}, "cvl: nothing of that name can be limited, expected ccl, dcl, soc_min, soc_max"),
        ({"ccl": 1, "ttl": 60}, "ttl: nothing of that name can be limited"),
        ({"ccl": 1, "ttl_seconds": 9}, "ttl_seconds 9: expected 10..86400 s, or 0 to end at once"),
        ({"ccl": 1, "ttl_seconds": -1}, "ttl_seconds -1: expected"),
        ({"ccl": 1, "ttl_seconds": math.nan}, "ttl_seconds nan: expected"),
        ({"ccl": 1, "ttl_seconds": 86401}, "ttl_seconds 86401: expected"),
        ({"ccl": 1, "ttl_seconds": "15m"}, "ttl_seconds 15m: expected"),
        ({"ccl": 1, "ttl_seconds": False}, "ttl_seconds False: expected"),
        ({}, "nothing is limited, expected one of ccl, dcl, soc_min, soc_max, or ttl_seconds 0 to end all"),
        ([], "expected an object such as"),
        (None, "expected an object such as"),
        (20, "expected an object such as"),
    ],
)
def test_nonsense_is_refused_with_a_sentence_and_changes_nothing(order: Any, says: str) -> None:
    found, _, _ = remote()
    found.asked("mqtt", {"ccl": 20})
    answer = found.asked("mqtt", order)
    assert not answer.accepted and answer.note.startswith(says)
    assert answer.in_force == {"ccl": 20}
    assert found.audit[-1]["what"] == "refused"


def test_a_source_that_gives_too_many_orders_is_told_to_wait_and_others_are_not() -> None:
    found, clock, _ = remote()
    answers = [found.asked("mqtt", {"ccl": 20 + n}) for n in range(BURST + 3)]
    assert [answer.accepted for answer in answers] == [True] * BURST + [False] * 3
    assert answers[-1].in_force == {"ccl": 20 + BURST - 1}
    assert found.asked("cli", {"ccl": 1}).accepted
    clock.now += 1.0
    assert found.asked("mqtt", {"ccl": 3}).accepted
    assert not found.asked("mqtt", {"ccl": 4}).accepted


def test_there_are_only_so_many_sources_and_notes() -> None:
    found, clock, _ = remote()
    answers = [found.asked(f"token-{n}", {"ccl": 5}) for n in range(SOURCES + 5)]
    assert sum(answer.accepted for answer in answers) == SOURCES
    for _ in range(1000):
        clock.now += 2
        found.asked("token-0", {"ccl": 5, "x" * 3000: 1})
    assert len(json.dumps(list(found.audit), allow_nan=False)) < 200_000
    assert found.audit[-1]["times"] == 1000, "a flood fills neither audit nor log"
    for _ in range(250):
        clock.now += 2
        found.asked("token-0", {"ccl": 5})
    assert len(found.audit) == 200


def test_a_flood_of_different_refusals_fills_neither_audit_nor_log(caplog: pytest.LogCaptureFixture) -> None:
    found, clock, _ = remote()
    found.asked("cli", {"ccl": 5})
    for n in range(2000):
        clock.now += 0.01
        answer = found.asked("mqtt", {"ccl": -n - 1, "dcl": 5})
        assert not answer.accepted and answer.note.startswith(f"ccl {-n - 1} is no limit")
    assert found.audit[0]["source"] == "cli" and len(found.audit) < 40 and len(caplog.records) < 40
    assert sum(entry.get("times", 1) for entry in found.audit) == 2001


ORDERS = st.dictionaries(
    st.sampled_from(["ccl", "dcl", "soc_min", "soc_max", "ttl_seconds", "cvl"]),
    st.none() | st.booleans() | st.floats() | st.integers(-10, 20000) | st.text(max_size=5),
    max_size=4,
)


@given(st.lists(st.tuples(st.sampled_from(["mqtt", "http"]), ORDERS, st.floats(0, 5000)), max_size=12))
@examples(max_examples=40, deadline=None)
def test_whatever_is_asked_what_is_in_force_is_a_number_in_its_range_with_an_end(orders: Any) -> None:
    found, clock, _ = remote()
    for source, data, seconds in [*orders, ("cli", {"ccl": -0.0}, 0.0)]:
        clock.now += seconds
        answer = found.asked(source, data)
        json.dumps(answer.json(), allow_nan=False)
        for limit in found.active():
            assert math.copysign(1.0, limit.value) == 1.0, "no -0 A is told"
            assert 0 <= limit.value <= (100 if limit.key.startswith("soc") else 10_000)
            assert clock.now < limit.expires <= clock.now + 86_400


# ---- in a gateway

CONFIG = "batteries:\n  - {name: pack, driver: jbd, port: simulated}\n"


def during(folder: Path, look: Callable[[Gateway], Any], config: str = CONFIG) -> None:
    """Run a gateway until it has answered, then look."""

    async def scenario() -> None:
        gateway, stop = await build(parse(config), store=Store(folder)), asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))
        try:
            async with asyncio.timeout(15):
                while gateway.snapshot is None or not gateway.snapshot.bank.complete:
                    await asyncio.sleep(0.02)
            await look(gateway)
        finally:
            stop.set()
            await running

    asyncio.run(scenario())


def test_an_order_counts_at_once_survives_a_new_configuration_and_no_restart(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        assert gateway.snapshot is not None and gateway.snapshot.decision.ccl == 50
        vain = gateway.restrict("mqtt", {"ccl": 50.5, "dcl": 60, "ttl_seconds": 60})
        assert vain.note.startswith(
            "mqtt asks for at most 50.5 A of charge (no effect: 50 A is the configured maximum), at most 60 A of"
        )
        assert vain.accepted
        assert gateway.restrict("mqtt", {"ttl_seconds": 0}).in_force == {}
        answer = await gateway.answer({"ask": "restrict", "order": {"ccl": 7, "ttl_seconds": 60}})
        assert answer["accepted"] and answer["in_force"] == {"ccl": 7}
        await asyncio.sleep(0.05)
        state = gateway.state()
        assert state["decision"]["ccl"] == 7 and state["guard"] == ""
        assert [(limit["source"], limit["key"]) for limit in state["remote"]] == [("cli", "ccl")]
        await gateway.adopt(await rebuild(gateway, parse(CONFIG.replace("pack", "other"))))
        async with asyncio.timeout(15):
            while gateway.decide().bank.batteries[0].reading is None:
                await asyncio.sleep(0.02)
        assert gateway.decide().decision.ccl == 7, "SIGHUP ends none"
        assert gateway.restrict("mqtt", {"ccl": None}).in_force == {"ccl": 7}
        assert (await gateway.answer({"ask": "unrestrict"}))["in_force"] == {}
        assert [entry["what"] for entry in (await gateway.answer({"ask": "audit"}))["audit"]] == [
            "limit", "limit", "limit", "limit", "clear",
        ]  # fmt: skip

    during(tmp_path, look)

    async def again(gateway: Gateway) -> None:
        assert gateway.snapshot is not None and gateway.snapshot.remote == ()

    during(tmp_path, again)


def test_every_command_is_noted_with_who_asked(tmp_path: Path) -> None:
    async def look(gateway: Gateway) -> None:
        await gateway.answer({"ask": "command", "action": "clear_history", "value": 3})
        entry = gateway.remote.audit[-1]
        assert (entry["source"], entry["what"]) == ("cli", "every battery: clear_history 3")
        assert entry["note"] == "history: voltages cleared"

    during(tmp_path, look)


def test_a_clock_that_is_far_off_ends_no_evaluation() -> None:
    play = Play(LimitSettings())
    for wall in (-1e12, 0.0, 1e18, math.inf):
        play.asked = (RemoteLimit("ccl", 12.0, "mqtt", 1e9, wall),)
        assert play.run(1).ccl == 12


@pytest.mark.parametrize(
    "asked",
    [[[[]]], {"ccl": {"a": [1]}}, {"ccl": 10**30}, {"ccl": math.nan}, "x" * 999, {1: 2}, {"ccl": "\ud800"},
     {"\ud800": 1}, {"ccl": "1\nroot: all is well"}, {"ttl_seconds": "\ud800\n"}, "\x1b[2J\ud800"],
)  # fmt: skip
def test_what_is_noted_of_an_order_is_small_and_can_be_written(asked: Any, caplog: pytest.LogCaptureFixture) -> None:
    found, _, _ = remote()
    answer = found.asked("mqtt", asked)
    found.refused("mqtt", f"no: {str(asked)[:99]}", asked)
    found.commanded(Command("soc", 80.0, str(asked), "mqtt"), ["no"])
    text = json.dumps([answer.json(), *found.audit], allow_nan=False, ensure_ascii=False)
    assert len(text.encode()) < 3000 and text.isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)
