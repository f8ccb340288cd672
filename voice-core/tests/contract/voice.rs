//! What every voice keeps (`voice_core::tts`).

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc::unbounded;
use futures::stream::{self, BoxStream};
use voice_core::audio::SampleRate;
use voice_core::error::ProviderError;
use voice_core::ids::ReplyId;
use voice_core::tts::{SpeechEvent, TextToSpeech, Voice as CallVoice, VoiceOptions, WordMark};
use voice_fixtures::standin::Cloud;

use crate::{sentences, soon, until};

sentences! { SENTENCES of Voice:
    audio_begins_with_the_first_clause,
    each_clause_ends_once_behind_its_audio_and_words,
    a_reply_lasts_about_as_long_as_its_text,
    a_reply_without_clauses_ends_well,
    clauses_of_digits_signs_and_other_scripts_end_like_others,
    a_clause_with_nothing_to_say_waits_for_no_other,
    a_long_clause_is_spoken_whole,
    replies_follow_each_other,
    a_dropped_reply_leaves_the_voice_to_the_next,
    two_calls_speak_at_once,
    a_dropped_voice_leaves_nothing_behind,
}

/// A voice, and what is known of it.
#[derive(Clone)]
pub(crate) struct Voice {
    pub(crate) tts: Arc<dyn TextToSpeech>,
    /// Whether connections outlive a call.
    pub(crate) keeps_connections: bool,
    /// The stand-ins that it talks to.
    pub(crate) clouds: Vec<Arc<Cloud>>,
}

impl Voice {
    /// One of this machine.
    pub(crate) fn new(tts: impl TextToSpeech + 'static) -> Self {
        Self::shared(Arc::new(tts))
    }

    /// The same of one that others use too.
    pub(crate) fn shared(tts: Arc<dyn TextToSpeech>) -> Self {
        Self { tts, keeps_connections: false, clouds: Vec::new() }
    }

    /// The same with a stand-in behind it.
    pub(crate) fn of(mut self, cloud: Arc<Cloud>) -> Self {
        self.clouds.push(cloud);
        self
    }

    fn open(&self) -> Box<dyn CallVoice> {
        self.tts.open(VoiceOptions { language: "en".to_owned(), ..VoiceOptions::default() })
    }
}

pub(crate) const CLAUSES: [&str; 3] =
    ["Yes, it is.", "It has three bedrooms,", "and a garden behind the house."];

type Speech = BoxStream<'static, Result<SpeechEvent, ProviderError>>;

/// As the session gives them: the pieces of one text.
fn given(clauses: &[&str]) -> BoxStream<'static, String> {
    let clauses: Vec<String> = clauses.iter().map(|clause| format!("{clause} ")).collect();
    stream::iter(clauses).boxed()
}

/// What a reply came to so far.
#[derive(Debug, Default)]
struct Heard {
    rate: Option<SampleRate>,
    samples: u64,
    /// Samples before each end of a clause.
    ends: Vec<u64>,
    /// Words, each with the samples that were there before it was told.
    words: Vec<(WordMark, u64)>,
    error: Option<ProviderError>,
}

impl Heard {
    /// Takes the next piece and checks it as far as it can be alone. `false`: the speech is over.
    async fn take(&mut self, speech: &mut Speech) -> bool {
        let Some(piece) = soon("the next piece of speech", speech.next()).await else { return false };
        assert!(self.error.is_none(), "behind an error: {piece:?}");
        match piece {
            Ok(SpeechEvent::Audio { rate, samples }) => {
                assert_eq!(rate, *self.rate.get_or_insert(rate), "the rate is that of the whole reply");
                self.samples += samples.len() as u64;
            }
            Ok(SpeechEvent::ClauseEnd) => self.ends.push(self.samples),
            Ok(SpeechEvent::Alignment(words)) => {
                self.words.extend(words.into_iter().map(|word| (word, self.samples)));
            }
            Err(error) => self.error = Some(error),
        }
        true
    }

    async fn all(mut speech: Speech) -> Self {
        let mut heard = Self::default();
        while heard.take(&mut speech).await {}
        heard
    }

