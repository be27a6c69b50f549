//! What a process takes of the machine, as Linux tells under `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of a processor time a second, in every `stat` of Linux.
const TICKS_A_SECOND: u64 = 100;

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system time of all its threads, to 10 ms.
    pub(super) cpu: Duration,
    /// Resident now.
    pub(super) resident_bytes: u64,
    /// Largest that was ever resident.
    pub(super) peak_bytes: u64,
}

impl Usage {
    /// Of the process with this number, or of this one by the name `self`.
    ///
    /// # Errors
    /// No such process, or another system than Linux.
    pub(super) fn of(process: &str) -> io::Result<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
        let (stat, status) = (read("stat")?, read("status")?);
        let unknown = || io::Error::new(io::ErrorKind::InvalidData, "unknown form of /proc");
        Ok(Self {
            cpu: cpu(&stat).ok_or_else(unknown)?,
            resident_bytes: kilobytes(&status, "VmRSS:").ok_or_else(unknown)?,
            peak_bytes: kilobytes(&status, "VmHWM:").ok_or_else(unknown)?,
        })
    }

    /// Of this process.
    ///
    /// # Errors
    /// Another system than Linux.
    pub(super) fn own() -> io::Result<Self> {
        Self::of("self")
    }
}

/// Fields 14 and 15, counted from after the name, which may hold anything within its parentheses.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u64>().ok();
    let ticks = next()? + next()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.trim().strip_suffix("kB")?;
    number.trim().parse::<u64>().ok().map(|size| size * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_parentheses_and_spaces() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(cpu(stat), Some(Duration::from_millis(3000)));
        assert_eq!(cpu("7 (a) S 1"), None);
    }

    #[test]
    fn sizes_are_in_bytes() {
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(kilobytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }
}
