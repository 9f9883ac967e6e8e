"""What may be asked on the control socket, as plain data both ways; `gateway.control` carries it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.evidence import pack
from gateway.model import Command, CommandError, Outcome
from outputs.output import Historian

if TYPE_CHECKING:
    from gateway.app import Gateway

Json = dict[str, Any]
CLI: Final = "cli"  # whoever reaches the socket is the user who runs the gateway, or root


@dataclass(frozen=True, slots=True)
class Question:
    """One kind: how it is answered, and the keys that it needs beside "ask"."""

    answer: "Callable[[Gateway, Json], Awaitable[Json]]"
    needs: tuple[str, ...] = ()


async def answer(gateway: "Gateway", request: Json) -> Json:
    """The answer to one request; an error, in words, to what nobody can ask."""
    question = QUESTIONS.get(str(request.get("ask")))
    if question is None or not request.keys() >= set(question.needs):
        return {"error": f"unknown request, expected {' or '.join(_forms())}"}
    return await question.answer(gateway, request)


async def _state(gateway: "Gateway", request: Json) -> Json:
    return gateway.state()


async def _command(gateway: "Gateway", request: Json) -> Json:
    try:
        command = Command(request["action"], request["value"], str(request.get("battery", "")), CLI)
    except CommandError as problem:
        return {"outcomes": [_plain(Outcome(False, False, str(problem)))]}
    return {"outcomes": [_plain(outcome) for outcome in await gateway.command(command)]}


async def _restrict(gateway: "Gateway", request: Json) -> Json:
    return gateway.restrict(CLI, request["order"]).json()


async def _unrestrict(gateway: "Gateway", request: Json) -> Json:
    return gateway.settled(gateway.remote.clear()).json()


async def _audit(gateway: "Gateway", request: Json) -> Json:
    return {"audit": list(gateway.remote.audit)}


async def _evidence(gateway: "Gateway", request: Json) -> Json:
    """Taken at once; made fit to travel in a thread, as it takes its time."""
    taken = gateway.evidence.take(gateway.plan.batteries, gateway.plan.ports)
    events = [asdict(event) for event in gateway.events]
    told = {**taken, "state": gateway.state(), "audit": list(gateway.remote.audit), "events": events}
    for output in gateway.plan.outputs.values():
        if isinstance(output, Historian):
            told["history"] = await output.last_hour()
    return await asyncio.to_thread(pack, told)


QUESTIONS: Final[Mapping[str, Question]] = {
    "state": Question(_state),
    "command": Question(_command, ("action", "value")),
    "restrict": Question(_restrict, ("order",)),
    "unrestrict": Question(_unrestrict),
    "audit": Question(_audit),
    "evidence": Question(_evidence),
}


def _forms() -> list[str]:
    """What there is to be asked, as it is written."""
    return [
        "{" + ", ".join((f'"ask": "{name}"', *map('"{}"'.format, one.needs))) + "}" for name, one in QUESTIONS.items()
    ]


def _plain(outcome: Outcome) -> Json:
    return {"accepted": outcome.accepted, "confirmed": outcome.confirmed, "note": outcome.note}
