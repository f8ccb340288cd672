//! One call, from its open socket to its stored end, in one task.
//!
//! Five futures are polled side by side: the reader (never cancelled), the feeding of the session, the pump that sorts
//! the session's outputs, the writer, and the recorder. A call ends in this order: the session finishes its turn, its
//! turns are stored, the conversation is marked as ended, the close frame is sent. A client that closed waits for
//! its echo at most `PROMISE`; what is not stored by then is stored after it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::upgrade::UpgradeFut;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use super::Limits;
use super::backlog::Backlog;
use super::call::TurnRecord;
use super::call::{
    Answerer, CallInput as _, CallOptions, CallOutput, Event, Output, OutputFormat, Profile, Recorded,
    Refused,
};
use super::dating::{Dated, Dating};
use super::frames::{self, Gone, Reader, Writer};
use super::inbound::{self, Activity, First, Hangup, ORDER_QUEUE, Order};
use super::messages::{Message, Request, ledger_ms};
use super::outbox::{Item, Outbox};
use super::query::Asked;
use super::recorder::{QUEUE, Recorder};
use super::registry::Seat;
use crate::cost::Account;
use crate::data::{Caller, Store, Timestamp};
use crate::events::Publisher;
use crate::metrics::Metrics;
use crate::recording::{CallRecording, Plan};
use crate::shutdown::Shutdown;

/// A client that closed gets its echo within this.
const PROMISE: Duration = Duration::from_secs(2);
/// Of that, what the session has for finishing its turn; the rest is for storing.
const FINISH: Duration = Duration::from_millis(1_600);
/// What came before a hang-up is still fed for this long: a file, and a close right behind it.
const GRACE: Duration = Duration::from_millis(400);
/// How long `voice.v1` waits for a `start` before the call begins as it is.
const START_WAIT: Duration = Duration::from_secs(2);

/// An accepted upgrade and everything its call needs.
pub struct Socket {
    /// Resolves when the response has been written.
    pub(super) upgrade: UpgradeFut,
    /// The call's place.
    pub(super) seat: Seat,
    /// The conversation's id.
    pub(super) id: Uuid,
    /// The conversation's organization.
    pub(super) organization: Uuid,
    /// Who calls, as far as it is sure.
    pub(super) caller: Option<Caller>,
    /// What the call's providers cost.
    pub(super) account: Account,
    /// When the conversation was created, by the wall and by the clock that never jumps.
    pub(super) created: (Timestamp, Instant),
    /// Where turns are stored.
    pub(super) store: Arc<dyn Store>,
    /// Tells those who watch.
    pub(super) publisher: Arc<Publisher>,
    /// What the socket speaks.
    pub(super) profile: Profile,
    /// What the query asked.
    pub(super) asked: Asked,
    /// What is said of the recording, and recorded.
    pub(super) plan: Option<Plan>,
    /// Counts turns.
    pub(super) metrics: Metrics,
    /// The call's limits.
    pub(super) limits: Limits,
    /// Begins when the server is to stop.
    pub(super) shutdown: Shutdown,
}

/// How a call ended.
#[derive(Debug)]
enum End {
    Client(Hangup),
    Server { code: u16, reason: String },
}

impl End {
    fn server(code: u16, reason: &str) -> Self {
        Self::Server { code, reason: reason.to_owned() }
    }

    fn too_slow() -> Self {
        Self::server(4429, "the client reads too slowly")
    }
}

