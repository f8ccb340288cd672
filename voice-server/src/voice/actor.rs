//! One call, from its open socket to its stored end, in one task.
//!
//! Several futures are polled side by side: the reader (never cancelled while its socket counts), the feeding of the session,
//! the pump that sorts the session's outputs, the writer, and the recorder. In `voice.v1` the call outlives a socket that
//! drops: it goes on without one, its playback paused, until another is handed to it or `Limits::resume` has passed. A call
//! ends in this order: the session finishes its turn, its turns are stored, the conversation is marked as ended, the close
//! frame is sent. A client that closed waits for its echo at most `PROMISE`; what is not stored by then is stored after it.

mod duties;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fastwebsockets::upgrade::UpgradeFut;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use super::Limits;
use super::backlog::Backlog;
use super::call::{Answerer, CallInput as _, CallOptions, Control, OutputFormat, Profile, Recorded, Refused};
use super::frames::{Gone, Reader, Writer};
use super::inbound::{self, Activity, Hangup, ORDER_QUEUE, Way};
use super::link::{self, Link};
use super::messages::Message;
use super::outbox::Outbox;
use super::query::Asked;
use super::recorder::{QUEUE, Recorder};
use super::registry::{self, HANDOVERS, Live, ORDERS, Registry, Seat};
use super::resume::{self, Handover, Owner, Token};
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
/// Orders of ours that wait for the session, which takes them at once. More than that is a storm of sockets.
const STEERING: usize = 32;
/// Sockets that are being parted from at a time.
const PARTINGS: usize = 4;

/// An accepted upgrade and everything its call needs.
pub struct Socket {
    /// Resolves when the response has been written.
    pub(super) upgrade: UpgradeFut,
    /// The call's place.
    pub(super) seat: Seat,
    /// The conversation's id.
    pub(super) id: Uuid,
    /// Who calls, and whom.
    pub(super) owner: Owner,
    /// Who calls, as far as it is sure.
    pub(super) caller: Option<Caller>,
    /// What the call's providers cost.
    pub(super) account: Account,
    /// Where the call is known while it lasts.
    pub(super) calls: Registry,
    /// When the conversation was created, by the wall and by the clock that never jumps.
    pub(super) created: (Timestamp, Instant),
    /// The number of the last turn that the conversation had before this call.
    pub(super) turns_before: u32,
    /// Whether the conversation was made for this call.
    pub(super) is_new: bool,
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

    fn fault() -> Self {
        Self::server(1011, "the call broke off through a fault of the server")
    }

    fn too_slow() -> Self {
        Self::server(4429, "the client reads too slowly")
    }
}

/// Carries one call. Never panics on what a client sends; ends within `PROMISE` of a hang-up, plus what storing takes.
pub(super) async fn run<A: Answerer>(answerer: Arc<A>, socket: Socket) {
    let limits = socket.limits;
    let opened = timeout(limits.write, link::open(socket.upgrade, limits)).await.ok().flatten();
    if let Seat::Refused(_place) = &socket.seat {
        if let Some((reader, writer)) = opened {
            link::goodbye(Some(reader), writer, 1013, "all lines are busy; call again in a moment").await;
        }
        return;
    }
    let recorder = Recorder {
        store: socket.store,
        organization: socket.owner.organization,
        conversation: socket.id,
        created: socket.created,
        account: socket.account.clone(),
        publisher: Some(socket.publisher.clone()),
        turns_before: socket.turns_before,
        is_new: socket.is_new,
    };
    let Some((reader, writer)) = opened else {
        socket.publisher.started();
        // The client went away before the call began; its conversation still gets an end.
        let (none, turns) = mpsc::channel(1);
        drop(none);
        return recorder.run(turns, |_| {}).await;
    };
    let call = Call {
        id: socket.id,
        caller: socket.caller,
        account: socket.account,
        publisher: socket.publisher,
        profile: socket.profile,
        limits,
        outbox: Arc::new(Outbox::new(socket.profile)),
        owner: socket.owner,
        calls: socket.calls,
        started: socket.created.0,
        activity: Activity::new(),
        overflow: Notify::new(),
        shutdown: socket.shutdown,
    };
    call.carry(&*answerer, (socket.asked, socket.plan), reader, writer, recorder, &socket.metrics).await;
    drop(socket.seat);
}