    /// All of a reply of these clauses, spoken well.
    #[track_caller]
    fn check(&self, clauses: &[&str]) {
        assert!(self.error.is_none(), "{:?}", self.error);
        assert_eq!(self.ends.len(), clauses.len(), "an end for each clause");
        let Some(rate) = self.rate else {
            assert!(self.words.is_empty(), "words without audio");
            return;
        };
        let time = |samples: u64| rate.duration_of(samples);
        let behind = self.ends.last().map_or(Duration::ZERO, |end| time(self.samples - end));
        assert!(behind <= LAST_PAUSE, "{behind:?} of audio behind the last clause");
        let mut before: Option<WordMark> = None;
        for (word, given) in &self.words {
            let clause = format!("{} ", clauses.get(word.clause).expect("a clause that was given"));
            assert!(clause.is_char_boundary(word.upto) && word.upto > 0, "{word:?} in {clause:?}");
            assert!(word.start <= word.end && word.end <= time(self.samples) + SLACK, "{word:?}");
            assert!(word.end + SLACK >= time(*given), "told behind its audio: {word:?}");
            let from = word.clause.checked_sub(1).map_or(0, |clause| self.ends[clause]);
            let within = word.start + SLACK >= time(from) && word.end <= time(self.ends[word.clause]) + SLACK;
            assert!(within, "{word:?} is not in the audio of its clause: {:?}", self.ends);
            if let Some(before) = before {
                let follows = (before.clause, before.upto) < (word.clause, word.upto);
                assert!(follows && before.start <= word.start, "{word:?} behind {before:?}");
            }
            before = Some(*word);
        }
    }

    /// The same, with sound.
    #[track_caller]
    fn check_sounds(&self, clauses: &[&str]) {
        self.check(clauses);
        assert!(self.samples > 0, "no sound");
    }
}

/// Times of services are in whole milliseconds and of a model.
const SLACK: Duration = Duration::from_millis(25);

/// What may follow the last word.
const LAST_PAUSE: Duration = Duration::from_millis(500);

async fn say(voice: &mut dyn CallVoice, reply: u32, clauses: &[&str]) -> Heard {
    Heard::all(voice.speak(ReplyId(reply), given(clauses))).await
}

/// "Audio must start with the first clause, not wait for the last": the others are given when it has.
async fn audio_begins_with_the_first_clause(voice: &Voice) {
    let mut call = voice.open();
    let (give, taken) = unbounded();
    let mut speech = call.speak(ReplyId(1), taken.boxed());
    let mut heard = Heard::default();
    give.unbounded_send(format!("{} ", CLAUSES[0])).unwrap();
    while heard.samples == 0 {
        assert!(heard.take(&mut speech).await && heard.error.is_none(), "{heard:?}");
    }
    for clause in &CLAUSES[1..] {
        give.unbounded_send(format!("{clause} ")).unwrap();
    }
    drop(give);
    while heard.take(&mut speech).await {}
    heard.check_sounds(&CLAUSES);
}

/// "All audio of the next clause in order has been given"; words lie in the audio, in order, in their clause.
async fn each_clause_ends_once_behind_its_audio_and_words(voice: &Voice) {
    let mut call = voice.open();
    say(&mut *call, 1, &CLAUSES).await.check_sounds(&CLAUSES);
    say(&mut *call, 2, &CLAUSES[..1]).await.check_sounds(&CLAUSES[..1]);
}

/// Between six and fifty letters a second.
async fn a_reply_lasts_about_as_long_as_its_text(voice: &Voice) {
    let heard = say(&mut *voice.open(), 1, &CLAUSES).await;
    let letters: usize = CLAUSES.iter().map(|clause| clause.len()).sum();
    let each = heard.rate.expect("sound").duration_of(heard.samples).as_secs_f64() / letters as f64;
    assert!((0.02..0.16).contains(&each), "{:.0} ms a letter", each * 1_000.0);
}

async fn a_reply_without_clauses_ends_well(voice: &Voice) {
    let mut call = voice.open();
    let heard = say(&mut *call, 1, &[]).await;
    heard.check(&[]);
    assert_eq!(heard.samples, 0, "sound of nothing");
    say(&mut *call, 2, &CLAUSES).await.check_sounds(&CLAUSES);
}

