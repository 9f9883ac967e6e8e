"""Bytes are set aside around an alarm, a report is sound whatever happened, and a replay keeps the recording's time."""

import asyncio
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bms_drivers.kit import registry
from bms_drivers.links import converse
from bms_drivers.links.can import CanFrame
from bms_drivers.links.port import Port
from bms_drivers.links.replay import ReplayLink
from bms_drivers.links.ring import Ring, joined, records
from bms_drivers.links.timeline import TimelineLink
from gateway.bundle import bundle
from gateway.cli.main import cli
from gateway.evidence import Evidence, pack, unpacked
from gateway.model import GatewayError, Health, LinkTimeout
from gateway.replay import JumpingLoop, load, play
from tests import make
from tests.vectors import cases

CONFIG = "batteries:\n  - {name: pack, driver: jbd, port: /dev/ttyUSB0}\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ports(clock: Clock) -> dict[str, Port]:
    return {"pack": Port("/dev/ttyUSB0", ReplayLink({"exchanges": []}), clock=clock)}


def test_what_went_over_the_line_around_an_alarm_is_set_aside() -> None:
    clock = Clock()
    evidence, there = Evidence(clock, clock), ports(clock)
    for n in range(4000):
        clock.now = 1000.0 + n
        there["pack"].ring.add("rx", n.to_bytes(2, "big") * 20)
        raised = {"high_cell_voltage": 2} if n >= 500 else {}
        evidence.look(make.snapshot(clock.now, decision=make.decision(alarms=raised)), there)
    taken = evidence.take([], there)
    kept = sum(map(len, taken["aside"][0]["rings"]["pack"]))
    assert evidence.held(there) == there["pack"].ring.held + kept < there["pack"].ring.size, "they are compressed"
    taken = pack({**taken, "batteries": []})
    (aside,) = taken["aside"]
    assert aside["why"] == "high_cell_voltage 2" and aside["when"] == 1_790_001_500.0
    raw = unpacked(aside["rings"]["pack"])
    assert (490).to_bytes(2, "big") * 20 in raw and (550).to_bytes(2, "big") * 20 in raw
    assert (3000).to_bytes(2, "big") * 20 not in raw
    json.dumps(taken)


def test_only_the_newest_few_are_kept_and_a_loss_counts_too() -> None:
    clock = Clock()
    evidence, there = Evidence(clock, clock), ports(clock)
    for n in range(60 * 20):
        clock.now += 5.0
        lost = n // 100 % 2 == 1
        state = make.battery(health=Health.STALE if lost else Health.ONLINE)
        evidence.look(make.snapshot(clock.now, bank=make.bank(state)), there)
    aside = evidence.take([], there)["aside"]
    assert len(aside) == 5 and {one["why"] for one in aside} == {"rack-1 stale"}


def test_many_links_share_the_memory_of_eight() -> None:
    clock, noise = Clock(), random.Random(1)
    evidence = Evidence(clock, clock)
    there = {str(n): ports(clock)["pack"] for n in range(64)}
    evidence.watch(there)
    for port in there.values():
        for _ in range(800):
            port.ring.add("rx", noise.randbytes(1000))  # which nothing makes smaller
    assert 8 << 20 < sum(port.ring.size for port in there.values()) < 19 << 20
    evidence.look(make.snapshot(clock.now), there)
    for at in (1.0, 62.0):
        evidence.look(make.snapshot(clock.now + at, decision=make.decision(alarms={"high_voltage": 2})), there)
    assert 1 << 20 < evidence.held(there) - sum(port.ring.held for port in there.values()) < 3 << 20
    one = {"0": there["0"]}
    evidence.watch(one)
    for _ in range(4000):
        one["0"].ring.add("rx", bytes(1000))
    assert 1_900_000 < one["0"].ring.size < 2_200_000


