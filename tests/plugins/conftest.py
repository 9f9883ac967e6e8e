"""The library needs Python 3.12: there it is used, below it is said that it cannot be."""

import sys

collect_ignore = ["test_without.py"] if sys.version_info >= (3, 12) else ["test_with.py"]
