//! `ghostship crds`: prints the definitions of all kinds.

use super::console::Console;
use super::exit::Exit;
use crate::api;

/// Prints one YAML document per kind.
pub fn print(console: &Console) -> Exit {
    match api::crds::yaml() {
        Ok(text) => {
            console.print(text.trim_end());
            Exit::Done
        }
        Err(error) => {
            console.note(&format!("error: cannot write the definitions: {error}"));
            Exit::Failed
        }
    }
}
