"""Devices that answer like a BMS: for the demo, for tests, and for users without hardware."""
