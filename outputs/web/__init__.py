"""A page to look at, JSON, and metrics for Prometheus, over HTTP; nothing here is loaded unless it is configured.

    Snapshot --> state.py, metrics.py  what is told, by the list of published values
             --> history.py, disk.py   what was, for the plots
             --> routes.py             what lies at which address
             --> server.py, live.py    sockets: bounded, and nobody who does not read keeps anybody waiting
    page/                              what the browser gets: no library, no build step, texts in a file a language

h11 frames HTTP; who may ask is decided in admission.py, and what may be changed from outside goes through doors.py.
"""