/// Carries one call. Never panics on what a client sends; ends within `PROMISE` of a hang-up, plus what storing takes.
pub(super) async fn run<A: Answerer>(answerer: Arc<A>, socket: Socket) {
    let limits = socket.limits;
    let opened = timeout(limits.write, open(socket.upgrade, limits)).await.ok().flatten();
    if let Seat::Refused(_place) = &socket.seat {
        if let Some((reader, writer)) = opened {
            goodbye(reader, writer, 1013, "all lines are busy; call again in a moment").await;
        }
        return;
    }
    let recorder = Recorder {
        store: socket.store,
        organization: socket.organization,
        conversation: socket.id,
        created: socket.created,
        account: socket.account.clone(),
        publisher: Some(socket.publisher.clone()),
    };
    socket.publisher.started();
    let Some((reader, writer)) = opened else {
        // The client went away before the call began; its conversation still gets an end.
        let (none, turns) = mpsc::channel(1);
        drop(none);
        return recorder.run(turns, |_| {}).await;
    };
    let call = Call {
        id: socket.id,
        organization: socket.organization,
        caller: socket.caller,
        account: socket.account,
        profile: socket.profile,
        limits,
        outbox: Outbox::default(),
        activity: Activity::new(),
        overflow: Notify::new(),
        publisher: socket.publisher,
        shutdown: socket.shutdown,
    };
    call.carry(&*answerer, (socket.asked, socket.plan), reader, writer, recorder, &socket.metrics).await;
    drop(socket.seat);
}

/// Takes the TCP stream out of the upgraded connection.
async fn open(upgrade: UpgradeFut, limits: Limits) -> Option<(Reader, Writer)> {
    let upgraded = upgrade.await.ok()?.into_inner().into_inner();
    // The accept loop serves nothing else, so this holds; if it ever does not, the call is refused, not broken.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some(frames::split(parts.io.into_inner(), parts.read_buf, limits.message, limits.write))
}

/// Tells a client why there is no call.
async fn goodbye(reader: Reader, mut writer: Writer, code: u16, reason: &str) {
    if writer.close(Some(code), reason).await.is_ok() {
        writer.shut().await;
        let _ = timeout(PROMISE, reader.drain()).await;
    }
}

struct Call {
    id: Uuid,
    organization: Uuid,
    caller: Option<Caller>,
    account: Account,
    profile: Profile,
    limits: Limits,
    outbox: Outbox,
    activity: Activity,
    /// Told when the outbox is full.
    overflow: Notify,
    publisher: Arc<Publisher>,
    shutdown: Shutdown,
}

