"""Bleak, BlueZ and the kernel's Bluetooth in a virtual machine against simulated BMSs: ./dev test-bluetooth."""
