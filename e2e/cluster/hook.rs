// What a hook's pod runs in tests: it looks at what it was told and answers as the variable ANSWER says, an exit
// code with a message behind it, or `hang`. In: the environment and /ghostship/document.json. Out: the termination
// message; the exit status. Must not know: who asks.

use std::fs;
use std::process::exit;
use std::time::Duration;

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let document = fs::read_to_string("/ghostship/document.json").unwrap_or_default();
    let tells = |field: &str, value: String| document.contains(&format!("\"{field}\":\"{value}\""));
    let is_right = tells("id", variable("GHOSTSHIP_HOOK_ID"))
        && tells("stage", variable("GHOSTSHIP_STAGE"))
        && tells("migration", variable("GHOSTSHIP_MIGRATION"));
    if !is_right {
        println!("the document is {document:?}");
        exit(3);
    }
    let answer = variable("ANSWER");
    while answer == "hang" {
        std::thread::sleep(Duration::from_secs(1));
    }
    let (code, message) = answer.split_once(' ').unwrap_or((&answer, ""));
    let Ok(code) = code.parse() else {
        println!("ANSWER is {answer:?}");
        exit(4);
    };
    if code == 0 {
        // Who allows says so where only a message of its own is read.
        if let Err(error) = fs::write("/dev/termination-log", message) {
            println!("the message cannot be written: {error}");
            exit(5);
        }
    } else {
        // The end of the log is the message of whoever fails without one.
        println!("{message}");
    }
    exit(code);
}
