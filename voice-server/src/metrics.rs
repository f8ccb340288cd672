//! Numbers for Prometheus: calls, turns with their latency by stage, providers with their breakers, the phrase cache, the
//! cache, live events.
//!
//! Turns are counted once they were written down, or given up; everything else is read when it is asked for. Names follow Prometheus' rules:
//! seconds, bytes, `_total` for counters. The text is OpenMetrics 1.0, which Prometheus takes as it is. No label holds
//! anything that a caller said or is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use voice_core::context::LookUp;
use voice_core::resilience::{BreakerState, MemberStatus};
use voice_core::tts::phrases::PhraseStats;

use crate::cache::Area;
use crate::voice::call::TurnRecord;

/// What is counted as it happens. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    turns: Counter,
    interrupted: Counter,
    latency: Family<Stage, Histogram>,
    look_ups: Family<LookedUp, Counter>,
    cache: CacheCounters,
    redis_failures: Family<Part, Counter>,
    events: EventCounters,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kept {
    area: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    part: &'static str,
}

/// What the cache counts, by area.
#[derive(Clone, Debug, Default)]
pub struct CacheCounters {
    hits: Family<Kept, Counter>,
    misses: Family<Kept, Counter>,
    stale: Family<Kept, Counter>,
}

impl CacheCounters {
    /// Counts a look.
    pub fn note_look(&self, area: Area, found: bool) {
        let looks = if found { &self.hits } else { &self.misses };
        looks.get_or_create(&Kept { area: area.as_str() }).inc();
    }

    /// Counts a value that was given though it was not fresh.
    pub fn note_stale(&self, area: Area) {
        self.stale.get_or_create(&Kept { area: area.as_str() }).inc();
    }
}

/// What the live events count.
#[derive(Clone, Debug, Default)]
pub struct EventCounters {
    /// Events that were published on this server.
    pub published: Counter,
    /// Events that did not reach other servers, or not all of them.
    pub dropped: Counter,
    /// Open sockets.
    pub subscribers: Gauge,
    /// Sockets that were closed because their client reads too slowly.
    pub slow: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookedUp {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Provider {
    stage: &'static str,
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    stage: &'static str,
    provider: &'static str,
    outcome: &'static str,
}

/// One provider of a stage that has several.
#[derive(Clone, Debug)]
pub struct ProviderVitals {
    /// `stt`, `llm` or `tts`.
    pub stage: &'static str,
    /// How it does.
    pub status: MemberStatus,
}

/// How the engine does at the moment.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// Providers that others stand behind, in order.
    pub providers: Vec<ProviderVitals>,
    /// The phrase cache, where there is one.
    pub phrases: Option<PhraseStats>,
    /// Inference threads that compute, on average over the last seconds; where models run on this machine.
    pub inference_load: Option<f64>,
}

/// From the last voiced sample to the first sound, and each stage's share of it.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0];

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("turns", &self.0.turns.get()).finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (turns, interrupted) = (Counter::default(), Counter::default());
        let latency = Family::<Stage, Histogram>::new_with_constructor(histogram);
        registry.register("voice_turns", "Turns of callers", turns.clone());
        registry.register(
            "voice_turns_interrupted",
            "Turns whose answer the caller cut short",
            interrupted.clone(),
        );
        registry.register_with_unit(
            "voice_turn_latency",
            "From the last voiced sample to the first sound of the answer: each stage's share, and the total",
            Unit::Seconds,
            latency.clone(),
        );
        let (cache, events) = (CacheCounters::default(), EventCounters::default());
        let redis_failures = Family::<Part, Counter>::default();
        registry.register("voice_cache_hits", "Values that were found, fresh or stale", cache.hits.clone());
        registry.register("voice_cache_misses", "Values that were not found", cache.misses.clone());
        registry.register(
            "voice_cache_stale",
            "Values that were given though not fresh",
            cache.stale.clone(),
        );
        registry.register(
            "voice_redis_failures",
            "Requests to Redis that failed or had no answer in time",
            redis_failures.clone(),
        );
        registry.register("voice_events", "Live events published here", events.published.clone());
        registry.register(
            "voice_events_dropped",
            "Live events that did not reach all servers",
            events.dropped.clone(),
        );
        registry.register(
            "voice_event_subscribers",
            "Open sockets of live events",
            events.subscribers.clone(),
        );
        registry.register(
            "voice_event_subscribers_slow",
            "Sockets of live events that were closed because their client reads too slowly",
            events.slow.clone(),
        );
        let look_ups = Family::<LookedUp, Counter>::default();
        registry.register(
            "voice_context_look_ups",
            "Turns by what came of looking up what is known: found while the caller spoke, after it, or answered without",
            look_ups.clone(),
        );
        Self(Arc::new(Counted {
            registry,
            turns,
            interrupted,
            latency,
            look_ups,
            cache,
            redis_failures,
            events,
        }))
    }
}

