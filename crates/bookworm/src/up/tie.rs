//! A program that ends when the one that started it does, however that one ends.

use std::{convert::Infallible, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, bail};
use rustix::{
    process::{Pid, Signal, getppid, set_parent_process_death_signal},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

use crate::arguments::Tied;

/// Becomes the program that the arguments name. When the parent ends, killed or not, the system sends the signal.
///
/// # Errors
/// When it cannot be started, or the parent is gone already.
pub fn become_program(tied: &Tied) -> anyhow::Result<Infallible> {
    // Another user first: that change would take the tie away. The program has this one thread yet.
    if let (Some(uid), Some(gid)) = (tied.uid, tied.gid) {
        let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
        set_thread_groups(&[gid])
            .and_then(|()| set_thread_gid(gid))
            .and_then(|()| set_thread_uid(uid))
            .context("cannot run a program as another user")?;
    }
    let signal = if tied.interrupt { Signal::INT } else { Signal::TERM };
    set_parent_process_death_signal(Some(signal)).context("cannot tie a program to the one that starts it")?;
    if getppid().map(Pid::as_raw_pid) != Some(tied.parent) {
        bail!("the process that starts {} is gone", tied.program.display());
    }
    let failed = Command::new(&tied.program).args(&tied.arguments).exec();
    Err(failed).with_context(|| format!("cannot start {}", tied.program.display()))
}
