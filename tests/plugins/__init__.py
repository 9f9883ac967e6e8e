"""The bridge to the library aiobmsble: its table everywhere, the library itself where there is a Python for it."""