impl Metrics {
    /// What the cache counts with.
    pub fn cache(&self) -> CacheCounters {
        self.0.cache.clone()
    }

    /// What the live events count with.
    pub fn events(&self) -> EventCounters {
        self.0.events.clone()
    }

    /// Counts failures of Redis, for a part of the server that uses it.
    pub fn redis_failures(&self, part: &'static str) -> Counter {
        self.0.redis_failures.get_or_create_owned(&Part { part })
    }

    /// Counts what came of looking up facts for a turn.
    pub fn note_look_up(&self, outcome: LookUp) {
        let outcome = match outcome {
            LookUp::Ahead => "ahead",
            LookUp::InTime => "in_time",
            LookUp::Late => "late",
            LookUp::Failed => "failed",
        };
        self.0.look_ups.get_or_create(&LookedUp { outcome }).inc();
    }

    /// Counts a turn. A greeting is none.
    pub fn note_turn(&self, turn: &TurnRecord) {
        if turn.turn == 0 {
            return;
        }
        self.0.turns.inc();
        if turn.interrupted {
            self.0.interrupted.inc();
        }
        // A turn without sound has no latency.
        if turn.ledger.is_empty() {
            return;
        }
        let seconds = |micros: u64| micros as f64 / 1e6;
        let observe = |stage, micros| {
            self.0.latency.get_or_create(&Stage { stage }).observe(seconds(micros));
        };
        for &(stage, micros) in &turn.ledger {
            observe(stage, micros);
        }
        observe("total", turn.ledger.iter().map(|(_, micros)| micros).sum());
    }

