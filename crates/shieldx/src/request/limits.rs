//! The bounds of a run, each in its range.

use std::ops::RangeInclusive;
use std::time::Duration;

use types::Limits;

use super::usage;
use crate::args::RunArgs;
use crate::failure::Failure;
use crate::quantity;

const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Less does not hold a dynamic loader and a C library.
const MEMORY_MIN_BYTES: u64 = 8 << 20;
/// Where nobody says.
const PIDS: u32 = 512;
/// The kernel's own bound for pid_max.
const PIDS_MAX: u32 = 4_194_304;
/// 1,024 cores.
const CPU_MAX_PERCENT: u32 = 102_400;
/// The captured output is held in memory and in the report.
const OUTPUT_MAX_BYTES: u64 = 256 << 20;

pub(super) fn limits(args: &RunArgs) -> Result<Limits, Failure> {
    let timeout =
        quantity::duration(&args.timeout).map_err(|error| usage(format!("--timeout: {error}")))?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(usage("--timeout: must be more than nothing and at most 24h"));
    }
    let size = |option: &str, text: &str, range: RangeInclusive<u64>| {
        let bytes = quantity::size(text).map_err(|error| usage(format!("{option}: {error}")))?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        let (low, high) = (range.start(), range.end());
        Err(usage(format!("{option}: {text} is outside of {low} to {high} bytes")))
    };
    let number = |option: &str, value: u32, range: RangeInclusive<u32>| {
        if range.contains(&value) {
            return Ok(value);
        }
        let (low, high) = (range.start(), range.end());
        Err(usage(format!("{option}: {value} is outside of {low} to {high}")))
    };
    Ok(Limits {
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        memory_bytes: size("--memory", &args.memory, MEMORY_MIN_BYTES..=1 << 50)?,
        pids: number("--pids", args.pids.unwrap_or(PIDS), 1..=PIDS_MAX)?,
        cpu_percent: number("--cpu", args.cpu, 0..=CPU_MAX_PERCENT)?,
        output_bytes: size("--output-limit", &args.output_limit, 0..=OUTPUT_MAX_BYTES)?,
        disk_bytes: size("--disk", &args.disk, 1 << 20..=1 << 50)?,
    })
}
