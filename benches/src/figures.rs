//! Percentiles, and where they are written.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

/// The spread of some measurements, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub n: usize,
    /// The median.
    pub p50: f64,
    /// 95 of 100 are not above it.
    pub p95: f64,
    /// 99 of 100 are not above it.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, by nearest rank; of none, all zero.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let Some(max) = values.last().copied() else { return Self::default() };
        let rank = |p: f64| {
            let rank = (p * values.len() as f64).ceil() as usize;
            round(values[rank.clamp(1, values.len()) - 1])
        };
        Self { n: values.len(), p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: round(max) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { n, p50, p95, p99, max } = self;
        write!(f, "p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}, max {max:.2} (n {n})")
    }
}

/// To microseconds: more digits would pretend.
fn round(ms: f64) -> f64 {
    (ms * 1_000.0).round() / 1_000.0
}

/// Writes one run's result to `results/NAME.json` of this package, with the machine and the commit, and says where.
///
/// # Errors
/// The file cannot be written.
pub fn write_result(name: &str, mut result: Value) -> std::io::Result<()> {
    result["machine"] = machine().into();
    result["commit"] = commit().into();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&result).unwrap_or_default();
    std::fs::write(folder.join(format!("{name}.json")), text + "\n")?;
    println!("written: benches/results/{name}.json");
    Ok(())
}

/// Processor and core count, as the system names them.
pub fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores", model.map_or("unknown processor", |(_, name)| name))
}

/// The commit that was measured; `+` where the tree has changes besides results.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--", "..", ":!../benches/results", ":!../benches/README.md"]);
    if changed.is_none_or(|changed| changed.is_empty()) { commit } else { commit + "+" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks_of_what_was_measured() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(
            (spread.n, spread.p50, spread.p95, spread.p99, spread.max),
            (200, 100.0, 190.0, 198.0, 200.0)
        );
        let one = Spread::of(vec![3.5]);
        assert_eq!((one.p50, one.p99, one.max), (3.5, 3.5, 3.5));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
