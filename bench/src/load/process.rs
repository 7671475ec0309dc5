//! CPU time and memory of processes, from /proc.
//!
//! *Owns*: reading proc(5). *Promises*: figures of one process only; none where the kernel gives none.
//! *Assumes*: Linux. *Never*: samples while the clock runs.

use std::fs;

/// What a process has used so far and holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time, seconds.
    pub cpu_seconds: f64,
    /// Resident octets; mapped files that are in the page cache count as well.
    pub rss_bytes: u64,
    /// Resident octets of its own, without mapped files; none where smaps_rollup cannot be read.
    pub anonymous_bytes: Option<u64>,
}

/// The usage of a process; none when it is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    read(&format!("/proc/{pid}"))
}

/// The usage of this process.
pub fn own_usage() -> Option<Usage> {
    read("/proc/self")
}

fn read(folder: &str) -> Option<Usage> {
    let cpu_seconds = cpu_seconds(&fs::read_to_string(format!("{folder}/stat")).ok()?)?;
    // Another user's process hides its maps but not its size.
    let rollup = fs::read_to_string(format!("{folder}/smaps_rollup")).unwrap_or_default();
    let anonymous_bytes = rollup_bytes(&rollup, "Anonymous:");
    let rss_bytes = match rollup_bytes(&rollup, "Rss:") {
        Some(bytes) => bytes,
        None => {
            let statm = fs::read_to_string(format!("{folder}/statm")).ok()?;
            statm.split(' ').nth(1)?.parse::<u64>().ok()? * rustix::param::page_size() as u64
        }
    };
    Some(Usage { cpu_seconds, rss_bytes, anonymous_bytes })
}

/// Fields 14 and 15 of /proc/PID/stat; the name before them is in parentheses and may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn rollup_bytes(rollup: &str, name: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_seconds(stat), Some(300.0 / ticks));
        assert_eq!(cpu_seconds("7 (x"), None);
        let rollup = "00-ff ---p 00 00:00 0 [rollup]\nRss:    1234 kB\nAnonymous:    8 kB\n";
        assert_eq!(rollup_bytes(rollup, "Rss:"), Some(1234 * 1024));
        assert_eq!(rollup_bytes(rollup, "Anonymous:"), Some(8192));
        assert_eq!(rollup_bytes(rollup, "Other:"), None);
    }

    #[test]
    fn this_process_has_a_usage() {
        assert!(own_usage().unwrap().rss_bytes > 0);
        assert_eq!(usage(u32::MAX), None);
    }
}
