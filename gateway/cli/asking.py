"""Questions at a terminal, each with a safe answer that Enter takes, and each with an option that answers it before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from gateway.model import GatewayError
from gateway.model.words import meant


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks, or takes the safe answers without asking."""

    quiet: bool

    def ask(self, question: str, safe: Any, option: str, understood: Callable[[str], Any] = str) -> Any:
        """The answer, as `understood` makes of it (it raises GatewayError for what it does not); Enter = `safe`."""
        if self.quiet:
            return safe
        while True:
            said = self._said(f"{question} [{safe if safe != '' else 'none'}]", option).strip()
            if not said:
                return safe
            try:
                return understood(said)
            except GatewayError as problem:
                click.echo(f"  {problem}", err=True)

    def agrees(self, question: str, option: str, *, safe: bool) -> bool:
        """Yes or no."""
        return bool(self.ask(f"{question} (yes, no)", "yes" if safe else "no", option, _yes_no) in (True, "yes"))

    def _said(self, question: str, option: str) -> str:
        try:
            answer: str = click.prompt(question, default="", show_default=False, prompt_suffix=": ", err=True)
        except click.Abort:
            raise GatewayError(
                f"not answered: {question}; nothing was written; {option} says it, --yes for all"
            ) from None
        return answer


def _yes_no(said: str) -> bool:
    if said.lower() in ("y", "yes"):
        return True
    if said.lower() in ("n", "no"):
        return False
    raise GatewayError(f"{said!r}: expected yes or no")


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Understands one of these names; of another one it names the nearest."""

    def understood(said: str) -> str:
        if said.lower() in names:
            return said.lower()
        hint = meant(said.lower(), names, f"expected {', '.join(names)}")
        raise GatewayError(f"{said!r}: {hint}")

    return understood


def within(least: float, most: float, unit: str) -> Callable[[str], float]:
    """Understands a number in that range."""

    def understood(said: str) -> float:
        try:
            value = float(said.removesuffix(unit).strip())
        except ValueError:
            raise GatewayError(f"{said!r}: expected a number in {unit}, with a decimal point (3.45)") from None
        if not least <= value <= most:
            raise GatewayError(f"{value:g} {unit}: expected {least:g} to {most:g} {unit}")
        return value

    return understood
