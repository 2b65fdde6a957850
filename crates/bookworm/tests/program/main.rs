//! The real program as a process: under attack, at its end, killed over its work, and what it writes down.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod crowds;
mod ending;
mod imports;
mod init;
mod logs;
mod program;
mod prometheus;
mod starting;
mod traces;
mod up;
