use super::*;
use tokio::time::sleep;

/// How a voice behaves: a word in 5 ms.
#[derive(Clone, Copy, Debug)]
struct Manner {
    name: &'static str,
    rate: SampleRate,
    /// How long a byte is spoken.
    per_byte: Duration,
    /// Whether it tells where its words lie.
    times: bool,
    /// Audio of an attempt before it goes wrong.
    breaks_after: Option<Duration>,
    /// Goes wrong by saying nothing more, instead of with an error.
    hangs: bool,
}

const SOUND: Manner = Manner {
    name: "sound",
    rate: SampleRate::HZ_24000,
    per_byte: Duration::from_millis(10),
    times: true,
    breaks_after: None,
    hangs: false,
};

/// Speaks, and writes down which text it had spoken when it was let go or ended.
#[derive(Clone)]
struct Reader {
    manner: Manner,
    /// Name and bytes that were heard whole, for each piece of text it was given.
    heard: Arc<Mutex<Vec<(&'static str, String)>>>,
}

impl TextToSpeech for Reader {
    fn name(&self) -> &'static str {
        self.manner.name
    }

    fn open(&self, _options: VoiceOptions) -> Box<dyn Voice> {
        Box::new(self.clone())
    }
}

struct Reading {
    reader: Reader,
    clauses: BoxStream<'static, String>,
    clause: usize,
    /// The rest of the clause, by word.
    words: VecDeque<String>,
    begun: bool,
    upto: usize,
    given: Duration,
    queue: VecDeque<SpeechEvent>,
    broken: bool,
}

impl Voice for Reader {
    fn speak(
        &mut self,
        _reply: ReplyId,
        clauses: BoxStream<'static, String>,
    ) -> BoxStream<'static, Result<SpeechEvent, ProviderError>> {
        let reading = Reading {
            reader: self.clone(),
            clauses,
            clause: 0,
            words: VecDeque::new(),
            begun: false,
            upto: 0,
            given: Duration::ZERO,
            queue: VecDeque::new(),
            broken: false,
        };
        stream::unfold(
            reading,
            |mut reading| async move { reading.next().await.map(|event| (event, reading)) },
        )
        .boxed()
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<SpeechEvent, ProviderError>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(Ok(event));
            }
            if self.broken {
                return None;
            }
            let Manner { name, rate, per_byte, times, breaks_after, hangs } = self.reader.manner;
            if breaks_after.is_some_and(|after| self.given >= after) {
                if hangs {
                    std::future::pending::<()>().await;
                }
                self.broken = true;
                let detail = "as the test wants".to_owned();
                return Some(Err(ProviderError::Failed { provider: name, detail }));
            }
            let Some(word) = self.words.pop_front() else {
                if std::mem::take(&mut self.begun) {
                    self.clause += 1;
                    return Some(Ok(SpeechEvent::ClauseEnd));
                }
                let clause = self.clauses.next().await?;
                self.words = clause.split_inclusive(' ').map(str::to_owned).collect();
                (self.begun, self.upto) = (true, 0);
                continue;
            };
            sleep(Duration::from_millis(5)).await;
            let start = self.given;
            self.given += per_byte * word.len() as u32;
            let mark = WordMark {
                clause: self.clause,
                upto: self.upto + word.trim_end().len(),
                start,
                end: self.given,
            };
            self.upto += word.len();
            self.reader.heard.lock().unwrap_or_else(PoisonError::into_inner).push((name, word.clone()));
            if times {
                self.queue.push_back(SpeechEvent::Alignment(vec![mark]));
            }
            let count = rate.samples_in(self.given) - rate.samples_in(start);
            self.queue.push_back(SpeechEvent::Audio { rate, samples: vec![500; count as usize] });
        }
    }
}

