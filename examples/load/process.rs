//! The CPU time and memory of processes, from /proc.

use std::fs;

use super::Outcome;

/// The CPU time of this process, and the CPU time and memory of the measured processes, summed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) client_seconds: f64,
    pub(crate) server_seconds: f64,
    pub(crate) server_rss_kib: u64,
    pub(crate) server_peak_kib: u64,
    /// Bytes that the servers have handed to the disk since they began.
    pub(crate) server_written: u64,
}

impl Usage {
    pub(crate) fn of(pids: &[u32]) -> Outcome<Self> {
        let mut usage = Self { client_seconds: cpu_seconds("self")?, ..Self::default() };
        for pid in pids {
            let pid = pid.to_string();
            usage.server_seconds += cpu_seconds(&pid)?;
            usage.server_rss_kib += memory_kib(&pid, "VmRSS:")?;
            usage.server_peak_kib += memory_kib(&pid, "VmHWM:")?;
            usage.server_written += written_bytes(&pid)?;
        }
        Ok(usage)
    }

    /// The CPU time since `before`, and the current memory.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            client_seconds: self.client_seconds - before.client_seconds,
            server_seconds: self.server_seconds - before.server_seconds,
            server_written: self.server_written - before.server_written,
            ..self
        }
    }
}

/// User and system time (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds(pid: &str) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').ok_or("no process name in /proc/…/stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

fn memory_kib(pid: &str, field: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field in /proc/…/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn written_bytes(pid: &str) -> Outcome<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or("no write_bytes in /proc/…/io")?;
    Ok(line.trim().parse()?)
}
