"""The demo: simulated packs, an inverter that obeys over CAN, a private D-Bus, and a live view."""