impl Call {
    async fn carry<A: Answerer>(
        &self,
        answerer: &A,
        (asked, plan): (Asked, Option<Plan>),
        reader: Reader,
        writer: Writer,
        recorder: Recorder,
        metrics: &Metrics,
    ) {
        let audio = Backlog::new(self.limits.backlog);
        let (orders_in, mut orders) = mpsc::channel(ORDER_QUEUE);
        let (turns_in, turns) = mpsc::channel(QUEUE);
        let mut reading = pin!(inbound::read(
            reader,
            self.profile,
            &asked,
            &audio,
            orders_in,
            &self.outbox,
            &self.activity
        ));
        // A turn is told when it is stored: a client that knows of it finds it, whatever happens then.
        let mut recording = pin!(recorder.run(turns, |record| {
            metrics.note_turn(&record);
            self.tell(turn_message(record));
        }));
        let mut read = None;

        // The caller may say first what it wants; the reader is polled meanwhile and always.
        let (asked, first) = {
            let mut starting = pin!(self.start(asked, &audio, &mut orders));
            loop {
                tokio::select! {
                    started = &mut starting => break started,
                    done = &mut reading, if read.is_none() => read = Some(done),
                }
            }
        };
        let greets = asked.greeting.unwrap_or(false);
        let sound = plan.clone().map(|plan| plan.begin(greets));
        let options = CallOptions {
            id: self.id,
            organization: self.organization,
            caller: self.caller.clone(),
            meter: self.account.meter.clone(),
            input: asked.input.flatten(),
            output: asked.output.unwrap_or(OutputFormat::Wav),
            profile: self.profile,
            greeting: greets,
            recording: Recorded { plan, tap: sound.as_ref().and_then(CallRecording::tap) },
        };
        let (input, output) = match answerer.open(options.clone()) {
            Ok(line) => line,
            Err(refused) => {
                let code = if matches!(refused, Refused::Busy(_)) { 1013 } else { 1011 };
                tracing::warn!(conversation = %self.id, code, %refused, "a call was not opened");
                drop(turns_in);
                recording.await;
                drop(orders);
                let end = End::server(code, &refused.to_string());
                return close(end, read, reading, Some(writer)).await;
            }
        };
        self.tell(Message::session(&options));

        // Boxed, so that it can be dropped, and with it the way to the recorder, when it is given up.
        let mut pumping = Box::pin(self.pump(output, turns_in, sound));
        let mut feeding = pin!(inbound::feed(&input, first, &audio, orders, &self.outbox));
        let mut writing = pin!(self.write(writer));
        let mut watching = pin!(self.watch());
        let (mut pumped, mut fed, mut recorded, mut written) = (false, false, false, None);

        // The call itself. A reader that ended before the session was open ends it at once.
        let end = match &read {
            Some((hangup, _)) => End::Client(*hangup),
            None => loop {
                tokio::select! {
                    end = &mut pumping => { pumped = true; break end }
                    done = &mut reading => {
                        let hangup = done.0;
                        read = Some(done);
                        break End::Client(hangup);
                    }
                    done = &mut writing => {
                        // Before its end the box is finished only where it overflowed.
                        let end = if done.is_ok() { End::too_slow() } else { End::Client(Hangup::Gone) };
                        written = Some(done);
                        break end;
                    }
                    () = self.overflow.notified() => break End::too_slow(),
                    end = &mut watching => break end,
                    () = &mut feeding, if !fed => fed = true,
                    () = &mut recording, if !recorded => recorded = true,
                }
            },
        };
        let hung_up = Instant::now();

        // The session finishes its turn. Nobody hears what it says to a client that has gone.
        if matches!(end, End::Client(_)) {
            self.outbox.finish(true);
        }
        let mut grace = pin!(sleep(if matches!(end, End::Client(Hangup::Closed(_) | Hangup::Gone)) {
            GRACE
        } else {
            Duration::ZERO
        }));
        let mut closing = false;
        while !pumped {
            if !closing && (fed || grace.is_elapsed()) {
                closing = true;
                input.close();
            }
            tokio::select! {
                _ = &mut pumping => pumped = true,
                () = &mut grace, if !closing => {}
                () = &mut feeding, if !fed => fed = true,
                done = &mut writing, if written.is_none() => written = Some(done),
                done = &mut reading, if read.is_none() => read = Some(done),
                () = &mut recording, if !recorded => recorded = true,
                () = sleep_until(hung_up + FINISH) => {
                    tracing::error!(conversation = %self.id, "the session did not end in time and is given up");
                    break;
                }
            }
        }
        drop(pumping);

        // Its turns are stored, and then the rest is written, the news of those turns among it.
        let promised = hung_up + PROMISE;
        let patience = if matches!(end, End::Client(_)) { promised } else { hung_up + self.limits.write };
        let mut late = false;
        while !(written.is_some() && (recorded || late)) {
            if recorded || late {
                self.outbox.finish(false);
            }
            tokio::select! {
                () = &mut recording, if !recorded => recorded = true,
                done = &mut writing, if written.is_none() => written = Some(done),
                done = &mut reading, if read.is_none() => read = Some(done),
                () = &mut feeding, if !fed => fed = true,
                () = sleep_until(promised), if !(recorded || late) => late = true,
                () = sleep_until(patience) => break,
            }
        }
        tracing::info!(
            conversation = %self.id, end = %describe(&end), seconds = self.activity.begun().elapsed().as_secs(),
            cost_usd = self.account.cost().usd(), "a call ended"
        );
        let writer = written.and_then(Result::ok);
        close(end, read, reading, writer).await;
        if !recorded {
            tracing::warn!(conversation = %self.id, "the close was sent before the call was stored");
            recording.await;
        }
    }

