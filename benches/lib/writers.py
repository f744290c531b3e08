"""The application: sysbench writers, seen second by second.

In: sysbench options and a folder for the writers' own records. Out: samples, summaries of spans of time and the
longest stall within a span. Must not know: what runs beside the writers.
"""

import re
import statistics
import subprocess
import threading
import time
from pathlib import Path

SAMPLE = re.compile(r"tps: ([\d.]+) .*lat \(ms,95%\): ([\d.]+) err/s: ([\d.]+)")
START_SECONDS = 30
STOP_SECONDS = 10


class Writers:
    """A running sysbench; a context manager that ends it."""

    def __init__(self, command, log_path, stall_dir):
        self.samples = []
        self._stall_dir = Path(stall_dir)
        self._log_path = log_path
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_SECONDS)

    def running(self):
        """Whether the load is still held."""
        return self._process.poll() is None

    def wait_first_sample(self):
        """Waits for the first second of load; returns whether it came."""
        deadline = time.monotonic() + START_SECONDS
        while not self.samples and self.running() and time.monotonic() < deadline:
            time.sleep(0.1)
        return bool(self.samples)

    def summary(self, start, end):
        """Figures of the seconds that touch the span; None when there are none."""
        chosen = [s for s in self.samples if s["at"] > start and s["at"] - 1 < end]
        if not chosen:
            return None
        tps = [s["tps"] for s in chosen]
        p95 = [s["p95_ms"] for s in chosen if s["tps"] > 0]
        return {
            "seconds": len(chosen),
            "tps": statistics.median(tps),
            "tps_worst": min(tps),
            "p95_ms": statistics.median(p95) if p95 else None,
            "p95_ms_worst": max(p95, default=None),
            "errors": round(sum(s["errors"] for s in chosen)),
        }

    def longest_stall_ms(self, start, end):
        """The longest transaction that overlaps the span; None when no transaction ended in it or after it."""
        lengths = [b - a for a, b in self._transactions() if b >= start and a <= end]
        return max(lengths) * 1000 if lengths else None

    def _transactions(self):
        for file in self._stall_dir.glob("thread-*"):
            for line in file.read_text().splitlines():
                words = line.split()
                if len(words) == 2:
                    yield float(words[0]), float(words[1])

    def _read(self):
        with open(self._log_path, "w", encoding="utf-8") as log:
            for line in self._process.stdout:
                log.write(line)
                if found := SAMPLE.search(line):
                    tps, p95, errors = map(float, found.groups())
                    self.samples.append({"at": time.monotonic(), "tps": tps, "p95_ms": p95, "errors": errors})
