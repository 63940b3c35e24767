//! How much memory there is.

use std::fs;

/// Bytes that can be taken without swapping: what Linux calls available, or what is left of the control group's limit.
/// `None` where the system does not say.
pub fn available() -> Option<u64> {
    let system = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let left = group.as_deref().and_then(group_path).and_then(|path| {
        let read =
            |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{path}/{name}")).ok()?.trim().parse().ok();
        let (limit, used): (u64, u64) = (read("memory.max")?, read("memory.current")?);
        // Cached files count as used, and are given up for memory.
        let files = fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.stat")).ok();
        let files = files.as_deref().and_then(|stat| field(stat, "inactive_file")).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(files)))
    });
    Some(left.map_or(system, |left: u64| left.min(system)))
}

/// `MemAvailable`, in bytes.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The process's group in the unified hierarchy.
fn group_path(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(if path == "/" { "" } else { path })
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        let text = "MemTotal:       24618704 kB\nMemFree:          537604 kB\nMemAvailable:   21810360 kB\n";
        assert_eq!(meminfo(text), Some(21_810_360 * 1024));
        assert_eq!(meminfo("MemTotal: 1 kB\n"), None);
        assert_eq!(group_path("1:name=systemd:/x\n0::/user.slice/a\n"), Some("/user.slice/a"));
        assert_eq!(group_path("0::/\n"), Some(""));
        assert_eq!(field("anon 5\ninactive_file 4096\n", "inactive_file"), Some(4096));
        #[cfg(target_os = "linux")]
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
