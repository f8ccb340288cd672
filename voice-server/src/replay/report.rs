//! How a replay is shown: a waterfall for people, one object a line for programs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Serialize, Serializer};
use voice_core::text::words::{WordErrors, word_error_rate};
use voice_core::turn::TurnRecord;

use super::Recorded;
use crate::cli::print::{say, say_line};

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
    /// In the order in which a turn passes the stages.
    #[serde(serialize_with = "as_map")]
    ledger: Vec<(&'static str, f64)>,
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
    /// The same by file, as the user named it; files without a reference and files that failed are not in it.
    pub wer_by_file: BTreeMap<String, f64>,
}

impl Turn {
    pub(super) fn new(file: &Path, record: &TurnRecord) -> Self {
        let ledger: Vec<_> = record.ledger.entries().map(|(s, d)| (s.name(), quantised(d))).collect();
        Self {
            file: file.display().to_string(),
            turn: record.turn.0,
            transcript: record.said.clone(),
            reply: record.reply.clone(),
            heard: record.heard.clone(),
            total_ms: ledger.iter().map(|(_, ms)| ms).sum(),
            ledger,
            answered: record.answered_at.is_some(),
        }
    }
}

fn as_map<S: Serializer>(pairs: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
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
    by_file: BTreeMap<String, f64>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, files: 0, turns: 0, totals: Vec::new(), errors: None, by_file: BTreeMap::new() }
    }

    /// `whole`: nothing went wrong, so that what was understood can be compared with what was said.
    pub(super) fn print_file(&mut self, file: &Recorded, turns: &[Turn], whole: bool) {
        self.files += 1;
        self.turns += turns.len();
        self.totals.extend(turns.iter().filter(|t| t.answered).map(|t| t.total_ms));
        let errors = file.reference.as_ref().filter(|_| whole).map(|reference| {
            let said: Vec<&str> = turns.iter().map(|t| t.transcript.as_str()).collect();
            word_error_rate(reference, &said.join(" "))
        });
        if let Some(errors) = errors {
            *self.errors.get_or_insert_default() += errors;
            self.by_file.insert(file.path.display().to_string(), errors.rate());
        }
        if self.json {
            for turn in turns {
                print_json(turn);
            }
            return;
        }
        let wer = errors.map_or(String::new(), |e| format!("   word error rate {:.1} %", e.rate() * 100.0));
        say_line!("{}{wer}", file.path.display());
        if turns.is_empty() && whole {
            say_line!("  nobody spoke");
        }
        for turn in turns {
            print_waterfall(turn);
        }
        say_line!();
    }

    pub(super) fn finish(mut self) -> Summary {
        self.totals.sort_by(f64::total_cmp);
        let summary = Summary {
            files: self.files,
            turns: self.turns,
            p50_ms: percentile(&self.totals, 0.50),
            p95_ms: percentile(&self.totals, 0.95),
            wer: self.errors.map(|e| e.rate()),
            wer_by_file: self.by_file,
        };
        if self.json {
            print_json(&summary);
        } else {
            let ms = |v: Option<f64>| v.map_or("none".to_owned(), |v| format!("{v:.0} ms"));
            say!("{} files, {} turns; first sound p50 {}", summary.files, summary.turns, ms(summary.p50_ms));
            say!(", p95 {}", ms(summary.p95_ms));
            match summary.wer {
                Some(wer) => say_line!("; word error rate {:.1} %", wer * 100.0),
                None => say_line!(),
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
        say_line!("{line}");
    }
}

/// Columns of the bars.
const WIDTH: f64 = 40.0;

fn print_waterfall(turn: &Turn) {
    say_line!("  turn {}", turn.turn);
    say_line!("    caller    {}", turn.transcript);
    say_line!("    answer    {}", turn.reply);
    if turn.heard != turn.reply {
        say_line!("    heard     {}", turn.heard);
    }
    if !turn.answered {
        say_line!("    not answered aloud");
        return;
    }
    let scale = WIDTH / turn.total_ms.max(1.0);
    let mut before = 0.0;
    for (stage, ms) in turn.ledger.iter().copied() {
        if ms >= SHOWN_FROM_MS {
            let from = (before * scale).round() as usize;
            let to = ((before + ms) * scale).round().max(from as f64 + 1.0) as usize;
            let bar = format!("{}{}", " ".repeat(from), "█".repeat(to - from));
            say_line!("    {stage:<9} {bar:<41} {ms:>7.1} ms");
        }
        before += ms;
    }
    say_line!("    {:<9} {:<41} {:>7.1} ms", "total", "", turn.total_ms);
}

/// Stages shorter than this would only be noise on the screen; they still count.
const SHOWN_FROM_MS: f64 = 0.1;

#[cfg(test)]
mod tests {
    use voice_core::metrics::{Ledger, Stage};
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
    fn json_has_the_stages_in_their_order() {
        let ledger = Stage::ALL.into_iter().map(|stage| (stage.name(), 1.5)).collect();
        let turn = Turn {
            file: "a.wav".into(),
            turn: 1,
            transcript: String::new(),
            reply: String::new(),
            heard: String::new(),
            total_ms: 13.5,
            ledger,
            answered: true,
        };
        let line = serde_json::to_string(&turn).expect("plain values");
        let stages = "endpoint stt context llm clause tts engine pacing client".split(' ');
        let expected: Vec<String> = stages.map(|stage| format!("\"{stage}\":1.5")).collect();
        assert!(line.ends_with(&format!("\"ledger\":{{{}}}}}", expected.join(","))), "{line}");
    }

    #[test]
    fn a_file_that_failed_has_no_word_error_rate() {
        let file = |name: &str| Recorded { path: name.into(), size: 0, reference: Some("a word".into()) };
        let mut printer = Printer::new(true);
        printer.print_file(&file("good.wav"), &[], true);
        printer.print_file(&file("bad.wav"), &[], false);
        let summary = printer.finish();
        assert_eq!((summary.files, summary.wer), (2, Some(1.0)));
        assert_eq!(summary.wer_by_file, BTreeMap::from([("good.wav".to_owned(), 1.0)]));
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
