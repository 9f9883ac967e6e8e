"""A small process that starts others: starting one from a large Python stops it, and the guest's only processor."""

import subprocess
import threading


class Shell:
    """`sh`, begun before anything is timed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(("sh",), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._turn = threading.Lock()

    def run(self, command: str) -> None:
        """Run a command to its end.  Raises RuntimeError when it fails; to be called in a thread."""
        pipes = self._process
        assert pipes.stdin is not None and pipes.stdout is not None
        with self._turn:
            print(f"{{ {command}; }} >&2; echo $?", file=pipes.stdin, flush=True)
            status = pipes.stdout.readline().strip()
        if status != "0":
            raise RuntimeError(f"{command}: exit status {status}")

    def stop(self) -> None:
        """End it, and whatever it left in the background."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
