//! Named points at which a test stops, kills or misleads the process, and guards that a test removes
//! to see the loss they prevent. Compiled only with the `failpoints` feature; otherwise every
//! function here is empty and no trace of it is left in the binary.

/// A guard of the exactness argument that a test may take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Holding the keys of ranges in flight.
    Hold,
    /// Waiting until received transactions are visible.
    Gate,
    /// Keeping the durable position out of the span between an XA PREPARE and its end.
    XaSpan,
    /// Queueing what a chunk of text keys held when it gives its range up.
    Requeue,
}

#[cfg(not(feature = "failpoints"))]
mod disabled {
    use crate::failpoint::Guard;

    /// Whether a test took this guard away: never.
    #[inline]
    pub const fn is_removed(_guard: Guard) -> bool {
        false
    }

    /// A named point: nothing happens.
    #[inline]
    pub const fn hit(_name: &str) {}
}

#[cfg(not(feature = "failpoints"))]
pub use disabled::{hit, is_removed};

#[cfg(feature = "failpoints")]
mod enabled {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    use crate::failpoint::Guard;

    /// Where a held point tells of itself: a container that is read-only has this folder as well.
    const HELD: &str = "/dev/shm";
    /// Between two looks whether it may go on.
    const LOOK: Duration = Duration::from_millis(10);

    static ARMED: LazyLock<Mutex<HashMap<String, Point>>> = LazyLock::new(Mutex::default);

    thread_local! {
        static REMOVED_HERE: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    #[derive(Clone, Debug)]
    struct Point {
        action: Action,
        /// Hits to let pass before the action.
        skip: u64,
    }

    #[derive(Clone, Debug)]
    enum Action {
        /// SIGKILL to the own process.
        Kill,
        /// SIGSTOP to the own process: it goes on after SIGCONT.
        Stop,
        /// The task waits until somebody removes the file `held-NAME`, which it makes: for a container,
        /// whose first process cannot stop itself.
        Hold,
        /// The guard of this name is removed.
        Remove,
    }

    /// Arms points from `name=action[@skip]` items separated by `;`.
    pub fn arm(text: &str) -> Result<(), String> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        for item in text.split(';').filter(|item| !item.is_empty()) {
            let (name, action) =
                item.split_once('=').ok_or_else(|| format!("no action: {item}"))?;
            let (action, skip) = action.split_once('@').unwrap_or((action, "0"));
            let action = match action {
                "kill" => Action::Kill,
                "stop" => Action::Stop,
                "hold" => Action::Hold,
                "remove" => Action::Remove,
                other => return Err(format!("unknown action: {other}")),
            };
            let skip = skip.parse().map_err(|_| format!("not a number: {skip}"))?;
            armed.insert(name.to_owned(), Point { action, skip });
        }
        Ok(())
    }

    /// Whether a test took this guard away.
    pub fn is_removed(guard: Guard) -> bool {
        if REMOVED_HERE.get() == Some(guard) {
            return true;
        }
        let name = format!("guard.{guard:?}");
        let armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(armed.get(&name), Some(Point { action: Action::Remove, .. }))
    }

    /// Removes a guard on this thread only.
    pub fn remove_here(guard: Option<Guard>) {
        REMOVED_HERE.set(guard);
    }

    /// A named point: the armed action happens when its turn has come.
    pub fn hit(name: &str) {
        let signal = match take(name) {
            Some(Action::Kill) => "KILL",
            Some(Action::Stop) => "STOP",
            Some(Action::Hold) => return hold(name),
            Some(Action::Remove) | None => return,
        };
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &own]).status();
        if sent.is_err() {
            std::process::abort();
        }
        if signal == "KILL" {
            loop {
                std::thread::park();
            }
        }
    }

    fn hold(name: &str) {
        let file = Path::new(HELD).join(format!("held-{name}"));
        if std::fs::write(&file, []).is_err() {
            std::process::abort();
        }
        while file.exists() {
            std::thread::park_timeout(LOOK);
        }
    }

    /// The action whose turn has come, disarmed: two tasks that meet at a point would else both stop the
    /// process, the second one after it was told to go on.
    fn take(name: &str) -> Option<Action> {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let point = armed.get_mut(name)?;
        if point.skip > 0 {
            point.skip -= 1;
            return None;
        }
        armed.remove(name).map(|point| point.action)
    }
}

#[cfg(feature = "failpoints")]
pub use enabled::{arm, hit, is_removed, remove_here};
