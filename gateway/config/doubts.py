"""What is allowed but perhaps not meant: said at start and by `check`, never a reason to refuse."""

from gateway.config.parts import missing_parts
from gateway.config.schema import AUTO, SIMULATED, BatterySettings, Catalogue, Settings, installed
from gateway.limits.checks import doubts as limit_doubts


def doubts(settings: Settings, catalogue: Catalogue | None = None) -> list[str]:
    """One sentence for each thing that looks unintended; each begins with the key it is about."""
    found = [*missing_parts(settings), *_outputs(settings), *_bank(settings), *limit_doubts(settings.limits)]
    for battery in settings.batteries:
        found += _battery(battery, catalogue or installed())
        if battery.limits is not None:
            found += [f"{battery.name}: {doubt}" for doubt in limit_doubts(battery.limits) if doubt not in found]
    return found


def _outputs(settings: Settings) -> list[str]:
    if not settings.outputs:
        return ["outputs: none is configured, so the gateway tells nobody; expected can_bms or venus_dbus"]
    return []


def _bank(settings: Settings) -> list[str]:
    found = []
    if not any(battery.control for battery in settings.batteries):
        found.append("batteries: all have control: false, so no limits are ever given")
    for name in ("charge_current_limit", "discharge_current_limit"):
        if getattr(settings.bank, name) == 0:
            found.append(f"bank.{name}: 0 A forbids this direction for ever; remove the line for no cap")
    kinds = {battery.port == SIMULATED for battery in settings.batteries}
    if kinds == {True, False}:
        found.append("batteries: simulated and real ones in one bank; limits will rest on invented values")
    return found


def _battery(battery: BatterySettings, catalogue: Catalogue) -> list[str]:
    if battery.address is not None and battery.driver != AUTO and not catalogue.has_addresses(battery.driver):
        return [f"{battery.name}: address {battery.address} is not used, {battery.driver} has no addresses"]
    return []
