"""The page end to end: real simulators on ptys, a real gateway, a real browser that looks at it as people do.

    python -m tests.browser.look [--browser /usr/bin/chromium] [--pictures FOLDER]

Runs in an environment that has playwright; the gateway runs in .venv.  Each step prints a line; the first that fails
ends it with exit 1.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
GATEWAY = ROOT / ".venv" / "bin" / "bms-gateway"
PYTHON = ROOT / ".venv" / "bin" / "python"
FEW_COLOURS = """import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)"""
CONFIG = """
batteries:
  - {{name: rack-1, driver: jbd, port: {folder}/rack-1}}
  - {{name: rack-2, driver: jk_pb, port: {folder}/rack-2, address: 1}}
bank: {{charge_current_limit: 80}}
outputs:
  can_bms: {{interface: virtual, channel: browser}}
  web: {{port: {port}}}
"""
PORT = 18765
VIEWS = ("overview", "cells", "plots", "why", "events", "report")
UNNAMED = """[...document.querySelectorAll("button, a")]
    .filter((element) => !(element.textContent.trim() || element.ariaLabel)).length"""
HIDDEN = """(hidden) => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""
PICTURES = (
    ("overview", "light", "desk"), ("overview", "dark", "desk"), ("plots", "dark", "desk"), ("cells", "light", "desk"),
    ("why", "light", "desk"), ("overview", "light", "phone"),
)  # fmt: skip
WIDTHS = {"phone": (360, 740), "desk": (1200, 820)}


class Home:
    """Simulators and a gateway, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"http://127.0.0.1:{PORT}"
        self._environment = {
            **os.environ, "STATE_DIRECTORY": str(folder / "state"), "BMS_GATEWAY_SOCKET": str(folder / "control"),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(GATEWAY), *words], stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment
            )

    def pack(self, name: str, driver: str, *more: str) -> None:
        self.start(name, "simulate", driver, "--link", str(self.folder / name), *more)
        until(f"the simulator {name}", (self.folder / name).exists)

    def gateway(self) -> None:
        file = self.folder / "gateway.yaml"
        file.write_text(CONFIG.format(folder=self.folder, port=PORT))
        self.start("gateway", "run", str(file))
        until("the page", lambda: bool(self.ask("/api/state")))

    def ask(self, path: str) -> bytes:
        with suppress(OSError), urllib.request.urlopen(f"{self.address}{path}", timeout=5) as answer:
            found: bytes = answer.read()
            return found
        return b""

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            process.wait(10)


def until(wish: str, look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `look` finds; waits for it.  Raises AssertionError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{wish}: not within {seconds:.0f} s")


class Watcher:
    """Everything that a page does that it must not: errors, warnings, requests to elsewhere."""

    def __init__(self, page: Page, address: str) -> None:
        self.wrong: list[str] = []
        page.on("console", lambda said: self._note(said.type in ("error", "warning"), f"console: {said.text}"))
        page.on("pageerror", lambda fault: self._note(True, f"error: {fault}"))
        page.on("request", lambda asked: self._note(not asked.url.startswith(address), f"asks elsewhere: {asked.url}"))

    def _note(self, bad: bool, text: str) -> None:
        if bad:
            self.wrong.append(text)

    def expect_loss(self) -> None:
        """From now on the gateway is away: that a browser says so is right."""
        self.wrong = [text for text in self.wrong if "ERR_" not in text]


@contextmanager
def opened(browser: Browser, home: Home, view: str = "overview", **how: Any) -> Iterator[tuple[Page, Watcher]]:
    width, height = how.pop("size", WIDTHS["desk"])
    context = browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-GB", **how})
    page = context.new_page()
    watcher = Watcher(page, home.address)
    page.goto(f"{home.address}/#{view}")
    page.wait_for_selector("main .card")
    try:
        yield page, watcher
    finally:
        context.close()


def said(name: str) -> None:
    print(f"ok  {name}", flush=True)


# ---- the steps


def values_move(browser: Browser, home: Home) -> None:
    with opened(browser, home) as (page, watcher):
        shown = lambda: page.inner_text(".charge")  # noqa: E731
        before = shown()
        assert re.search(r"\d+\.\d\s*%", before.replace("\n", "")), before
        until("a value that moves", lambda: shown() != before, 60)
        assert page.inner_text("#pulse") == "live"
        assert page.locator(".pack").count() == 2
        assert "charge current" in page.inner_text(".limits")
        assert not watcher.wrong, watcher.wrong
    said("values move, both batteries and the limits with their reasons are there")


def every_view(browser: Browser, home: Home) -> None:
    for size in WIDTHS.values():
        for scheme in ("light", "dark"):
            with opened(browser, home, size=size, color_scheme=scheme) as (page, watcher):
                for view in VIEWS:
                    page.click(f'nav a[href="#{view}"]')
                    page.wait_for_function(
                        "(name) => document.title.startsWith(name)", arg=page.inner_text(f'nav a[href="#{view}"]')
                    )
                    page.wait_for_selector("main .card")
                    page.wait_for_timeout(400)
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= size[0], f"{view} is {wide} px wide on a screen of {size[0]}"
                    unnamed = page.evaluate(UNNAMED)
                    assert unnamed == 0, f"{view}: buttons without a name"
                ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
                bright = sum(map(int, re.findall(r"\d+", ground)[:3])) > 384
                assert bright == (scheme == "light"), f"{scheme}: the ground is {ground}"
                assert not watcher.wrong, watcher.wrong
    said("every view at 360 and 1200 px, light and dark: no error, nothing beside the screen, nothing from elsewhere")


def contrast(browser: Browser, home: Home) -> None:
    script = (ROOT / "tests" / "browser" / "contrast.js").read_text()
    for scheme in ("light", "dark"):
        with opened(browser, home, color_scheme=scheme) as (page, _):
            for view in VIEWS:
                page.click(f'nav a[href="#{view}"]')
                page.wait_for_timeout(500)
                assert (bad := page.evaluate(script)) == [], f"{scheme} {view}: too little contrast: {bad}"
    said("text has a contrast of 4.5 at least, light and dark")


def keyboard(browser: Browser, home: Home) -> None:
    with opened(browser, home) as (page, watcher):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.focus('nav a[href="#plots"]')
        page.keyboard.press("Enter")
        page.wait_for_selector(".chart svg[tabindex]")
        page.focus(".chart svg[tabindex]")
        newest = page.inner_text(".chart .readout")
        page.keyboard.press("ArrowLeft")
        until("an older point by the arrow key", lambda: page.inner_text(".chart .readout") != newest)
        assert page.locator(".chart table").count() >= 5
        assert page.locator("[aria-live]").count() == 0
        page.click('nav a[href="#overview"]')
        page.wait_for_selector(".alarms")
        assert page.locator('[aria-live="polite"]').count() == page.locator(".alarms[aria-live]").count() == 1
        assert not watcher.wrong, watcher.wrong
    said("everything by keyboard; plots have a table; only alarms are read out")


def languages(browser: Browser, home: Home) -> None:
    with opened(browser, home, locale="de-AT") as (page, watcher):
        assert page.inner_text('nav a[href="#cells"]') == "Zellen"
        assert page.get_attribute("html", "lang") == "de"
        assert re.search(r"\d,\d", page.inner_text(".charge"))
        page.click("#language")
        page.wait_for_function("document.documentElement.lang === 'en'")
        assert page.inner_text('nav a[href="#cells"]') == "Cells"
        page.reload()
        page.wait_for_selector("main .card")
        assert page.inner_text('nav a[href="#cells"]') == "Cells"
        page.click("#theme")
        page.click("#theme")
        assert page.get_attribute("html", "data-theme") == "dark"
        assert not watcher.wrong, watcher.wrong
    said("German by the browser's wish, English by choice, kept; dark by choice")


def plug_pulled(browser: Browser, home: Home) -> None:
    with opened(browser, home) as (page, watcher):
        home.processes["rack-2"].send_signal(signal.SIGSTOP)
        until("a silent battery", lambda: page.locator('.pack.silent[data-key="rack-2"]').count(), 30)
        card = page.inner_text('.pack[data-key="rack-2"]')
        assert "silent" in card and re.search(r"its values are \d+\s*s old", card), card
        assert page.locator('.pack.silent[data-key="rack-1"]').count() == 0
        assert "not known" in card
        home.processes["rack-2"].send_signal(signal.SIGCONT)
        until("the battery again", lambda: not page.locator(".pack.silent").count(), 60)
        page.click('nav a[href="#events"]')
        page.wait_for_selector(".events")
        assert "stale" in page.inner_text("main")
        assert not watcher.wrong, watcher.wrong
    said("a battery whose plug is pulled turns grey and says so, and comes back; events tell of both")


def gateway_hangs(browser: Browser, home: Home) -> None:
    with opened(browser, home) as (page, watcher):
        home.processes["gateway"].send_signal(signal.SIGSTOP)
        until("a grey page", lambda: page.locator("body.stale").count(), 12)
        assert re.search(r"No news from the gateway for \d+\s*s", page.inner_text("#old")), page.inner_text("#old")
        assert page.inner_text("#pulse") == "no news"
        assert "grayscale" in page.evaluate("getComputedStyle(document.querySelector('main')).filter")
        home.processes["gateway"].send_signal(signal.SIGCONT)
        until("news again", lambda: not page.locator("body.stale").count(), 15)
        assert not watcher.wrong, watcher.wrong
        home.processes["gateway"].kill()
        home.processes["gateway"].wait()
        until("a grey page", lambda: page.locator("body.stale").count(), 15)
        home.gateway()
        until("news from the new gateway", lambda: not page.locator("body.stale").count(), 40)
        watcher.expect_loss()
        assert not watcher.wrong, watcher.wrong
    said("a gateway that hangs, or is killed, makes the page grey with the age in words; it comes back by itself")


def hidden_tab(browser: Browser, home: Home) -> None:
    watching = lambda: json.loads(home.ask("/api/state"))["outputs"]["web"]["watching"]  # noqa: E731
    with opened(browser, home) as (page, _):
        until("a stream", lambda: watching() == 1)
        page.evaluate(HIDDEN, True)
        until("no stream of a hidden tab", lambda: watching() == 0)
        page.evaluate(HIDDEN, False)
        until("a stream again", lambda: watching() == 1)
    said("a tab that is hidden holds no stream")


def metrics(home: Home) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        return said("promtool is not installed (Debian package prometheus): metrics not checked by it")
    done = subprocess.run([tool, "check", "metrics"], input=home.ask("/metrics"), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return said("promtool accepts /metrics of 2 packs")


def take_pictures(browser: Browser, home: Home, folder: Path) -> None:
    """For the documentation: the demo, once its packs were full and it is evening."""
    home.start("demo", "demo", "--for", "10m")
    log = home.folder / "demo.log"
    home.address = until("the demo's page", lambda: re.search(r"page: (http://\S+)/", log.read_text()))[1]
    ten = {"origins": [{"origin": home.address, "localStorage": [{"name": "span", "value": "10m"}]}], "cookies": []}
    with opened(browser, home, "plots", storage_state=ten) as (page, _):
        until("float", lambda: page.locator("rect.band.float").count(), 200)
        page.wait_for_timeout(25_000)
    for view, scheme, size in PICTURES:
        with opened(browser, home, view, size=WIDTHS[size], color_scheme=scheme, storage_state=ten) as (page, _):
            page.wait_for_timeout(2500)
            picture = folder / f"{view}-{scheme}{'' if size == 'desk' else '-phone'}.png"
            page.screenshot(path=str(picture))
            subprocess.run([PYTHON, "-c", FEW_COLOURS, str(picture)], check=True)
    said(f"pictures in {folder}")


def main() -> int:
    """Run every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--pictures", type=Path, help="put screenshots here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Home(Path(folder))
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chosen.browser, args=flags)
        try:
            home.pack("rack-1", "jbd", "--seed", "1")
            home.pack("rack-2", "jk_pb", "--seed", "2")
            home.gateway()
            until("both batteries", lambda: len(json.loads(home.ask("/api/state"))["limits"]) == 3)
            values_move(browser, home)
            every_view(browser, home)
            contrast(browser, home)
            keyboard(browser, home)
            languages(browser, home)
            hidden_tab(browser, home)
            metrics(home)
            plug_pulled(browser, home)
            gateway_hangs(browser, home)
            if chosen.pictures:
                take_pictures(browser, home, chosen.pictures)
        except (AssertionError, Error) as fault:
            print(f"FAILED  {fault}", file=sys.stderr)
            return 1
        finally:
            browser.close()
            home.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
