//! From a caller's message to the turn machine nothing is allocated per frame, once a call is running.
#![allow(clippy::unwrap_used)]

use voice_benches::{packets, recorded};
use voice_core::audio::{Channels, ENGINE_RATE, FRAME_SAMPLES, Frame, SampleRate};
use voice_core::ingress::{Declared, Ingress, Limits, Pulled};
use voice_core::time::SessionTime;
use voice_core::turn::{Dialogue, Input, Policy};
use voice_core::vad::{Activity, EnergyVad, GateState, Segmenter, VAD_WINDOW, VadModel, VadStream, Windows};
use voice_fixtures::allocations::{Counting, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The audio path of one call, as the session drives it, with its facts but without words and answers.
struct Call {
    ingress: Ingress,
    windows: Windows,
    vad: Box<dyn VadStream>,
    segmenter: Segmenter,
    dialogue: Dialogue,
    frame: Frame,
    window: [i16; VAD_WINDOW],
    frames: usize,
    judged: usize,
    /// Whether the turn machine is told where speech starts and ends.
    tells: bool,
}

impl Call {
    fn new(declared: Option<Declared>, tells: bool) -> Self {
        let limits = Limits::default();
        Self {
            ingress: match declared {
                Some(declared) => Ingress::declared(declared, limits).unwrap(),
                None => Ingress::sniffing(limits),
            },
            windows: Windows::default(),
            vad: EnergyVad.open(),
            segmenter: Segmenter::default(),
            dialogue: Dialogue::new(Policy::default()),
            frame: [0; FRAME_SAMPLES],
            window: [0; VAD_WINDOW],
            frames: 0,
            judged: 0,
            tells,
        }
    }

    fn take(&mut self, message: &[u8]) {
        self.ingress.push(message).unwrap();
        while let Some(pulled) = self.ingress.poll_frame(&mut self.frame).unwrap() {
            if pulled == Pulled::Ended {
                continue;
            }
            self.frames += 1;
            let now = SessionTime::from_millis(self.frames as u64 * 20);
            let state = self.windows.handle_frame(&self.frame);
            if state == GateState::Shut {
                self.segmenter.handle_shut(self.windows.end());
            }
            while let Some(window) = self.windows.poll_window(&mut self.window) {
                self.judged += 1;
                let probability = self.vad.probability(&self.window);
                let activity = Activity::measure(window.end, probability, &self.window);
                if self.segmenter.handle_window(activity).is_some() && self.tells {
                    self.tell(Input::SpeechStarted { at: now }, now);
                }
            }
            self.tell(Input::Arrived, now);
            self.tell(Input::Listened { until: now }, now);
        }
    }

    fn tell(&mut self, input: Input, now: SessionTime) {
        self.dialogue.handle_input(input, now);
        while self.dialogue.poll_command().is_some() {}
    }
}

/// Allocations while the messages of `second` are taken, after those of `first`.
fn allocations(call: &mut Call, first: &[Vec<u8>], second: &[Vec<u8>]) -> usize {
    first.iter().for_each(|message| call.take(message));
    let before = count();
    second.iter().for_each(|message| call.take(message));
    count() - before
}

fn pcm(samples: &[i16]) -> Vec<Vec<u8>> {
    samples.chunks(FRAME_SAMPLES).map(|frame| frame.iter().flat_map(|s| s.to_le_bytes()).collect()).collect()
}

#[test]
fn no_format_allocates_per_frame_from_message_to_turn_machine() {
    let opus = packets::speech().unwrap();
    let webm = packets::webm(&opus);
    let question = recorded::questions(1).unwrap().remove(0);
    let twice = [&question.samples[..], &question.samples[..]].concat();
    let ulaw: Vec<Vec<u8>> = twice
        .chunks(160)
        .map(|frame| frame.iter().map(|&s| voice_core::codec::g711::encode_ulaw(s)).collect())
        .collect();
    let (rate, channels) = (ENGINE_RATE, Channels::Mono);
    let narrow = SampleRate::HZ_8000;
    for (what, declared, messages) in [
        ("WebM", None, webm),
        ("Opus packets", Some(Declared::OpusPackets { channels }), opus),
        ("PCM", Some(Declared::Pcm16 { rate, channels }), pcm(&twice)),
        ("mu-law at 8 kHz", Some(Declared::Ulaw { rate: narrow, channels }), ulaw),
    ] {
        let mut call = Call::new(declared, false);
        let (first, second) = messages.split_at(messages.len() / 2);
        let allocations = allocations(&mut call, first, second);
        assert!(call.frames >= messages.len() - 2, "{what}: {} frames of {}", call.frames, messages.len());
        assert!(call.judged > call.frames / 4, "{what}: the gate must have been open");
        assert_eq!(allocations, 0, "{what}: over {} messages", second.len());
    }
}

#[test]
fn a_caller_who_speaks_costs_no_allocation_per_frame_either() {
    let question = recorded::questions(1).unwrap().remove(0);
    let messages = pcm(&question.samples);
    let declared = Declared::Pcm16 { rate: ENGINE_RATE, channels: Channels::Mono };
    let mut call = Call::new(Some(declared), true);
    // The first second holds the start of speech, whose order and event do allocate.
    let (first, rest) = messages.split_at(50);
    let speech = &rest[..150];
    first.iter().for_each(|message| call.take(message));
    call.tells = false;
    assert!(call.segmenter.is_speaking() && !call.dialogue.is_idle(), "the caller speaks");
    assert_eq!(allocations(&mut call, &[], speech), 0);
}

#[test]
fn the_counter_counts() {
    let before = count();
    let boxed = std::hint::black_box(Box::new(1));
    assert!(count() > before, "{boxed}");
}
