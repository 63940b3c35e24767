//! How much memory there is.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that can be taken without swapping: the least of what Linux calls available, what is left under the limits of the control
/// groups that this process is in, and what is left under its own limit of address space (`ulimit -v`). `None` where the system does
/// not say.
pub fn available() -> Option<u64> {
    let system = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = of_groups(&groups, Path::new("/sys/fs/cgroup"));
    let own = fs::read_to_string("/proc/self/limits").ok().zip(fs::read_to_string("/proc/self/status").ok());
    let own = own.and_then(|(limits, status)| of_process(&limits, &status));
    [groups, own].into_iter().flatten().chain([system]).min()
}

/// A line of `/proc/meminfo` or `/proc/self/status`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What is left of the address space: what an allocator has reserved and does not use yet is not gone.
fn of_process(limits: &str, status: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let [size, data, used] = ["VmSize:", "VmData:", "RssAnon:"].map(|name| kibibytes(status, name));
    Some(limit.saturating_sub((size? + used?).saturating_sub(data?)))
}

/// The least that is left in the groups of a process, and in those above them.
fn of_groups(list: &str, root: &Path) -> Option<u64> {
    let left = list.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            above(root, path).into_iter().filter_map(|group| left(&group, &UNIFIED)).collect()
        } else if controllers.split(',').any(|controller| controller == "memory") {
            above(&root.join("memory"), path).into_iter().filter_map(|group| left(&group, &FIRST)).collect()
        } else {
            Vec::new()
        }
    });
    left.min()
}

/// A group's folder and those above it, the root included.
fn above(root: &Path, path: &str) -> Vec<PathBuf> {
    let own = root.join(path);
    own.ancestors().take_while(|group| group.starts_with(root)).map(Path::to_owned).collect()
}

/// The names of a group's files: its limit, what it uses, and in its list of numbers that of cached files.
type Names = [&'static str; 3];
/// Of control groups of the second version.
const UNIFIED: Names = ["memory.max", "memory.current", "inactive_file "];
/// Of the first.
const FIRST: Names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];

/// What is left in a group. Cached files count as used, and are given up for memory.
fn left(group: &Path, [limit, used, files]: &Names) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (read(limit)?, read(used)?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix(files)?.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        let text = "MemTotal:       24618704 kB\nMemFree:          537604 kB\nMemAvailable:   21810360 kB\n";
        assert_eq!(kibibytes(text, "MemAvailable:"), Some(21_810_360 * 1024));
        assert_eq!(kibibytes("MemTotal: 1 kB\n", "MemAvailable:"), None);
        #[cfg(target_os = "linux")]
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_limit_of_address_space_leaves_what_is_reserved_and_not_used() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max address space         409600000            unlimited            bytes\n";
        let status = "VmSize:\t  300000 kB\nVmData:\t  250000 kB\nRssAnon:\t   10000 kB\n";
        assert_eq!(of_process(limits, status), Some(409_600_000 - 60_000 * 1024));
        assert_eq!(of_process(&limits.replace("409600000", "unlimited"), status), None);
        assert_eq!(of_process(&limits.replace("409600000", "1000"), status), Some(0));
    }

    #[test]
    fn the_tightest_group_decides() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, names: Names, [limit, used, files]: [&str; 3]| {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join(names[0]), limit).unwrap();
            fs::write(group.join(names[1]), used).unwrap();
            fs::write(group.join("memory.stat"), format!("anon 5\n{}{files}\n", names[2])).unwrap();
        };
        let of = |list: &str| of_groups(list, root.path());
        assert_eq!(of("0::/user/a\n"), None);
        write("user/a", UNIFIED, ["max\n", "50\n", "0"]);
        assert_eq!(of("0::/user/a\n"), None);
        write("user", UNIFIED, ["1000\n", "500\n", "300"]);
        assert_eq!(of("0::/user/a\n"), Some(800));
        assert_eq!(of("0::/\n"), None);
        write("memory/docker/x", FIRST, ["700", "100", "0"]);
        assert_eq!(of("5:cpu,memory:/docker/x\n0::/user/a\n"), Some(600));
        assert_eq!(of("5:cpu:/docker/x\n"), None);
    }
}