def test_what_was_said_around_bad_frames_is_kept_for_good_the_last_twenty_times() -> None:
    clock = Clock()
    evidence, there = Evidence(clock, clock), ports(clock)
    for n in range(9000):
        clock.now += 1.0
        there["pack"].ring.add("rx", n.to_bytes(2, "big") * 20)
        there["pack"].counters["checksum"] += n % 100 == 50 and n < 3000
        evidence.watch(there)
    (ring,) = evidence.take([], there)["rings"]
    kept = {int.from_bytes(one.data[:2], "big") for one in records(ring["bad"])}
    assert kept >= set(range(1050, 3000, 100)) and not kept & set(range(1000))
    assert (2950).to_bytes(2, "big") * 20 not in joined(ring["newest"])


def report(
    tmp_path: Path, rings: list[tuple[str, str, Ring]], config: str = CONFIG, setup: Any = None, **more: object
) -> Path:
    """A report as it would come from these rings."""
    setups = {name: registry.load(driver).setup(setup) for name, driver, _ in rings}
    evidence = pack({
        "monotonic": 60.0, "wall": 1_790_000_060.0, "events": [], "aside": [],
        "batteries": [{"name": name, "driver": driver, "ring": name, "setup": setups[name], "poll_interval": 1.0,
                       "control": True} for name, driver, _ in rings],
        "rings": [{"name": name, "port": name, "counters": {}, "bad": b"", "first": ring.first(),
                   "newest": ring.newest(1e9)} for name, _, ring in rings],
        "state": {}, "audit": [], "log": [], **more,
    })  # fmt: skip
    file = tmp_path / "report.zip"
    file.write_bytes(bundle(evidence, config))
    return file


def test_half_a_character_of_a_bms_does_not_end_the_report(tmp_path: Path) -> None:
    file = report(tmp_path, [], state={"model": "P16\ud800"})
    with zipfile.ZipFile(file) as bag:
        assert json.loads(bag.read("state.json")) == {"model": "P16?"}


def test_a_user_who_is_called_like_an_output_or_a_battery_does_not_end_the_replay(tmp_path: Path) -> None:
    for user in ("mqtt", "pack"):
        config = f"{CONFIG}outputs:\n  mqtt: {{host: h, username: {user}}}\n"
        found = load(report(tmp_path, [("pack", "jbd", Ring())], config))
        assert list(found.settings.outputs) == ["mqtt"]
        assert [battery.name for battery in found.settings.batteries] == list(found.recordings) == ["pack"]


def test_batteries_whose_names_are_much_alike_have_a_file_each(tmp_path: Path) -> None:
    names = ["rack 1", "rack.1", "rack_1", "rack-1", "rack+1", "rack#1", "rack(1)", "Räck 1"]
    found = json.loads(zipfile.ZipFile(report(tmp_path, [(name, "jbd", Ring()) for name in names])).read("about.json"))
    assert len(set(found["files"].values())) == len(names)


def test_a_bms_that_falls_silent_does_so_again_in_the_replay_at_its_time(tmp_path: Path) -> None:
    clock, said = Clock(), next(case for case in cases("jbd") if case.name == "4s-sp04s034").data["exchanges"]
    ring = Ring(clock=clock)
    for n in range(60):
        for exchange in said:
            clock.now = n + 0.1 * said.index(exchange) if n else clock.now - 1000.0 if clock.now >= 1000 else clock.now
            ring.add("tx", bytes.fromhex(exchange["tx"]))
            clock.now += 0.05
            if n < 20:
                ring.add("rx", b"".join(map(bytes.fromhex, exchange["rx"])))
    played = play(load(report(tmp_path, [("pack", "jbd", ring)])))
    told = [(round(event["wall"] - 1_790_000_000.0), event["text"].partition(":")[0]) for event in played.events
            if event["kind"] == "battery"]  # fmt: skip
    assert [text for _, text in told] == ["online", "stale"]
    assert told[0][0] <= 2 and 28 <= told[1][0] <= 32, "10 s after the last answer"