/// The model may write anything.
async fn clauses_of_digits_signs_and_other_scripts_end_like_others(voice: &Voice) {
    let mut call = voice.open();
    let replies: [&[&str]; 5] = [
        &["🙂"],
        &["…", "—", "🙂🙂"],
        &["🙂", "It is sold.", "—"],
        &["12", "$525,000", "10:30", "3½", "512-555-0134"],
        &["Grüße, Zoë!", "東京。", "Да, конечно.", "e\u{301}te\u{301}", "\u{200b}"],
    ];
    for (number, clauses) in replies.into_iter().enumerate() {
        println!("        {clauses:?}");
        say(&mut *call, number as u32 + 1, clauses).await.check(clauses);
    }
}

/// A clause of signs alone ends when it is given: who counts the ends does not wait for words that may never come.
async fn a_clause_with_nothing_to_say_waits_for_no_other(voice: &Voice) {
    let mut call = voice.open();
    let (give, taken) = unbounded();
    let mut speech = call.speak(ReplyId(1), taken.boxed());
    let mut heard = Heard::default();
    for clause in ["🙂 ", "It is sold. "] {
        give.unbounded_send(clause.to_owned()).unwrap();
        let ends = heard.ends.len();
        while heard.ends.len() == ends {
            assert!(heard.take(&mut speech).await && heard.error.is_none(), "{heard:?}");
        }
    }
    drop(give);
    while heard.take(&mut speech).await {}
    heard.check_sounds(&["🙂", "It is sold."]);
}

async fn a_long_clause_is_spoken_whole(voice: &Voice) {
    let clause = "It has three bedrooms and a garden behind the house and a garage for two cars ".repeat(3);
    let clause = clause.trim_end();
    let heard = say(&mut *voice.open(), 1, &[clause]).await;
    heard.check_sounds(&[clause]);
    let lasts = heard.rate.expect("sound").duration_of(heard.samples);
    assert!(lasts > Duration::from_secs(8), "{lasts:?} for {} letters", clause.len());
}

/// The audio of each begins afresh, with its own clauses and words.
async fn replies_follow_each_other(voice: &Voice) {
    let mut call = voice.open();
    let mut rate = None;
    for number in 1..=4 {
        let heard = say(&mut *call, number, &CLAUSES).await;
        heard.check_sounds(&CLAUSES);
        assert_eq!(heard.rate, *rate.get_or_insert(heard.rate), "the rate of reply {number}");
    }
}

/// "Dropping the returned stream cancels", wherever it is: before a word, in its first audio, behind a clause.
async fn a_dropped_reply_leaves_the_voice_to_the_next(voice: &Voice) {
    let mut call = voice.open();
    for number in 1..=7 {
        let clauses = given(&CLAUSES).chain(stream::pending()).boxed();
        let mut speech = call.speak(ReplyId(number), clauses);
        let mut heard = Heard::default();
        let enough = |heard: &Heard| match number % 3 {
            0 => true,
            1 => heard.samples > 0,
            _ => !heard.ends.is_empty(),
        };
        while !enough(&heard) {
            assert!(heard.take(&mut speech).await && heard.error.is_none(), "{heard:?}");
        }
        drop(speech);
    }
    say(&mut *call, 8, &CLAUSES).await.check_sounds(&CLAUSES);
}

async fn two_calls_speak_at_once(voice: &Voice) {
    let (mut one, mut other) = (voice.open(), voice.open());
    let two = ["It is sold.", "Thank you."];
    let (first, second) = tokio::join!(say(&mut *one, 1, &CLAUSES), say(&mut *other, 1, &two));
    first.check_sounds(&CLAUSES);
    second.check_sounds(&two);
    assert!(first.samples > second.samples, "{} and {} samples", first.samples, second.samples);
}

/// No task, no connection.
async fn a_dropped_voice_leaves_nothing_behind(voice: &Voice) {
    let mut call = voice.open();
    let mut speech = call.speak(ReplyId(1), given(&CLAUSES).chain(stream::pending()).boxed());
    let mut heard = Heard::default();
    while heard.samples == 0 {
        assert!(heard.take(&mut speech).await && heard.error.is_none(), "{heard:?}");
    }
    drop(speech);
    drop(call);
    drop(voice.open());
    for cloud in voice.clouds.iter().filter(|_| !voice.keeps_connections) {
        until("the end of every connection", || cloud.live() == 0).await;
    }
}