/// What came out, and who said what.
struct Said {
    samples: u64,
    ends: usize,
    rates: Vec<SampleRate>,
    marks: Vec<WordMark>,
    error: Option<ProviderError>,
    words: Vec<(&'static str, String)>,
}

const CLAUSES: [&str; 3] = ["Yes, it is. ", "It has three bedrooms, ", "and a garden. "];

async fn say(manners: &[Manner]) -> Said {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let voices = manners.iter().map(|manner| {
        let voice = Arc::new(Reader { manner: *manner, heard: heard.clone() });
        VoiceCandidate { voice, probe: None }
    });
    let speaker = ResilientVoice::new(voices.collect(), &Deadlines::default(), 3).expect("a line-up");
    let mut call = speaker.open(VoiceOptions::default());
    // The text comes as a model writes it.
    let clauses = stream::iter(CLAUSES).then(|clause| async move {
        sleep(Duration::from_millis(20)).await;
        clause.to_owned()
    });
    let mut speech = call.speak(ReplyId::default(), clauses.boxed());
    let (mut samples, mut ends, mut rates, mut marks, mut error) = (0, 0, Vec::new(), Vec::new(), None);
    while let Some(piece) = speech.next().await {
        match piece {
            Ok(SpeechEvent::Audio { rate, samples: piece }) => {
                samples += piece.len() as u64;
                rates.push(rate);
            }
            Ok(SpeechEvent::ClauseEnd) => ends += 1,
            Ok(SpeechEvent::Alignment(words)) => marks.extend(words),
            Err(lost) => error = Some(lost),
        }
    }
    rates.dedup();
    let words = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Said { samples, ends, rates, marks, error, words }
}

fn text(words: &[(&'static str, String)]) -> String {
    words.iter().map(|(_, word)| word.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_preferred_voice_speaks_while_it_can() {
    let said = say(&[SOUND, Manner { name: "second", ..SOUND }]).await;
    assert!(said.error.is_none());
    assert_eq!((said.ends, text(&said.words)), (3, CLAUSES.concat()));
    assert!(said.words.iter().all(|(name, _)| *name == "sound"));
    assert_eq!(said.marks.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn another_goes_on_where_a_voice_breaks_off_and_no_word_is_said_twice() {
    for hangs in [false, true] {
        for after in (0..500).step_by(10).map(Duration::from_millis) {
            let first = Manner { name: "first", breaks_after: Some(after), hangs, ..SOUND };
            let second = Manner { name: "second", rate: SampleRate::HZ_16000, ..SOUND };
            let said = say(&[first, second]).await;
            let shown = format!("broken after {after:?}, hangs: {hangs}: {:?}", said.words);
            assert!(said.error.is_none(), "{shown}: {:?}", said.error);
            assert_eq!(text(&said.words), CLAUSES.concat(), "{shown}");
            assert_eq!((said.ends, said.rates.len()), (3, 1), "{shown}");
            // 10 ms a byte, whoever said it; places in the text and times go on.
            let rate = said.rates[0];
            let (length, given) = (10 * CLAUSES.concat().len() as u64, rate.duration_of(said.samples));
            assert!(
                given.abs_diff(Duration::from_millis(length)) < Duration::from_millis(5),
                "{shown}: {given:?}"
            );
            assert_eq!(said.marks.len(), 10, "{shown}");
            assert!(said.marks.is_sorted_by_key(|mark| (mark.clause, mark.upto)), "{shown}");
            for (mark, word) in said.marks.iter().zip(CLAUSES.concat().split_whitespace()) {
                assert!(CLAUSES[mark.clause][..mark.upto].ends_with(word), "{shown}: {mark:?}");
            }
            for pair in said.marks.windows(2) {
                assert!(pair[1].start + Duration::from_millis(5) >= pair[0].end, "{shown}: {pair:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_word_times_no_word_is_said_twice_and_few_are_lost() {
    let slow = Manner { times: false, per_byte: Duration::from_millis(60), ..SOUND };
    for after in (100..3_000).step_by(100).map(Duration::from_millis) {
        let first = Manner { name: "first", breaks_after: Some(after), ..slow };
        let said = say(&[first, slow]).await;
        assert!(said.error.is_none() && said.ends == 3, "{after:?}");
        let mut words: Vec<&str> = said.words.iter().map(|(_, word)| word.trim()).collect();
        assert!(words.len() >= 8, "{after:?}: {words:?}");
        words.sort_unstable();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{after:?}: {words:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_nobody_left_the_last_error_is_told() {
    let broken = Manner { breaks_after: Some(Duration::ZERO), ..SOUND };
    let said = say(&[Manner { name: "first", ..broken }, Manner { name: "second", ..broken }]).await;
    assert!(said.error.is_some());
    assert_eq!(said.samples, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_text_ends_well() {
    let heard = Arc::default();
    let voice = Arc::new(Reader { manner: SOUND, heard });
    let voices = vec![VoiceCandidate { voice, probe: None }];
    let speaker = ResilientVoice::new(voices, &Deadlines::default(), 3).expect("a line-up");
    let mut speech = speaker.open(VoiceOptions::default()).speak(ReplyId::default(), stream::empty().boxed());
    assert!(speech.next().await.is_none());
    assert!(!speaker.is_down() && speaker.status().len() == 1);
}