type Reading<'a> = Pin<Box<dyn Future<Output = (Hangup, Reader)> + Send + 'a>>;
type Writing<'a> = Pin<Box<dyn Future<Output = Result<Writer, Gone>> + Send + 'a>>;
type Parting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The socket that a call has.
struct Socketed<'a> {
    link: Arc<Link>,
    reading: Option<Reading<'a>>,
    writing: Option<Writing<'a>>,
}

/// What the watch saw.
enum Seen {
    /// The call is over.
    End(End),
    /// Nothing has come from the client for too long.
    Dead,
}

struct Call {
    id: Uuid,
    caller: Option<Caller>,
    account: Account,
    publisher: Arc<Publisher>,
    profile: Profile,
    limits: Limits,
    owner: Owner,
    calls: Registry,
    started: Timestamp,
    outbox: Arc<Outbox>,
    activity: Activity,
    /// Told when the outbox is full.
    overflow: Notify,
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
        let (handovers_in, mut handovers) = mpsc::channel(HANDOVERS);
        let (told_in, mut told) = mpsc::channel(ORDERS);
        let (token, kept) = match self.profile {
            Profile::Full => Token::draw().unzip(),
            Profile::Basic => (None, None),
        };
        let live = Arc::new(Live {
            id: self.id,
            started: self.started,
            owner: self.owner.clone(),
            profile: self.profile,
            token: kept,
            outbox: self.outbox.clone(),
            handovers: handovers_in,
            orders: told_in,
            turns: AtomicU32::default(),
            is_away: Default::default(),
            is_attended: Default::default(),
        });
        let way = |link: &Arc<Link>, asked: Asked, is_first: bool| Way {
            link: link.clone(),
            profile: self.profile,
            asked,
            is_first,
            audio: &audio,
            orders: orders_in.clone(),
            outbox: &self.outbox,
            activity: &self.activity,
        };
        let link = Arc::<Link>::default();
        let mut reading: Option<Reading<'_>> =
            Some(Box::pin(inbound::read(resume::coming(reader), way(&link, asked, true))));
        // A turn is told when it is stored: a client that knows of it finds it, whatever happens then.
        let refusing = recorder.clone();
        let mut recording = pin!(recorder.run(turns, |record| {
            metrics.note_turn(&record);
            live.turns.fetch_add(1, Ordering::Relaxed);
            self.tell(duties::turn_message(record));
        }));
        let mut read = None;

