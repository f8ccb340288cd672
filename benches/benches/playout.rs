//! The way out: frames and messages that leave, phrases from memory, clauses, spoken forms, and the local answerer.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use futures::stream;
use futures::{FutureExt as _, StreamExt as _};
use voice_core::audio::SampleRate;
use voice_core::ids::ReplyId;
use voice_core::llm::concierge::Concierge;
use voice_core::llm::{Message, Role};
use voice_core::playout::{Playout, Shape};
use voice_core::sim::ScriptedTts;
use voice_core::text::chunker::Chunker;
use voice_core::text::speakable::{speak, speakable};
use voice_core::time::SessionTime;
use voice_core::tts::phrases::PhraseCache;
use voice_core::tts::{SpeechEvent, TextToSpeech, Voice, VoiceOptions};

const REPLY: ReplyId = ReplyId(1);
const RATE: SampleRate = SampleRate::HZ_24000;
const ANSWER: &str = "The house on 1208 Barton Dr. is listed at $525,000. It has three bedrooms, two and a half baths, \
    and 1,850 sq ft. An open house is on Saturday, May 3rd, from 2:30 to 4 pm. Would you like to see it?";

/// A playout with all of a reply's audio: two seconds of speech-like swells, in two clauses.
fn filled(shape: Shape) -> Playout {
    let mut playout = Playout::new(shape, RATE, false);
    let samples: Vec<i16> = (0..RATE.hz()).map(|k| swell(k as i32)).collect();
    playout.begin(REPLY, SessionTime::ZERO);
    for clause in ["The house on Maple Street has three bedrooms,", " two baths and a large garden."] {
        playout.announce_clause(REPLY, clause, speak(clause));
        playout.push(REPLY, &samples);
        playout.close_clause(REPLY);
    }
    playout.finish(REPLY);
    playout
}

fn swell(k: i32) -> i16 {
    let tooth = (k % 109) * 150 - 8_000;
    (tooth * ((k / 40) % 120) / 120) as i16
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    playout(&mut criterion);
    phrases(&mut criterion);
    text(&mut criterion);
    criterion.final_summary();
}

/// A scripted voice whose speech may be kept.
struct Keepable(ScriptedTts);

impl TextToSpeech for Keepable {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn sound(&self, _options: &VoiceOptions) -> Option<String> {
        Some("a tone".to_owned())
    }

    fn open(&self, options: VoiceOptions) -> Box<dyn Voice> {
        self.0.open(options)
    }
}

/// From a clause, given, to the first audio of it, out of a full cache.
fn phrases(criterion: &mut Criterion) {
    const KEPT: &str = "Hello, and welcome.";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cache = PhraseCache::new(32 << 20);
    let mut scripted = ScriptedTts::default();
    scripted.script.speed = 1_000.0;
    let voice = cache.over(cache.keeping(Arc::new(Keepable(scripted))));
    let options = VoiceOptions::default();
    runtime.block_on(async {
        for k in 0..300 {
            cache.warm(&*voice, &options, &format!("The house of number {k}."), None).await.expect("spoken");
        }
        assert_eq!(cache.warm(&*voice, &options, KEPT, None).await.expect("spoken"), 1);
    });
    let mut call = voice.open(options);
    let mut group = criterion.benchmark_group("phrases");
    group.bench_function("a kept clause to its first audio", |b| {
        b.iter(|| {
            let clauses = stream::iter([KEPT.to_owned()]).chain(stream::pending()).boxed();
            let mut speech = call.speak(REPLY, clauses);
            loop {
                match speech.next().now_or_never() {
                    Some(Some(Ok(SpeechEvent::Audio { samples, .. }))) => break black_box(samples.len()),
                    Some(Some(Ok(_))) => {}
                    other => panic!("a kept clause waits for nothing: {other:?}"),
                }
            }
        })
    });
    group.finish();
}

fn playout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("playout");
    let mut out = Vec::with_capacity(RATE.hz() as usize * 2);
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 frames that leave when due", |b| {
        let lead = Duration::from_millis(100);
        b.iter_batched_ref(
            || filled(Shape::Frames { lead }),
            |playout| {
                let mut left = 0;
                for frame in 0..100 {
                    let now = SessionTime::from_millis(frame * 20);
                    while let Some(piece) = playout.poll(now, &mut out) {
                        playout.handle_left(piece, now);
                        left += 1;
                        out.clear();
                    }
                }
                assert_eq!(left, 100, "every frame leaves");
            },
            BatchSize::SmallInput,
        )
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a message is cut", |b| {
        b.iter_batched_ref(
            || filled(Shape::Messages),
            |playout| {
                out.clear();
                assert!(playout.poll(SessionTime::ZERO, &mut out).is_some(), "a message leaves");
            },
            BatchSize::SmallInput,
        )
    });
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text");
    group.bench_function("an answer word by word to clauses", |b| {
        b.iter(|| {
            let mut chunker = Chunker::default();
            let mut clauses = 0;
            for word in ANSWER.split_inclusive(' ') {
                chunker.push_delta(word);
                while let Some(clause) = chunker.poll_clause() {
                    clauses += black_box(clause).len();
                }
            }
            chunker.finish();
            while let Some(clause) = chunker.poll_clause() {
                clauses += black_box(clause).len();
            }
            assert!(clauses >= ANSWER.len() - 4, "nothing is lost");
        })
    });
    group.bench_function("an answer made speakable", |b| b.iter(|| speakable(black_box(ANSWER))));

    let concierge = Concierge::with_samples();
    let said = |role, text: &str| Message::new(role, text);
    let asked = [
        said(Role::User, "Do you have a three bedroom house under six hundred thousand?"),
        said(Role::Assistant, "Yes, there is one on Barton Drive."),
        said(Role::User, "How much is it, and does it have a garage?"),
    ];
    group.bench_function("the concierge answers", |b| b.iter(|| concierge.answer(black_box(&asked))));
    group.finish();
}
