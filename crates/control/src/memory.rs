//! Whether the process has nearly all the memory that it may have.
//!
//! Workers refuse requests while that is so. It looks once a second, on the control thread. Entry point: [`watch`].

use std::sync::Arc;
use std::time::Duration;

use dataplane::Shared;
use tokio::task::JoinHandle;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Tells workers when the process has so many percent of the memory that it may have. Ends with whoever holds it.
#[derive(Debug)]
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to look; `None` for a percentage looks at nothing.
pub(crate) fn watch(percent: Option<u32>, shared: &Arc<Shared>) -> Watch {
    let shared = Arc::clone(shared);
    Watch(tokio::task::spawn_local(async move {
        let most = percent.and_then(|percent| Some(limit()? / 100 * u64::from(percent)));
        loop {
            let is_short = most.is_some_and(|most| resident().is_some_and(|bytes| bytes > most));
            shared.memory_is_short(is_short);
            if most.is_none() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }))
}

/// The memory that the process may have, in bytes: that of its control group, or of the machine.
fn limit() -> Option<u64> {
    let machine = kib("/proc/meminfo", "MemTotal:")?;
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = groups.iter().find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    // A group without a limit has one that no machine has.
    Some(group.unwrap_or(u64::MAX).min(machine))
}

fn resident() -> Option<u64> {
    kib("/proc/self/status", "VmRSS:")
}

/// The bytes that a line of a file of the system says in kibibytes.
fn kib(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_how_much_there_is_and_how_much_is_used() {
        let (limit, used) = (limit().unwrap(), resident().unwrap());
        assert!(limit > used && used > 1_000_000, "{used} of {limit}");
    }
}
