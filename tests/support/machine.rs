//! How busy the machine is, for a failure to tell: what takes its time decides whether a promise was
//! broken or nothing could be kept.

use std::fs;
use std::process::Command;

/// Processes that are named.
const BUSIEST: usize = 8;

/// The busiest processes, how the processors' time was spent, load, and what waits for processor, disk and
/// memory, on a few lines.
pub(crate) fn describe() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let pressure = ["cpu", "io", "memory"].map(|what| {
        let text = fs::read_to_string(format!("/proc/pressure/{what}")).unwrap_or_default();
        format!("{what} {}", text.lines().next().unwrap_or("unknown"))
    });
    format!("{}\nload {}\n{}", processors(), load.trim(), pressure.join("\n"))
}

/// The busiest processes, and how the processors' time was spent.
fn processors() -> String {
    // The first look of top is about the whole life of a process.
    let output = Command::new("top").args(["-b", "-n", "2", "-d", "1", "-w", "120"]).output();
    let Ok(output) = output else {
        return "the busiest processes are unknown: there is no top here".to_owned();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines_from = |word: &str, count: usize| -> Vec<String> {
        let last = text.rfind(word).map_or("", |at| &text[at..]);
        last.lines().take(count).map(|line| line.trim_end().to_owned()).collect()
    };
    [lines_from("PID ", BUSIEST + 1), lines_from("%Cpu", 1)].concat().join("\n")
}