    /// Everything as text. `calls`: those under way.
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn text(&self, calls: usize, vitals: &Vitals) -> Result<String, fmt::Error> {
        let mut now = Registry::default();
        let gauge = |registry: &mut Registry, name, help, value: i64| {
            registry.register(name, help, ConstGauge::new(value));
        };
        gauge(&mut now, "voice_calls", "Calls under way", i64::try_from(calls).unwrap_or(i64::MAX));
        if let Some(load) = vitals.inference_load {
            now.register(
                "voice_inference_load",
                "Inference threads that compute, on average over the last seconds",
                ConstGauge::new(load),
            );
        }
        if let Some(phrases) = vitals.phrases {
            let size = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            gauge(&mut now, "voice_phrases", "Phrases that are kept", size(phrases.phrases));
            now.register_with_unit(
                "voice_phrases_size",
                "Memory that they take",
                Unit::Bytes,
                ConstGauge::new(size(phrases.bytes)),
            );
            now.register("voice_phrase_hits", "Phrases spoken from memory", known(phrases.hits));
            now.register("voice_phrase_misses", "Phrases that a voice was asked for", known(phrases.misses));
        }
        provide(&mut now, &vitals.providers);
        let mut text = String::new();
        encode_registry(&mut text, &now)?;
        encode_registry(&mut text, &self.0.registry)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// A counter whose value is known elsewhere.
fn known(value: u64) -> ConstCounter {
    ConstCounter::new(value)
}

/// The providers of stages that have several.
fn provide(registry: &mut Registry, providers: &[ProviderVitals]) {
    let up = Family::<Provider, Gauge>::default();
    let in_a_row = Family::<Provider, Gauge>::default();
    let p95 = Family::<Provider, Gauge<f64, AtomicU64>>::default();
    let attempts = Family::<Outcome, Counter>::default();
    let opened = Family::<Provider, Counter>::default();
    for ProviderVitals { stage, status } in providers {
        let provider = Provider { stage, provider: status.name };
        let closed = status.state == BreakerState::Closed;
        up.get_or_create(&provider).set(i64::from(closed));
        in_a_row.get_or_create(&provider).set(i64::from(status.in_a_row));
        if let Some(time) = status.p95 {
            p95.get_or_create(&provider).set(time.as_secs_f64());
        }
        opened.get_or_create(&provider).inc_by(status.counters.opened);
        let counters = &status.counters;
        for (outcome, count) in [
            ("success", counters.successes),
            ("failure", counters.failures),
            ("slow", counters.slow),
            ("unknown", counters.unknown),
            ("turned_away", counters.turned_away),
        ] {
            attempts.get_or_create(&Outcome { stage, provider: status.name, outcome }).inc_by(count);
        }
    }
    registry.register("voice_provider_up", "1 while the provider is asked, 0 while its breaker is open", up);
    registry.register("voice_provider_failures_in_a_row", "Failures since the last success", in_a_row);
    registry.register_with_unit(
        "voice_provider_first_output_p95",
        "95 of 100 first useful outputs come within this",
        Unit::Seconds,
        p95,
    );
    registry.register("voice_provider_attempts", "Attempts by how they ended", attempts);
    registry.register("voice_provider_breaker_opened", "How often the breaker opened", opened);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voice_core::resilience::{BreakerCounters, BreakerState};
    use voice_core::time::ProcessTime;

    use super::*;

    fn turn(number: u32, interrupted: bool) -> TurnRecord {
        TurnRecord {
            turn: number,
            said: "words that are nobody's business".to_owned(),
            reply: "neither are these".to_owned(),
            heard: String::new(),
            started_ms: 0,
            zero_ms: 0,
            ledger: vec![("endpoint", 150_000), ("stt", 20_000), ("tts", 120_000)],
            interrupted,
            by_person: false,
        }
    }

    #[test]
    fn turns_providers_and_phrases_are_told_as_open_metrics() {
        let metrics = Metrics::default();
        metrics.note_turn(&turn(0, false));
        metrics.note_turn(&turn(1, false));
        metrics.note_turn(&turn(2, true));
        metrics.note_look_up(LookUp::Ahead);
        metrics.note_look_up(LookUp::Ahead);
        metrics.note_look_up(LookUp::Late);
        metrics.cache().note_look(Area::Property, true);
        metrics.cache().note_look(Area::Context, false);
        metrics.cache().note_stale(Area::Property);
        metrics.redis_failures("events").inc();
        metrics.events().subscribers.inc();
        metrics.events().dropped.inc();
        let status = MemberStatus {
            name: "deepgram",
            state: BreakerState::Open,
            since: ProcessTime::ZERO,
            in_a_row: 5,
            counters: BreakerCounters { successes: 7, failures: 5, opened: 1, ..BreakerCounters::default() },
            resting_until: None,
            p95: Some(Duration::from_millis(250)),
        };
        let vitals = Vitals {
            providers: vec![ProviderVitals { stage: "stt", status }],
            phrases: Some(PhraseStats { phrases: 3, bytes: 1_024, hits: 9, misses: 4 }),
            inference_load: Some(0.5),
        };
        let text = metrics.text(2, &vitals).expect("text");
        for line in [
            "voice_calls 2",
            "voice_turns_total 2",
            "voice_turns_interrupted_total 1",
            "voice_context_look_ups_total{outcome=\"ahead\"} 2",
            "voice_context_look_ups_total{outcome=\"late\"} 1",
            "voice_turn_latency_seconds_count{stage=\"total\"} 2",
            "voice_turn_latency_seconds_bucket{le=\"0.3\",stage=\"total\"} 2",
            "voice_turn_latency_seconds_bucket{le=\"0.2\",stage=\"total\"} 0",
            "voice_provider_up{stage=\"stt\",provider=\"deepgram\"} 0",
            "voice_provider_attempts_total{stage=\"stt\",provider=\"deepgram\",outcome=\"failure\"} 5",
            "voice_provider_breaker_opened_total{stage=\"stt\",provider=\"deepgram\"} 1",
            "voice_provider_first_output_p95_seconds{stage=\"stt\",provider=\"deepgram\"} 0.25",
            "voice_phrase_hits_total 9",
            "voice_phrases_size_bytes 1024",
            "voice_inference_load 0.5",
            "voice_cache_hits_total{area=\"property\"} 1",
            "voice_cache_misses_total{area=\"context\"} 1",
            "voice_cache_stale_total{area=\"property\"} 1",
            "voice_redis_failures_total{part=\"events\"} 1",
            "voice_event_subscribers 1",
            "voice_events_dropped_total 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is missing: {text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("business") && !text.contains("neither"));
    }
}