        // The caller may say first what it wants; the reader is polled meanwhile and always.
        let (asked, first) = {
            let mut starting = pin!(self.start(asked, &audio, &mut orders));
            loop {
                tokio::select! {
                    started = &mut starting => break started,
                    done = due(&mut reading), if reading.is_some() => {
                        reading = None;
                        audio.finish();
                        read = Some(done);
                    }
                }
            }
        };
        if let Some((Hangup::Fault { code: 4404, .. }, _)) = &read {
            // It wanted to go on with a call that is not there; none begins instead, and one that another server may be
            // carrying stays as it is.
            let reader = read.map(|(_, reader)| reader);
            drop(turns_in);
            if refusing.is_new {
                refusing.forget().await;
            } else if refusing.turns_before == 0 {
                recording.await;
            }
            return resume::refuse(writer, reader, 4404, resume::GONE).await;
        }
        self.publisher.started();
        let greets = asked.greeting.unwrap_or(false);
        let sound = plan.clone().map(|plan| plan.begin(greets));
        let options = CallOptions {
            id: self.id,
            organization: self.owner.organization,
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
        let session = Message::session(&options, token);
        self.tell(session.clone());
        self.disclose(&options);
        // What holds from now on is said by nobody else any more.
        let holds = Asked {
            input: Some(options.input),
            output: Some(options.output),
            greeting: Some(options.greeting),
        };
        let entry = self.calls.enter(live.clone());

        // Boxed, so that it can be dropped, and with it the way to the recorder, when it is given up.
        let mut pumping = Box::pin(self.pump(output, turns_in, sound));
        let mut feeding = pin!(inbound::feed(&input, first, &audio, orders, &self.outbox));
        let (steer, mut steered) = mpsc::channel::<Control>(STEERING);
        let mut steering = pin!(async {
            while let Some(control) = steered.recv().await {
                input.control(control).await;
            }
        });
        let writing: Writing<'_> = Box::pin(self.write(link.clone(), writer));
        let mut socket = Socketed { link, reading, writing: Some(writing) };
        let mut partings = FuturesUnordered::<Parting<'_>>::new();
        let mut watching = pin!(self.watch(true));
        let (mut pumped, mut fed, mut recorded, mut written) = (false, false, false, None);
        let mut away_until = None;

        // The call itself. A reader that ended before the session was open ends it at once.
        let end = match &read {
            Some((hangup, _)) => End::Client(*hangup),
            None => loop {
                // The client of a socket that has just dropped is waited for; since when nothing had come from it.
                let mut dropped = None;
                tokio::select! {
                    end = &mut pumping => { pumped = true; break end }
                    done = due(&mut socket.reading), if socket.reading.is_some() => {
                        socket.reading = None;
                        if !self.outlives(done.0) || audio.is_finished() {
                            let hangup = done.0;
                            read = Some(done);
                            break End::Client(hangup);
                        }
                        dropped = Some(Duration::ZERO);
                        socket.link.end();
                        if let (Hangup::Closed(code), Some(writing)) = (done.0, socket.writing.take()) {
                            let reading = std::future::ready(done);
                            partings.push(Box::pin(link::part(writing, reading, code, "")));
                        }
                    }
                    done = due(&mut socket.writing), if socket.writing.is_some() => {
                        socket.writing = None;
                        // Before its end the box is finished only where it overflowed.
                        let is_slow = done.is_ok();
                        if is_slow || !self.outlives(Hangup::Gone) || audio.is_finished() {
                            written = Some(done);
                            break if is_slow { End::too_slow() } else { End::Client(Hangup::Gone) };
                        }
                        dropped = Some(self.activity.frame_at().elapsed());
                    }
                    seen = &mut watching => match seen {
                        Seen::End(end) => break end,
                        Seen::Dead if !self.outlives(Hangup::Gone) || audio.is_finished() => {
                            break End::Client(Hangup::Gone);
                        }
                        Seen::Dead => dropped = Some(self.activity.frame_at().elapsed()),
                    },
                    Some(handover) = handovers.recv() => {
                        let taken = self.leave(&mut socket, &mut partings);
                        if taken && self.part(&audio, &steer, self.activity.frame_at().elapsed()).is_err() {
                            break End::fault();
                        }
                        let Handover { coming, writer, last_seq } = handover;
                        let rewound = self.outbox.rewind(last_seq);
                        let back = Control::Back { received: rewound.received, again: rewound.again };
                        if steer.try_send(back).is_err() {
                            break End::fault();
                        }
                        if rewound.is_short {
                            let text = "Some of what was sent meanwhile is not there any more.".to_owned();
                            self.tell(Message::Notice { code: "resume_gap".to_owned(), text });
                        }
                        self.tell(session.clone());
                        self.activity.note_frame();
                        let link = Arc::<Link>::default();
                        socket = Socketed {
                            reading: Some(Box::pin(inbound::read(coming, way(&link, holds, false)))),
                            writing: Some(Box::pin(self.write(link.clone(), writer))),
                            link,
                        };
                        away_until = None;
                        live.is_away.store(false, Ordering::Relaxed);
                        self.tell_watchers(&live);
                        watching.set(self.watch(true));
                        tracing::info!(conversation = %self.id, taken, "a call goes on with another socket");
                    }
                    Some(order) = told.recv() => match order {
                        registry::Order::End => break End::server(1000, "the call was ended by whom you called"),
                        registry::Order::Say(text) => {
                            if steer.try_send(Control::Say(text)).is_err() {
                                tracing::warn!(conversation = %self.id, "a person's words were dropped: too many wait");
                            }
                        }
                        registry::Order::TakeOver(on) => {
                            if steer.try_send(Control::Attend(on)).is_ok() {
                                live.is_attended.store(on, Ordering::Relaxed);
                                self.tell_watchers(&live);
                            }
                        }
                    },
                    () = until(away_until), if away_until.is_some() => break End::Client(Hangup::Gone),
                    Some(()) = partings.next(), if !partings.is_empty() => {}
                    () = self.overflow.notified() => break End::too_slow(),
                    () = &mut feeding, if !fed => fed = true,
                    () = &mut steering => {}
                    () = &mut recording, if !recorded => recorded = true,
                }
                if let Some(silent) = dropped {
                    (socket.reading, socket.writing) = (None, None);
                    if self.part(&audio, &steer, silent).is_err() {
                        break End::fault();
                    }
                    away_until = Some(Instant::now() + self.limits.resume);
                    live.is_away.store(true, Ordering::Relaxed);
                    self.tell_watchers(&live);
                    watching.set(self.watch(false));
                    tracing::info!(conversation = %self.id, "a client dropped and is waited for");
                }
            },
        };
        let hung_up = Instant::now();
        // Nobody can go on with it any more, and no socket hands anything in.
        drop((entry, handovers, told, partings, steer));
        audio.finish();
        drop(orders_in);
        let Socketed { mut reading, mut writing, .. } = socket;
        if reading.is_none() && read.is_none() {
            // The socket is gone already.
            written.get_or_insert(Err(Gone));
        }

        // The session finishes its turn. Nobody hears what it says to a client that has gone.
        if matches!(end, End::Client(_)) {
            // But whoever wanted another call is told that it is not there.
            self.outbox.finish(!matches!(end, End::Client(Hangup::Fault { code: 4404, .. })));
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
                done = due(&mut writing), if writing.is_some() => {
                    writing = None;
                    written = Some(done);
                }
                done = due(&mut reading), if reading.is_some() => {
                    reading = None;
                    read = Some(done);
                }
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
                done = due(&mut writing), if writing.is_some() => {
                    writing = None;
                    written = Some(done);
                }
                done = due(&mut reading), if reading.is_some() => {
                    reading = None;
                    read = Some(done);
                }
                () = &mut feeding, if !fed => fed = true,
                () = sleep_until(promised), if !(recorded || late) => late = true,
                () = sleep_until(patience) => break,
            }
        }
        tracing::info!(
            conversation = %self.id, end = %describe(&end), seconds = self.activity.begun().elapsed().as_secs(),
            cost_usd = self.account.cost().usd(), "a call ended"
        );
        if recorded && matches!(end, End::Client(Hangup::Fault { code: 4404, .. })) {
            refusing.forget().await;
        }
        let writer = written.and_then(Result::ok);
        close(end, read, reading, writer).await;
        if !recorded {
            tracing::warn!(conversation = %self.id, "the close was sent before the call was stored");
            recording.await;
        }
    }

    /// Whether the call goes on after its client's side ended so: a connection that broke, or a page that went away, may
    /// come back.
    fn outlives(&self, hangup: Hangup) -> bool {
        self.profile == Profile::Full && matches!(hangup, Hangup::Gone | Hangup::Closed(Some(1001)))
    }

    /// Leaves the socket that the call has, if it has one, to another. Gives whether it had.
    fn leave<'a>(&self, socket: &mut Socketed<'a>, partings: &mut FuturesUnordered<Parting<'a>>) -> bool {
        let (Some(reading), Some(writing)) = (socket.reading.take(), socket.writing.take()) else {
            return false;
        };
        socket.link.end();
        if partings.len() < PARTINGS {
            partings.push(Box::pin(link::part(writing, reading, Some(4409), "this call was taken over")));
        }
        true
    }

    /// The client's connection is no more, and nothing had come from it for `silent`: the session is told.
    fn part(&self, audio: &Backlog, steer: &mpsc::Sender<Control>, silent: Duration) -> Result<(), ()> {
        audio.push_break();
        let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        steer.try_send(Control::Away { silent_ms }).map_err(|_| ())
    }
}

/// The last words on the socket.
async fn close(
    end: End,
    read: Option<(Hangup, Reader)>,
    reading: Option<Reading<'_>>,
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
        None => match reading {
            Some(reading) => timeout_at(until, reading).await.ok().map(|(_, reader)| reader),
            None => None,
        },
    };
    writer.shut().await;
    if let Some(reader) = reader {
        let _ = timeout_at(until, reader.drain()).await;
    }
}

/// The end of a future, if there is one. Not to be polled again after it.
async fn due<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
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
