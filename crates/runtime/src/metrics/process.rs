//! What Prometheus' clients say of a process
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), read from
//! `/proc/self` when it is asked for.
//!
//! What cannot be read is left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks of a second in `/proc/self/stat`: `USER_HZ`, which Linux has kept at 100 for programs on
/// every architecture that is built for here (`man 5 proc_pid_stat`, `man 7 time`).
const TICKS_PER_S: f64 = 100.0;

/// The process it runs in.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut write = |name: &str, help: &str, metric: &dyn Encoded| {
            metric.encode_into(&mut encoder, name, help)
        };
        if let Some(Stat { cpu_ticks, start_ticks, threads }) = stat() {
            let cpu = ConstCounter::new(cpu_ticks / TICKS_PER_S);
            write("process_cpu_seconds", "User and system CPU time", &cpu)?;
            write("process_threads", "Threads", &ConstGauge::new(threads))?;
            if let Some(boot) = boot_time_s() {
                let start = ConstGauge::new(boot + start_ticks / TICKS_PER_S);
                write("process_start_time_seconds", "Start, in seconds since 1970", &start)?;
            }
        }
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Memory in RAM"),
            ("VmSize:", "process_virtual_memory_bytes", "Address space"),
        ] {
            if let Some(bytes) = memory_bytes(key) {
                write(name, help, &ConstGauge::new(bytes))?;
            }
        }
        if let Some(open) = open_fds() {
            write("process_open_fds", "Open file descriptors", &ConstGauge::new(open))?;
        }
        if let Some(limit) = fds_limit() {
            let help = "File descriptors that may be open";
            write("process_max_fds", help, &ConstGauge::new(limit))?;
        }
        Ok(())
    }
}

/// A metric of whatever type of number.
trait Encoded {
    fn encode_into(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), fmt::Error>;
}

impl<M: EncodeMetric> Encoded for M {
    fn encode_into(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), fmt::Error> {
        // A collector writes its help texts itself, the period included.
        let help = format!("{help}.");
        self.encode(encoder.encode_descriptor(name, &help, None, self.metric_type())?)
    }
}

struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
    threads: i64,
}

/// `man 5 proc_pid_stat`: fields 14, 15, 20 and 22. The second, the program's name, is in parentheses
/// and may hold anything.
fn stat() -> Option<Stat> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?);
    let ticks = |number: usize| field(number)?.parse::<f64>().ok();
    Some(Stat {
        cpu_ticks: ticks(14)? + ticks(15)?,
        threads: field(20)?.parse().ok()?,
        start_ticks: ticks(22)?,
    })
}

fn boot_time_s() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// A line of `/proc/self/status`, in kB.
fn memory_bytes(key: &str) -> Option<i64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn open_fds() -> Option<i64> {
    // Without the one that lists them.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    i64::try_from(open).ok()
}

fn fds_limit() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
