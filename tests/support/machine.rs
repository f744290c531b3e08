//! How busy the machine is, for a failure to tell: what takes its time decides whether a promise was
//! broken or nothing could be kept.

use std::fs;
use std::process::Command;

/// Processes that are named.
const BUSIEST: usize = 8;

/// Load, what waits for processor, disk and memory, and the busiest processes, on a few lines.
pub(crate) fn describe() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let pressure = ["cpu", "io", "memory"].map(|what| {
        let text = fs::read_to_string(format!("/proc/pressure/{what}")).unwrap_or_default();
        format!("{what} {}", text.lines().next().unwrap_or("unknown"))
    });
    format!("load {}\n{}\n{}", load.trim(), pressure.join("\n"), busiest())
}

fn busiest() -> String {
    // The first look of top is about the whole life of a process.
    let output = Command::new("top").args(["-b", "-n", "2", "-d", "1", "-w", "120"]).output();
    let Ok(output) = output else {
        return "the busiest processes are unknown: there is no top here".to_owned();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.rfind("PID ").map_or("", |at| &text[at..]);
    last.lines().take(BUSIEST + 1).map(str::trim_end).collect::<Vec<_>>().join("\n")
}
