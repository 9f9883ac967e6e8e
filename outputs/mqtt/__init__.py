"""The MQTT output, with discovery messages for Home Assistant.  Off unless configured; needs the extra `mqtt`."""