    /// What the caller wants, and what came before that was clear.
    async fn start(
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
    async fn pump(
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
                Output::Audio { reply, payload } => {
                    self.activity.note_talk();
                    dating.handle_audio(reply, self.activity.now());
                    self.push(Item::Audio { reply, payload });
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
                Event::Reply { turn, text } => Message::Reply { turn, text },
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

    /// Puts a message for a client that reads messages; others take every message for audio.
    fn tell(&self, message: Message) {
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

    /// Writes until the box is finished; gives the writer back for the close.
    async fn write(&self, mut writer: Writer) -> Result<Writer, Gone> {
        let mut seq = 0_u32;
        while let Some(item) = self.outbox.next().await {
            match item {
                Item::Audio { payload, .. } if self.profile == Profile::Basic => {
                    writer.binary(&payload).await?
                }
                Item::Audio { reply, payload } => {
                    seq = seq.wrapping_add(1);
                    writer.numbered(seq, reply, &payload).await?;
                }
                Item::Message(message) => {
                    seq = seq.wrapping_add(1);
                    writer.text(&message.encode(seq)).await?;
                }
                Item::Pong(payload) => writer.pong(&payload).await?,
                Item::Ping => writer.ping().await?,
            }
        }
        Ok(writer)
    }

    /// Ends what would never end by itself.
    async fn watch(&self) -> End {
        let (limits, activity) = (&self.limits, &self.activity);
        let mut stopping = pin!(self.shutdown.clone().begun());
        let mut ping_at = Instant::now() + limits.ping;
        loop {
            let until = (activity.talk_at() + limits.idle)
                .min(activity.frame_at() + limits.dead)
                .min(activity.begun() + limits.whole)
                .min(ping_at);
            tokio::select! {
                () = &mut stopping => return End::server(1013, "the server is stopping; call again in a moment"),
                () = sleep_until(until) => {}
            }
            let now = Instant::now();
            if now >= activity.talk_at() + limits.idle {
                return End::server(4408, "nobody spoke for a long time");
            }
            if now >= activity.begun() + limits.whole {
                return End::server(4429, "the call reached its longest time");
            }
            if now >= activity.frame_at() + limits.dead {
                return End::Client(Hangup::Gone);
            }
            if now >= ping_at {
                ping_at = now + limits.ping;
                self.push(Item::Ping);
            }
        }
    }
}

/// The last words on the socket.
async fn close(
    end: End,
    read: Option<(Hangup, Reader)>,
    reading: impl Future<Output = (Hangup, Reader)>,
    writer: Option<Writer>,
) {
    let Some(mut writer) = writer else { return };
    let sent = match &end {
        End::Client(Hangup::Closed(code)) => writer.close(*code, "").await,
        End::Client(Hangup::Gone) => return,
        End::Client(Hangup::Fault { code, reason }) => writer.close(Some(*code), reason).await,
        End::Server { code, reason } => writer.close(Some(*code), reason).await,
    };
    if sent.is_err() {
        return;
    }
    let until = Instant::now() + PROMISE;
    // The client's own close is waited for: a stream closed over unread bytes would take our frame with it.
    let reader = match read {
        Some((_, reader)) => Some(reader),
        None => timeout_at(until, reading).await.ok().map(|(_, reader)| reader),
    };
    writer.shut().await;
    if let Some(reader) = reader {
        let _ = timeout_at(until, reader.drain()).await;
    }
}

fn turn_message(record: TurnRecord) -> Message {
    let (ledger, total_ms) = ledger_ms(&record.ledger);
    Message::Turn {
        turn: record.turn,
        said: record.said,
        reply: record.reply,
        heard: record.heard,
        interrupted: record.interrupted,
        ledger,
        total_ms,
    }
}

/// For the log: no words of the caller are in it.
fn describe(end: &End) -> String {
    match end {
        End::Client(Hangup::Closed(code)) => format!("closed by the client ({})", code.unwrap_or(1005)),
        End::Client(Hangup::Gone) => "the client went away".into(),
        End::Client(Hangup::Fault { code, reason }) => format!("{code} {reason}"),
        End::Server { code, reason } => format!("{code} {reason}"),
    }
}
