//! What runs beside each other in a call, but for its sockets: the first message, the session's outputs, and the watch over
//! what would never end by itself. Caller: [`super::Call`], which decides what follows from it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::backlog::Backlog;
use super::super::call::{CallOptions, CallOutput, Event, Output, Profile, TurnRecord};
use super::super::dating::{Dated, Dating};
use super::super::frames::{Gone, Writer};
use super::super::inbound::{First, Order};
use super::super::link::{self, Link};
use super::super::messages::{Message, Request, ledger_ms};
use super::super::outbox::{Audio, Item};
use super::super::query::Asked;
use super::super::registry::Live;
use super::{Call, End, START_WAIT, Seen};
use crate::recording::{CallRecording, Plan};

impl Call {
    /// What the caller wants, and what came before that was clear.
    pub(super) async fn start(
        &self,
        asked: Asked,
        audio: &Backlog,
        orders: &mut mpsc::Receiver<Order>,
    ) -> (Asked, First) {
        if self.profile == Profile::Basic || !asked.is_empty() {
            return (asked, First::default());
        }
        tokio::select! {
            // A `start` is not overtaken by the audio behind it, also where the reader has used up the task's budget.
            biased;
            order = unconstrained(orders.recv()) => match order {
                Some(Order { request: Ok(Request::Start(said)), is_first: true }) => (said.or(asked), First::default()),
                order => (asked, First { order, audio: None }),
            },
            audio = audio.next() => (asked, First { audio, order: None }),
            () = sleep(START_WAIT) => (asked, First::default()),
        }
    }

    /// Sorts the session's outputs until the last.
    pub(super) async fn pump(
        &self,
        mut output: impl CallOutput,
        turns: mpsc::Sender<Dated>,
        sound: Option<CallRecording>,
    ) -> End {
        let mut dating = Dating::new(self.activity.now());
        let mut cleared = None;
        while let Some(out) = output.next().await {
            let event = match out {
                // Events overtake audio that waits: what is void by now is not sent any more.
                Output::Audio { reply, .. } if cleared == Some(reply) => continue,
                Output::Audio { reply, payload, from, upto } => {
                    self.activity.note_talk();
                    dating.handle_audio(reply, self.activity.now());
                    self.push(Item::Audio(Audio { reply, payload, from, upto }));
                    continue;
                }
                Output::Event(event) => event,
            };
            if let Some(sound) = &sound {
                sound.handle(&event);
            }
            self.tell(match event {
                Event::Transcript { turn, text, is_final } => {
                    self.activity.note_talk();
                    dating.handle_words(turn, self.activity.now());
                    self.publisher.transcript(turn, &text, is_final);
                    Message::Transcript { turn, text, is_final }
                }
                Event::Reply { turn, text } => {
                    self.publisher.reply(turn, &text);
                    Message::Reply { turn, text }
                }
                Event::SpeechStarted => {
                    self.activity.note_talk();
                    Message::SpeechStarted
                }
                Event::SpeechEnded => Message::SpeechEnded,
                Event::Clear { reply } => {
                    cleared = Some(reply);
                    self.outbox.clear(reply);
                    Message::Clear { reply }
                }
                Event::TurnEnded(record) => {
                    let turn = record.turn;
                    if turns.try_send(dating.date(record, self.activity.now())).is_err() {
                        tracing::error!(conversation = %self.id, turn, "a turn was dropped: too many wait");
                    }
                    continue;
                }
                Event::Notice { code, text } => Message::Notice { code, text },
                Event::Error { code, text } => Message::Error { code, text },
                Event::Closed { code, reason } => return End::Server { code, reason },
            });
        }
        End::server(1011, "the call ended unexpectedly")
    }

    /// Who is not greeted reads that a machine answers.
    pub(super) fn disclose(&self, options: &CallOptions) {
        let plan = options.recording.plan.as_ref().filter(|_| !options.greeting);
        if let Some(text) = plan.and_then(Plan::disclosure) {
            self.tell(Message::Notice { code: "disclosure".to_owned(), text: text.to_owned() });
        }
    }

    /// Tells those who watch how the call goes now.
    pub(super) fn tell_watchers(&self, live: &Live) {
        self.publisher.live(live.is_away.load(Ordering::Relaxed), live.is_attended.load(Ordering::Relaxed));
    }

    /// Puts a message for a client that reads messages; others take every message for audio.
    pub(super) fn tell(&self, message: Message) {
        if self.profile == Profile::Full {
            self.push(Item::Message(Box::new(message)));
        }
    }

    fn push(&self, item: Item) {
        if self.outbox.push(item).is_err() {
            // Nobody waits: what has no room is dropped, and the call ends.
            self.outbox.finish(true);
            self.overflow.notify_one();
        }
    }

    pub(super) async fn write(&self, link: Arc<Link>, writer: Writer) -> Result<Writer, Gone> {
        link::write(&link, &self.outbox, self.profile, writer).await
    }

    /// Sees what would never end by itself. Whether there is a socket is decided when it is called.
    pub(super) async fn watch(&self, has_socket: bool) -> Seen {
        let (limits, activity) = (&self.limits, &self.activity);
        let mut stopping = pin!(self.shutdown.clone().begun());
        let mut ping_at = Instant::now() + limits.ping;
        loop {
            let mut until = (activity.talk_at() + limits.idle).min(activity.begun() + limits.whole);
            if has_socket {
                until = until.min(activity.frame_at() + limits.dead).min(ping_at);
            }
            tokio::select! {
                () = &mut stopping => {
                    return Seen::End(End::server(1013, "the server is stopping; call again in a moment"));
                }
                () = sleep_until(until) => {}
            }
            let now = Instant::now();
            if now >= activity.talk_at() + limits.idle {
                return Seen::End(End::server(4408, "nobody spoke for a long time"));
            }
            if now >= activity.begun() + limits.whole {
                return Seen::End(End::server(4429, "the call reached its longest time"));
            }
            if has_socket && now >= activity.frame_at() + limits.dead {
                return Seen::Dead;
            }
            if has_socket && now >= ping_at {
                ping_at = now + limits.ping;
                self.push(Item::Ping);
            }
        }
    }
}

pub(super) fn turn_message(record: TurnRecord) -> Message {
    let (ledger, total_ms) = ledger_ms(&record.ledger);
    Message::Turn {
        turn: record.turn,
        said: record.said,
        reply: record.reply,
        heard: record.heard,
        interrupted: record.interrupted,
        ledger,
        total_ms,
        by_person: record.by_person,
    }
}
