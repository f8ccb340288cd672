//! How a replay is shown: a waterfall for people, one object a line for programs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use voice_core::metrics::Stage;
use voice_core::text::words::{WordErrors, word_error_rate};
use voice_core::turn::TurnRecord;

use super::Recorded;

/// One turn as it is printed. The stages sum to the total exactly.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "turn")]
pub(super) struct Turn {
    file: String,
    turn: u32,
    transcript: String,
    reply: String,
    heard: String,
    total_ms: f64,
    ledger: BTreeMap<&'static str, f64>,
    #[serde(skip)]
    answered: bool,
}

/// All turns together.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// Files replayed.
    pub files: usize,
    /// Turns found in them.
    pub turns: usize,
    /// Median of the answered turns' totals, in milliseconds; null where none was answered.
    pub p50_ms: Option<f64>,
    /// 95th percentile of the same.
    pub p95_ms: Option<f64>,
    /// Word error rate over all files that have a reference transcript; null where none has.
    pub wer: Option<f64>,
}

impl Turn {
    pub(super) fn new(file: &Path, record: &TurnRecord) -> Self {
        let ledger: BTreeMap<_, _> = record.ledger.entries().map(|(s, d)| (s.name(), quantised(d))).collect();
        Self {
            file: file.display().to_string(),
            turn: record.turn.0,
            transcript: record.said.clone(),
            reply: record.reply.clone(),
            heard: record.heard.clone(),
            total_ms: ledger.values().sum(),
            ledger,
            answered: record.answered_at.is_some(),
        }
    }
}

/// Milliseconds in eighths, which binary fractions add up without rounding.
fn quantised(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 8_000.0).round() / 8.0
}

/// Prints turns and keeps what the summary needs.
pub(super) struct Printer {
    json: bool,
    files: usize,
    turns: usize,
    totals: Vec<f64>,
    errors: Option<WordErrors>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, files: 0, turns: 0, totals: Vec::new(), errors: None }
    }

    pub(super) fn print_file(&mut self, file: &Recorded, turns: &[Turn]) {
        self.files += 1;
        self.turns += turns.len();
        self.totals.extend(turns.iter().filter(|t| t.answered).map(|t| t.total_ms));
        let errors = file.reference.as_ref().map(|reference| {
            let said: Vec<&str> = turns.iter().map(|t| t.transcript.as_str()).collect();
            word_error_rate(reference, &said.join(" "))
        });
        if let Some(errors) = errors {
            *self.errors.get_or_insert_default() += errors;
        }
        if self.json {
            for turn in turns {
                print_json(turn);
            }
            return;
        }
        let wer = errors.map_or(String::new(), |e| format!("   word error rate {:.1} %", e.rate() * 100.0));
        println!("{}{wer}", file.path.display());
        if turns.is_empty() {
            println!("  nobody spoke");
        }
        for turn in turns {
            print_waterfall(turn);
        }
        println!();
    }

    pub(super) fn finish(mut self) -> Summary {
        self.totals.sort_by(f64::total_cmp);
        let summary = Summary {
            files: self.files,
            turns: self.turns,
            p50_ms: percentile(&self.totals, 0.50),
            p95_ms: percentile(&self.totals, 0.95),
            wer: self.errors.map(|e| e.rate()),
        };
        if self.json {
            print_json(&summary);
        } else {
            let ms = |v: Option<f64>| v.map_or("none".to_owned(), |v| format!("{v:.0} ms"));
            print!(
                "{} files, {} turns; first sound p50 {}",
                summary.files,
                summary.turns,
                ms(summary.p50_ms)
            );
            print!(", p95 {}", ms(summary.p95_ms));
            match summary.wer {
                Some(wer) => println!("; word error rate {:.1} %", wer * 100.0),
                None => println!(),
            }
        }
        summary
    }
}

/// The smallest value that at least this share of all values does not exceed.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn print_json(value: &impl Serialize) {
    // Both types are maps of plain values; serialising them cannot fail.
    if let Ok(line) = serde_json::to_string(value) {
        println!("{line}");
    }
}

/// Columns of the bars.
const WIDTH: f64 = 40.0;

fn print_waterfall(turn: &Turn) {
    println!("  turn {}", turn.turn);
    println!("    caller    {}", turn.transcript);
    println!("    answer    {}", turn.reply);
    if turn.heard != turn.reply {
        println!("    heard     {}", turn.heard);
    }
    if !turn.answered {
        println!("    not answered aloud");
        return;
    }
    let scale = WIDTH / turn.total_ms.max(1.0);
    let mut before = 0.0;
    for stage in Stage::ALL {
        let ms = turn.ledger.get(stage.name()).copied().unwrap_or_default();
        if ms >= SHOWN_FROM_MS {
            let from = (before * scale).round() as usize;
            let to = ((before + ms) * scale).round().max(from as f64 + 1.0) as usize;
            let bar = format!("{}{}", " ".repeat(from), "█".repeat(to - from));
            println!("    {:<9} {bar:<41} {ms:>7.1} ms", stage.name());
        }
        before += ms;
    }
    println!("    {:<9} {:<41} {:>7.1} ms", "total", "", turn.total_ms);
}

/// Stages shorter than this would only be noise on the screen; they still count.
const SHOWN_FROM_MS: f64 = 0.1;

#[cfg(test)]
mod tests {
    use voice_core::metrics::Ledger;
    use voice_core::time::SessionTime;

    use super::*;

    fn sum_ms(ledger: &Ledger) -> f64 {
        ledger.entries().map(|(_, d)| quantised(d)).sum()
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 0.5), Some(2.0));
        assert_eq!(percentile(&values, 0.95), Some(4.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn printed_stages_sum_exactly() {
        let mut ledger = Ledger::open(SessionTime::ZERO);
        for (i, stage) in Stage::ALL.into_iter().enumerate() {
            ledger.book(
                stage,
                SessionTime::from_start(std::time::Duration::from_micros(1_733 * (i as u64 + 1))),
            );
        }
        let total = sum_ms(&ledger);
        let again: f64 = ledger.entries().map(|(_, d)| quantised(d)).collect::<Vec<_>>().iter().rev().sum();
        assert!(total == again && (total - ledger.total().as_secs_f64() * 1e3).abs() < 1.0);
    }
}
