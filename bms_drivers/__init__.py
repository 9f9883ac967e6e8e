"""The BMSs we can read: one file each, with their links (the only code that opens devices) and simulators."""
