"""One trial: one tool, one migration, with or without writers. Writes its figures as JSON.

In: options and, after --, the tool's command. Out: the file of --result. Exit status 0 whatever the tool did: how it
ended is a figure too. Must not know: which tool it runs or how tables are made.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import watched
from writers import Writers


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--cap", type=float, required=True, help="seconds")
    parser.add_argument("--server-pid", type=int)
    parser.add_argument("--before", type=float, default=0, help="seconds of load before the tool")
    parser.add_argument("--after", type=float, default=0, help="seconds of load after it")
    parser.add_argument("--load", action="append", default=[], help="one word of the writers' command; repeated")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main():
    options = parse()
    result = {"tool": options.tool, "scenario": options.scenario, "run": options.run}
    with tempfile.TemporaryDirectory() as stalls:
        with start_writers(options, stalls) as writers:
            result |= trial(options, writers)
    result["phases"], result["lock_seconds"] = own_report(log_of(options))
    said(result, log_of(options))
    options.result.write_text(json.dumps(result, indent=1) + "\n")


def start_writers(options, stalls):
    if not options.load:
        return nullcontext()
    command = [*options.load, f"--stall_dir={stalls}", "run"]
    return Writers(command, options.result.with_suffix(".writers.log"), stalls)


def trial(options, writers):
    began = time.monotonic()
    if writers:
        if not writers.wait_first_sample():
            return {"outcome": "no load", "seconds": None}
        began = time.monotonic()
        time.sleep(options.before)
    server_before = server_cpu(options)
    figures = watched.run(options.command, log_of(options), options.cap)
    server_after = server_cpu(options)
    if None not in (server_before, server_after):
        figures["server_cpu_seconds"] = server_after - server_before
    if writers:
        figures |= application(options, writers, began, figures)
    return figures


def application(options, writers, began, figures):
    start, end = figures["start"], figures["end"]
    time.sleep(max(options.after, 1))
    stall = writers.longest_stall_ms(start, end)
    held = {} if writers.running() else {"outcome": "load lost"}
    return held | {
        "before": writers.summary(began, start - 1),
        "during": writers.summary(start, end),
        "after": writers.summary(end + 1, time.monotonic()),
        "longest_stall_ms": stall,
    }


def said(result, log):
    where = "" if result["outcome"] == "finished" else f"; see {log}"
    seconds = f" after {result['seconds']:.1f} s" if result["seconds"] else ""
    print(f"bench: {result['scenario']}, run {result['run']}, {result['tool']}: {result['outcome']}{seconds}{where}",
          file=sys.stderr)


def server_cpu(options):
    return watched.cpu_seconds(options.server_pid) if options.server_pid else None


def log_of(options):
    return options.result.with_suffix(".log")


def own_report(log_path):
    """Phases and lock time as a tool reports them itself, in a JSON object with phaseSeconds on a line of its output."""
    if not log_path.exists():
        return [], None
    for line in reversed(log_path.read_text(errors="replace").splitlines()):
        if "phaseSeconds" not in line:
            continue
        try:
            report = find(json.loads(line), "phaseSeconds")
        except json.JSONDecodeError:
            continue
        if report:
            return report["phaseSeconds"], report.get("lockSeconds")
    return [], None


def find(value, name):
    """The first object, at any depth, that has the name."""
    if not isinstance(value, dict):
        return None
    if name in value:
        return value
    return next((found for child in value.values() if (found := find(child, name))), None)


if __name__ == "__main__":
    main()
