"""Takes out of texts what is nobody's business, and keeps what relates: the same thing gets the same stand-in.

Passwords and the like go by their keys, in comments too, and then wherever else they occur.  Of a MAC the maker's half
stays.  Local addresses stay: they tell nothing outside, and much about a fault.  Sheet: face.md 7.
"""

import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

MASK: Final = "MASKED"
SECRET_KEY: Final = (
    r"[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|username|user|login|ssid|psk|portal[_-]?id)"
)
SECRET: Final = re.compile(SECRET_KEY, re.I)
QUOTED: Final = r"""(?:"(?:\\.|[^"\\\n])*"|'(?:''|[^'\n])*')"""
PLAIN: Final = r"(?:(?<!\s)#|[^#\n])*"
WHOLE: Final = re.compile(
    r"(?P<key>^(?:[\s-]*|.*?(?:^|\s)#(?:.*?[\s#;({,-])?)"
    rf"""["']?{SECRET_KEY}["']?\s*[:=][ \t]*)(?P<value>{QUOTED}|[^\s#]{PLAIN})""",
    re.I | re.M,
)
"""In a line that begins with the key, and in a comment: all that is left of it is the value."""
LINE: Final = re.compile(
    rf"""(?P<key>[\s#;(-]["']?{SECRET_KEY}["']?\s*[:=][ \t]*)(?P<value>{QUOTED}|[^\s#,}}](?:(?<!\s)#|[^#\n,}}])*)""",
    re.I,
)
INLINE: Final = re.compile(rf"""(?P<key>[{{,]\s*["']?{SECRET_KEY}["']?\s*:\s*)(?P<value>{QUOTED}|[^,}}\n]+)""", re.I)
FORMS: Final = (WHOLE, LINE, INLINE)
JSON_VALUE: Final = re.compile(rf"""(?P<key>"{SECRET_KEY}"\s*:\s*")(?P<value>(?:\\.|[^"\\])+)""", re.I)
KEY: Final = re.compile(r"(?:^|[\s{,])([\w-]+)(?=\s*:)", re.M)
COMMENT: Final = re.compile(r"(?:^|\s)#.*", re.M)
MAC: Final = re.compile(r"\b((?:[0-9A-Fa-f]{2}[:-]){3})((?:[0-9A-Fa-f]{2}[:-]){2}[0-9A-Fa-f]{2})\b")
MAIL: Final = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s:@]+(?::[^/\s@]*)?(?=@)")
HOME: Final = re.compile(r"(?<=/home/)[^/\s\"']+")
HARMLESS: Final = re.compile(r"null|~|true|false|\d{1,3}|[\[{].*", re.I)
SHORTEST: Final = 4  # characters of a secret that is looked for everywhere


class Redactor:
    """One for all texts of a report, so that stand-ins agree."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._numbers: dict[str, int] = {}
        self.masked: dict[str, int] = {}  # kind -> how many different ones
        self._names = [name for name in (platform.node(), os.environ.get("SUDO_USER", "")) if len(name) >= SHORTEST]

    def learn(self, text: str, words: Iterable[str] = ()) -> None:
        """Note the secrets in a configuration, before anything is masked.

        What is part of one of its keys, or of `words`, is masked beside its own key alone: a report in which `mqtt` is
        masked everywhere, since the user is called so, says nothing and cannot be played.
        """
        public = [*words, *KEY.findall(COMMENT.sub("", text))]
        for form in FORMS:
            for found in form.finditer(text):
                value = found["value"].strip().strip("\"'")
                if len(value) < SHORTEST or HARMLESS.fullmatch(value) or any(value in word for word in public):
                    continue
                self._secrets.add(value)

    def text(self, text: str) -> str:
        """Without any of it.  Nothing of it is left where this itself fails: then the whole text is masked."""
        for form in (*FORMS, JSON_VALUE):
            text = form.sub(self._value, text)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, self._counted("secret", secret, lambda number: MASK))
        text = MAC.sub(lambda m: self._counted("address", m[0].lower(), lambda n: _mac(m[1], n)), text)
        text = CREDENTIALS.sub(lambda m: self._counted("secret", m[0], lambda number: MASK), text)
        text = MAIL.sub(lambda m: self._counted("e-mail", m[0], lambda n: f"{MASK}-{n}"), text)
        text = HOME.sub(lambda m: self._counted("home", m[0], lambda n: f"home-{n}"), text)
        for name in self._names:
            text = re.sub(rf"\b{re.escape(name)}\b", lambda m: self._counted("name", m[0], lambda n: f"name-{n}"), text)
        return text

    def data(self, data: Any) -> Any:
        """The same for plain data; serial numbers become numbers."""
        return self._data(data, "")

    def _data(self, data: Any, key: str) -> Any:
        if isinstance(data, dict):
            return {name: self._data(value, str(name)) for name, value in data.items()}
        if isinstance(data, list | tuple):
            return [self._data(value, key) for value in data]
        if not isinstance(data, str):
            return data
        if SECRET.fullmatch(key) and data and not HARMLESS.fullmatch(data):
            return self._counted("secret", data, lambda number: MASK)
        if key in ("serial_number", "custom_name") and data:
            return self._counted(key, data, lambda number: f"{MASK}-{number}")
        return self.text(data)

    def _value(self, found: "re.Match[str]") -> str:
        value = found["value"].strip().strip("\"'")
        if not value or value == MASK or HARMLESS.fullmatch(value):
            return found[0]
        return found["key"] + self._counted("secret", value, lambda number: MASK)

    def _counted(self, kind: str, what: str, stand_in: Callable[[int], str]) -> str:
        known = f"{kind} {what}"
        if known not in self._numbers:
            self.masked[kind] = self._numbers[known] = self.masked.get(kind, 0) + 1
        return stand_in(self._numbers[known])

    def lines(self) -> Iterator[str]:
        """What was masked, for people."""
        for kind, count in self.masked.items():
            yield f"{count} different {kind}{'s' if count > 1 and not kind.endswith('s') else ''}"


def _mac(maker: str, number: int) -> str:
    """The maker's half, and a number that is no device's."""
    sign = maker[2]
    return maker + sign.join(f"{number >> shift & 255:02X}" for shift in (16, 8, 0))
