//! The turn machine alone: one fact and the orders that follow. The target is 1 us.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use voice_core::ids::UtteranceId;
use voice_core::time::SessionTime;
use voice_core::turn::{Command, Dialogue, Input, Policy};

/// A call at some moment.
struct Call {
    dialogue: Dialogue,
    now: SessionTime,
    utterance: UtteranceId,
}

impl Call {
    fn idle() -> Self {
        let now = SessionTime::from_millis(1_000);
        let mut call =
            Self { dialogue: Dialogue::new(Policy::default()), now, utterance: UtteranceId::default() };
        call.tell(Input::Listened { until: now });
        call
    }

    fn speaking() -> Self {
        let mut call = Self::idle();
        call.tell(Input::SpeechStarted { at: call.now });
        call.now = SessionTime::from_millis(2_000);
        call.tell(Input::Listened { until: call.now });
        call
    }

    fn paused() -> Self {
        let mut call = Self::speaking();
        call.tell(Input::SpeechEnded { last_voiced: call.now });
        call.now = SessionTime::from_millis(2_100);
        call
    }

    fn tell(&mut self, input: Input) {
        self.dialogue.handle_input(input, self.now);
        while let Some(command) = self.dialogue.poll_command() {
            if let Command::OpenUtterance { utterance, .. } = black_box(command) {
                self.utterance = utterance;
            }
        }
        black_box(self.dialogue.poll_timeout());
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("turn");
    for (name, mut call) in [
        ("listened while idle", Call::idle()),
        ("listened while the caller speaks", Call::speaking()),
        ("listened in a pause", Call::paused()),
    ] {
        let until = call.now;
        group.bench_function(name, |b| b.iter(|| call.tell(Input::Listened { until })));
    }

    let mut call = Call::speaking();
    let utterance = call.utterance;
    let texts = ["how much is the house", "how much is the house on maple"];
    let mut turn = 0;
    group.bench_function("words so far, with the event they cause", |b| {
        b.iter(|| {
            turn = 1 - turn;
            call.tell(Input::Partial { utterance, text: texts[turn].to_owned() });
        })
    });
    group.bench_function("a caller starts to speak", |b| {
        b.iter_batched_ref(
            Call::idle,
            |call| call.tell(Input::SpeechStarted { at: call.now }),
            criterion::BatchSize::SmallInput,
        )
    });
    group.finish();
    criterion.final_summary();
}
