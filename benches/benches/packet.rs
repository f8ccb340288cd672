//! One 20 ms Opus packet on its way in, against libopus alone decoding the same packet at 48 kHz.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use voice_benches::packets;
use voice_core::audio::{Channels, FRAME_SAMPLES, Frame};
use voice_core::ingress::{Declared, Ingress, Limits};
use voice_core::vad::{VAD_WINDOW, Windows};

/// A caller's way in up to the voice activity network, which is not run.
struct WayIn {
    ingress: Ingress,
    windows: Windows,
    frame: Frame,
    window: [i16; VAD_WINDOW],
}

impl WayIn {
    fn new(ingress: Ingress) -> Self {
        Self { ingress, windows: Windows::default(), frame: [0; FRAME_SAMPLES], window: [0; VAD_WINDOW] }
    }

    fn webm() -> Self {
        Self::new(Ingress::sniffing(Limits::default()))
    }

    fn packets() -> Self {
        let declared = Declared::OpusPackets { channels: Channels::Mono };
        Self::new(Ingress::declared(declared, Limits::default()).expect("libopus"))
    }

    fn take(&mut self, messages: &[Vec<u8>]) {
        for message in messages {
            self.ingress.push(message).expect("within the limits");
            while self.ingress.poll_frame(&mut self.frame).expect("a sound recording").is_some() {
                black_box(self.windows.handle_frame(&self.frame));
                while self.windows.poll_window(&mut self.window).is_some() {
                    black_box(&self.window);
                }
            }
        }
    }
}

/// libopus alone, at the rate at which browsers record.
fn libopus(decoder: &mut opus::Decoder, packets: &[Vec<u8>], out: &mut [i16]) {
    for packet in packets {
        black_box(decoder.decode(packet, out, false).expect("a sound packet"));
    }
}

fn decoder(rate: u32) -> opus::Decoder {
    opus::Decoder::new(rate, opus::Channels::Mono).expect("libopus")
}

fn main() {
    let packets = packets::speech().expect("the recordings of fixtures/audio");
    let webm = packets::webm(&packets);
    let mut out = [0; 5_760];

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    {
        let mut group = criterion.benchmark_group("packet");
        group.throughput(Throughput::Elements(packets.len() as u64));
        let batch = BatchSize::PerIteration;
        group.bench_function("webm to gated frames", |b| {
            b.iter_batched_ref(WayIn::webm, |way| way.take(&webm), batch)
        });
        group.bench_function("bare opus to gated frames", |b| {
            b.iter_batched_ref(WayIn::packets, |way| way.take(&packets), batch)
        });
        for rate in [48_000, 16_000] {
            group.bench_function(format!("libopus alone at {} kHz", rate / 1_000), |b| {
                b.iter_batched_ref(|| decoder(rate), |d| libopus(d, &packets, &mut out), batch)
            });
        }
    }
    criterion.final_summary();

    let rounds = if std::env::args().any(|argument| argument == "--test") { 3 } else { 61 };
    compare(&packets, &webm, rounds);
}

/// Ours and libopus in turns, so that whatever else the machine does meets both alike.
fn compare(packets: &[Vec<u8>], webm: &[Vec<u8>], rounds: usize) {
    let mut out = [0; 5_760];
    let mut times = [(); 3].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        let (mut way, mut bare, mut alone) = (WayIn::webm(), WayIn::packets(), decoder(48_000));
        times[0].push(timed(|| way.take(webm)));
        times[1].push(timed(|| bare.take(packets)));
        times[2].push(timed(|| libopus(&mut alone, packets, &mut out)));
    }
    let [webm, bare, alone] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6 / packets.len() as f64
    });
    println!("a 20 ms packet, medians of {rounds} rounds in turns:");
    println!("  libopus alone at 48 kHz   {alone:.2} us");
    println!("  webm to gated frames      {webm:.2} us, ratio {:.2} (target under 1.20)", webm / alone);
    println!("  bare opus to gated frames {bare:.2} us, ratio {:.2} (target under 1.20)", bare / alone);
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
