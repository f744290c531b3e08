//! The commands that people type. Files and flags in, text or JSON lines out; the only part of the
//! library that prints.

mod changes;
pub mod console;
pub mod control_file;
pub mod controller;
pub mod crds;
pub mod entry;
pub mod exit;
pub mod failure;
pub mod live;
pub mod live_view;
pub mod manifest;
mod notices;
pub mod overlay;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod token;
pub mod verbs;
pub mod worker;