def test_a_limit_that_was_asked_for_before_the_recording_begins_is_in_force_in_the_replay(tmp_path: Path) -> None:
    clock, said = Clock(), next(case for case in cases("jbd") if case.name == "4s-sp04s034").data["exchanges"]
    ring = Ring(clock=clock)
    for n in range(60):
        for number, exchange in enumerate(said):
            clock.now = n + 0.1 * number
            ring.add("tx", bytes.fromhex(exchange["tx"]))
            ring.add("rx", b"".join(map(bytes.fromhex, exchange["rx"])))
    asked = [("limit", -5000.0, {"dcl": 3, "ttl_seconds": 3600}), ("limit", -3599.0, {"ccl": 2, "ttl_seconds": 3630}),
             ("refused", -10.0, {"dcl": -1}), ("limit", -9.0, {"dcl": 4, "ttl_seconds": 900})]  # fmt: skip
    audit = [{"what": what, "monotonic": at, "source": "mqtt", "asked": order} for what, at, order in asked]
    moments = play(load(report(tmp_path, [("pack", "jbd", ring)], audit=audit))).moments
    in_force = {round(one.at): {limit.key: limit.value for limit in one.remote} for one in moments}
    assert in_force[20] == {"ccl": 2, "dcl": 4} and in_force[50] == {"dcl": 4}


def test_frames_of_a_can_bus_are_heard_when_they_came(tmp_path: Path) -> None:
    clock, case = Clock(), cases("jk_can")[0].data
    ring, clock.now = Ring(clock=clock), 0.0
    for n in range(100):
        for frame in case["frames"]:
            clock.now = float(n)
            if n < 60:
                ring.add_frame("rx", CanFrame(int(str(frame["id"]), 0), bytes.fromhex(frame["data"]), frame["ext"]))
    config = CONFIG.replace("jbd", "jk_can").replace("/dev/ttyUSB0", "can0")
    played = play(load(report(tmp_path, [("pack", "jk_can", ring)], config, monotonic=100.0)))
    health = {round(moment.at): moment.bank.batteries[0].health for moment in played.moments}
    assert health[40] is Health.ONLINE and health[90] in (Health.STALE, Health.LOST)
    assert played.moments[-1].bank.voltage is None


def test_a_link_by_the_clock_answers_in_time_and_not_before() -> None:
    said = next(case for case in cases("jbd") if case.name == "4s-sp04s034").data["exchanges"]
    times = [{**one, "at": 10.0 + n, "until": 10.2 + n} for n, one in enumerate(said[:1] * 3)]
    driver, loop = registry.load("jbd"), JumpingLoop(9.0)

    async def run() -> list[float]:
        link, heard = TimelineLink({"exchanges": times}), []
        for _ in range(3):
            await converse(link, driver.poll("basic").talk({}, {}))
            heard.append(loop.time())
        with pytest.raises(LinkTimeout, match="no whole answer"):
            await converse(link, driver.poll("basic").talk({}, {}))
        return heard

    assert loop.run_until_complete(asyncio.wait_for(run(), 60)) == pytest.approx([10.2, 11.2, 12.2], abs=0.01)
    loop.close()


@pytest.mark.parametrize("damage", ["no zip", "empty", "no json", "no ring", "bad hex", "wrong config"])
def test_a_damaged_report_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    file = report(tmp_path, [("pack", "jbd", Ring())])
    with zipfile.ZipFile(file) as bag:
        files = {name: bag.read(name) for name in bag.namelist()}
    files |= {
        "empty": {},
        "no json": {"about.json": b"{"},
        "no ring": {"about.json": b'{"batteries": 1}'},
        "bad hex": {"frames/pack.json": b'{"exchanges": [{"tx": "zz", "rx": []}]}'},
        "wrong config": {"gateway.yaml": b"batteries: 3\n"},
    }.get(damage, {})  # type: ignore[arg-type]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bag:
        for name, raw in files.items() if damage != "empty" else ():
            bag.writestr(name, raw)
    file.write_bytes(b"nothing" if damage == "no zip" else buffer.getvalue())
    with pytest.raises(GatewayError) as refused:
        load(file)
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)


