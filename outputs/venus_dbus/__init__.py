"""Venus OS: the bank as a `com.victronenergy.battery` service, with the limits that Victron's DVCC follows.

    Snapshot --> ../view.py what is said about a battery
             --> paths.py  under which path, rounded
             --> tree.py   what changed
             --> service.py, one D-Bus connection a service --> ItemsChanged

settings.py, paths.py, tree.py, controls.py and pace.py are pure; bus.py, claim.py, service.py and thread.py
speak dbus-python and run on one thread of their own; output.py is the event loop's end of it.
"""
