"""Runs one command to its end or its cap and tells what it used.

In: the command, a log file for its output, a cap in seconds. Out: outcome, times, CPU seconds and peak memory.
Must not know: what the command does.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

POLL_SECONDS = 0.02
GRACE_SECONDS = 10


def run(command, log_path, cap):
    """Returns a dict with outcome (finished, capped or failed), start, end, seconds, cpu_seconds and rss_kib."""
    with open(log_path, "wb") as log:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status, usage, rss_kib, capped = _watch(process.pid, start + cap)
        except BaseException:
            _signal_group(process.pid, signal.SIGKILL)
            raise
    end = time.monotonic()
    outcome = "capped" if capped else "finished" if status == 0 else "failed"
    return {
        "outcome": outcome,
        "start": start,
        "end": end,
        "seconds": end - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "rss_kib": rss_kib,
    }


def cpu_seconds(pid):
    """CPU seconds that a running process has used so far; None when it cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _watch(pid, deadline):
    rss_kib = 0
    capped = False
    while True:
        rss_kib = max(rss_kib, _peak_rss_kib(pid))
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage, rss_kib, capped
        if time.monotonic() > deadline:
            _signal_group(pid, signal.SIGKILL if capped else signal.SIGTERM)
            deadline += GRACE_SECONDS
            capped = True
        time.sleep(POLL_SECONDS)


def _peak_rss_kib(pid):
    # ru_maxrss would count the memory of this process before the exec; VmHWM starts with the new program.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _signal_group(pid, number):
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass
