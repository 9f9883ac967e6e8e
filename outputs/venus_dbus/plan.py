"""What a service is before it knows any value, and the paths that say so.  Pure."""

from dataclasses import dataclass

from outputs.venus_dbus.tree import Item, Tree, hexadecimal, plain, typed


@dataclass(frozen=True, slots=True)
class Plan:
    """What a service is before it knows any value."""

    name: str  # com.victronenergy.battery.<...>
    identity: str  # stable; localsettings keeps the instance under it
    instance: int  # the wish
    battery: str  # whom commands are for; "" = the whole bank
    custom_name: str
    product_name: str
    product_id: int
    version: str
    writable: bool
    bms: bool  # has limits
    cells: str  # layout of their paths
    midpoint: bool
    min_interval: float  # s
    slow_interval: float  # s


def fixed_items(plan: Plan) -> Tree:
    """The paths that never change, or only by the user's hand."""
    tree = Tree()
    for path, item in (
        ("/Mgmt/ProcessName", Item("s", plain, "bms-gateway")),
        ("/Mgmt/ProcessVersion", Item("s", plain, plan.version)),
        ("/DeviceInstance", Item("i", plain, plan.instance)),
        ("/ProductId", Item("i", hexadecimal, plan.product_id)),
        ("/ProductName", Item("s", plain, plan.product_name)),
        ("/CustomName", Item("s", plain, typed("s", plan.custom_name), writable=True)),
        ("/Connected", Item("i", plain, 1)),
        ("/Settings/HasTemperature", Item("i", plain, 1)),
        ("/History/CanBeCleared", Item("i", plain, int(plan.bms and plan.writable))),
    ):
        tree.add(path, item)
    if plan.bms:
        tree.add("/Capabilities/ChargeVoltageControl", Item("i", plain, 1))
    return tree
