"""One battery on an RS485 line, for inverters without CAN: it answers what they ask, and never speaks unasked."""
