"""The battery as an inverter's CAN bus wants to see it.  A dialect is a DBC file: code knows values, not bits."""