def test_of_a_device_that_nobody_knows_everything_that_may_be_a_secret_is_masked() -> None:
    ring = Ring(clock=Clock())
    ring.add("tx", b"who?")
    ring.add("rx", jk_record())
    evidence = pack({"batteries": [], "aside": [], "rings": [
        {"name": "x", "port": "x", "counters": {}, "first": ring.first(), "newest": (), "bad": b""}]})  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(bundle(evidence, ""))) as bag:
        text = bag.read("frames/x.json").decode()
    assert b"hunter22".hex() not in text and jk_record()[:5].hex() in text


def jk_record() -> bytes:
    """With a password in it."""
    record = bytearray(300)
    record[:5], record[62:70] = b"\x55\xaa\xeb\x90\x03", b"hunter22"
    record[299] = sum(record[:299]) & 0xFF
    return bytes(record)


def test_what_was_set_aside_of_a_bms_that_another_kind_has_replaced_by_now_tells_no_secret() -> None:
    clock = Clock()
    evidence, before, after = Evidence(clock, clock), ports(clock), ports(clock)
    before["can"] = Port("can0", ReplayLink({"frames": []}), clock=clock)
    for _ in range(1000):
        before["pack"].ring.add("rx", jk_record())
        before["can"].ring.add_frame("rx", CanFrame(0x380, b"hunter22", extended=False))
    evidence.look(make.snapshot(clock.now), before)
    for at in (1.0, 62.0):
        evidence.look(make.snapshot(clock.now + at, decision=make.decision(alarms={"high_voltage": 2})), before)
    for there in (before, after):
        named = {"name": "pack", "driver": "jk_pb" if there is before else "jbd", "ring": "pack", "setup": {}}
        taken = pack({**evidence.take([], there), "batteries": [named]})
        with zipfile.ZipFile(io.BytesIO(bundle(taken, ""))) as bag:
            text, can = [bag.read(f"aside/1-{name}.json").decode() for name in ("pack", "can")]
        assert b"hunter22".hex() not in text + can
        assert "55aaeb90" in text and '"id": "0x380"' in can
        assert f'"driver": "{"jk_pb" if there is before else "unknown"}"' in text


def test_a_report_without_a_gateway_tells_of_the_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG + "# token: hunter2\n")
    words = ["report", "-c", str(tmp_path / "gateway.yaml"), "-o", str(tmp_path / "r.zip")]
    done = CliRunner().invoke(cli, [*words, "--socket", str(tmp_path / "nobody")])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "r.zip") as bag:
        assert "no running gateway answers" in bag.read("error.txt").decode()
        assert "hunter2" not in bag.read("gateway.yaml").decode()


def test_a_dbc_file_of_the_users_own_comes_along(tmp_path: Path) -> None:
    clock, case = Clock(), cases("dbc")[0].data
    ring, clock.now = Ring(clock=clock), 0.0
    for n in range(30):
        clock.now = float(n)
        for frame in case["frames"]:
            ring.add_frame(
                "rx", CanFrame(int(str(frame["id"]), 0), bytes.fromhex(frame["data"]), bool(frame.get("ext")))
            )
    own = tmp_path / "mine.dbc"
    own.write_text(Path(case["config"]["dbc"]).read_text(encoding="cp1252"), encoding="utf-8")
    config = CONFIG.replace("jbd", "dbc").replace("/dev/ttyUSB0", "can0")
    file = report(tmp_path, [("pack", "dbc", ring)], config, {"dbc": str(own)}, monotonic=30.0)
    own.unlink()
    assert play(load(file)).moments[-1].bank.batteries[0].reading is not None
