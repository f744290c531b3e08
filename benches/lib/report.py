"""Turns the JSON files of trials into tables: medians, and smallest to largest.

In: `migrations` or `cut-overs` and a folder. Out: Markdown on stdout. Must not know: how the figures were obtained.
"""

import json
import statistics
import sys
from pathlib import Path

ENDED = ("finished", "capped")


def main():
    kind, folder = sys.argv[1], Path(sys.argv[2])
    trials = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    if not trials:
        sys.exit(f"there are no results in {folder}")
    {"migrations": migrations, "cut-overs": cut_overs}[kind](trials)


def migrations(trials):
    for scenario, of_scenario in grouped(trials, "scenario").items():
        print(f"\n### {scenario}\n")
        resources(of_scenario)
        if any("before" in trial for trial in of_scenario):
            application(of_scenario)
        phases(of_scenario)


def resources(trials):
    head = ["tool", "finished", "total, s", "worker CPU, s", "worker peak memory, MiB", "server CPU, s"]
    rows = []
    for tool, of_tool in grouped(trials, "tool").items():
        done = [t for t in of_tool if t["outcome"] == "finished"]
        shown = done or [t for t in of_tool if t["outcome"] in ENDED]
        rows.append([
            tool,
            f"{len(done)} of {len(of_tool)}{failures(of_tool)}",
            spread(done, ("seconds",), 1),
            spread(shown, ("cpu_seconds",), 2),
            spread(shown, ("rss_kib",), 1, 1 / 1024),
            spread(shown, ("server_cpu_seconds",), 1),
        ])
    table(head, rows)


def application(trials):
    head = ["tool", "tps before", "during", "after", "worst second", "p95 before, ms", "during", "after",
            "worst second", "longest stall, ms", "errors"]
    rows = []
    for tool, of_tool in grouped(trials, "tool").items():
        held = [t for t in of_tool if t["outcome"] in ENDED]
        spans = ("before", "during", "after")
        rows.append([
            tool,
            *(spread(held, (span, "tps"), 0) for span in spans),
            spread(held, ("during", "tps_worst"), 0),
            *(spread(held, (span, "p95_ms"), 1) for span in spans),
            spread(held, ("during", "p95_ms_worst"), 1),
            spread(held, ("longest_stall_ms",), 0),
            spread(held, ("during", "errors"), 0),
        ])
    print()
    table(head, rows)


def phases(trials):
    for tool, of_tool in grouped(trials, "tool").items():
        seconds = {}
        for trial in of_tool:
            for phase, value in trial.get("phases") or []:
                seconds.setdefault(phase, []).append(value)
        if seconds:
            print(f"\nPhases of {tool}:\n")
            table(["phase", "seconds"], [[phase, figure(values, 2)] for phase, values in seconds.items()])


def cut_overs(trials):
    head = ["tool", "finished", "p50, ms", "p95, ms", "longest, ms", "own report of the lock, p50, ms", "longest, ms"]
    rows = []
    for tool, of_tool in grouped(trials, "tool").items():
        done = [t for t in of_tool if t["outcome"] == "finished"]
        stalls = values(done, ("longest_stall_ms",))
        locks = values(done, ("lock_seconds",), 1000)
        rows.append([
            tool,
            f"{len(done)} of {len(of_tool)}{failures(of_tool)}",
            *(percentile(stalls, share) for share in (50, 95, 100)),
            percentile(locks, 50),
            percentile(locks, 100),
        ])
    print("\n### Longest writer stall per migration of a small table\n")
    table(head, rows)


def grouped(trials, key):
    groups = {}
    for trial in trials:
        groups.setdefault(trial[key], []).append(trial)
    return groups


def failures(trials):
    others = sorted({t["outcome"] for t in trials} - {"finished"})
    return f" ({', '.join(others)})" if others else ""


def values(trials, path, factor=1):
    found = []
    for value in trials:
        for name in path:
            value = (value or {}).get(name)
        if value is not None:
            found.append(value * factor)
    return found


def spread(trials, path, digits, factor=1):
    return figure(values(trials, path, factor), digits)


def figure(numbers, digits):
    if not numbers:
        return "–"
    median = f"{statistics.median(numbers):.{digits}f}"
    if len(numbers) == 1:
        return median
    return f"{median} ({min(numbers):.{digits}f}–{max(numbers):.{digits}f})"


def percentile(numbers, share):
    """The smallest number that at least this share of all does not exceed."""
    if not numbers:
        return "–"
    rank = -(-len(numbers) * share // 100)
    return f"{sorted(numbers)[rank - 1]:.0f}"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
