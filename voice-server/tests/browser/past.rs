//! A month of conversations, stored through the store's own contract beside a running server.
//!
//! What the console shows of a single call of now says little about its lists, filters and charts.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;
use voice_core::metrics::Measure;
use voice_server::auth::demo::USERS;
use voice_server::cost::{Account, Prices};
use voice_server::data::{
    CallEnd, ConversationChange, ConversationStore as _, DEMO_ORGANIZATION, NewConversation, SqliteStore,
    Timestamp, Turn, Upkeep as _,
};

use crate::server::Folder;

/// Conversations that there are afterwards: three pages of the console's list.
pub(crate) const COUNT: usize = 64;
/// What is said in exactly one of them.
pub(crate) const ONCE: &str = "sister";
/// What is said in many of them.
pub(crate) const COMMON: &str = "bungalow";
const DAY_MS: u64 = 86_400_000;

/// Questions and answers of the sample listings, as these calls have them.
const SAID: [(&str, &str); 8] = [
    ("Which homes have a pool?", "Two of them: the house on Barton Hills Road and the condo on Lake Avenue."),
    (
        "What is the cheapest house you have?",
        "That is the bungalow at 9 Pecan Court, for $389,000. It has two bedrooms and one bath.",
    ),
    ("Do you have anything for rent downtown?", "Yes, an apartment on Congress Avenue for $2,450 a month."),
    (
        "Tell me about the bungalow on Pecan Court.",
        "It was built in 1948, has two bedrooms, and a garden of a quarter acre with two old pecan trees.",
    ),
    (
        "Is the townhouse on Cedar Lane still available?",
        "It is, for $475,000. Would you like to see it this week?",
    ),
    ("How many bathrooms does it have?", "Two and a half."),
    ("Can I see it on Saturday at ten?", "I can offer Saturday at half past ten. Shall I book that for you?"),
    ("Thank you very much, goodbye.", "You are welcome. Goodbye."),
];
const NOTES: [&str; 4] = [
    "Called back, she will look at two homes on Saturday.",
    "Wants a garden for two dogs, budget 450,000.",
    "Sells first, then buys. Ask again in March.",
    "",
];

/// Stores them.
pub(crate) fn store(folder: &Folder) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::attach(&folder.path().join("data")).await.expect("the server's database");
        let prices = Arc::new(Prices::load(None).expect("the packaged prices"));
        for number in 0..COUNT {
            add(&store, &prices, number).await;
        }
        store.close().await;
    });
}

async fn add(store: &SqliteStore, prices: &Arc<Prices>, number: usize) {
    // Numbers that look as if thrown and are the same at each run.
    let dice = |salt: usize, sides: u64| {
        let mixed = (number as u64 * 31 + salt as u64 + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 33) % sides
    };
    let ago = (number as u64 * 29 / COUNT as u64) * DAY_MS + dice(1, 8 * 3_600_000) + 3_600_000;
    let created_at = Timestamp::now().minus_millis(ago);
    let id = Uuid::from_u128(
        0x7a3c_51e0_0000_4000_8000_0000_0000_0000 + ((dice(2, 1 << 24) as u128) << 100) + number as u128,
    );
    let new = NewConversation {
        client_phone: (number % 3 != 1).then(|| format!("+1512555{:04}", 100 + dice(3, 90))),
        user_id: Some(USERS[usize::from(number % 4 == 3)].id),
        ..NewConversation::anonymous(id, DEMO_ORGANIZATION, created_at)
    };
    store.open_conversation(new).await.expect("a conversation");
    let account = Account::start(Arc::clone(prices));
    let mut at = 900;
    for turn in 0..2 + dice(4, 4) as u32 {
        let (said, reply) = SAID[(number * 3 + turn as usize) % SAID.len()];
        let said = if number == 17 && turn == 1 { "It is for my sister and her children." } else { said };
        let asking = 350 * said.split(' ').count() as u64;
        let stages = [
            180,
            40,
            4 + dice(5, 9),
            90 + dice(6 + turn as usize, 260),
            15,
            70 + dice(20 + turn as usize, 140),
            2,
            1,
            58,
        ];
        let total: u64 = stages.iter().sum();
        let interrupted = dice(40 + turn as usize, 6) == 0;
        let heard = if interrupted { &reply[..reply.find(' ').unwrap_or(reply.len())] } else { reply };
        let names = ["endpoint", "stt", "context", "llm", "clause", "tts", "engine", "pacing", "client"];
        let ledger: serde_json::Map<_, _> =
            names.iter().zip(stages).map(|(name, ms)| ((*name).to_owned(), json!(ms))).collect();
        let stored = Turn {
            turn: turn + 1,
            said: said.to_owned(),
            reply: reply.to_owned(),
            heard: heard.to_owned(),
            started_ms: at,
            reply_started_ms: at + asking + total,
            interrupted,
            ledger: ledger.into(),
            total_ms: total as f64,
            by_person: false,
        };
        store.append_turn(DEMO_ORGANIZATION, id, stored).await.expect("a turn");
        at += asking + total + 330 * heard.split(' ').count() as u64 + 1_500;
        account.meter.count("deepgram", "nova-3", Measure::Audio, false).add((asking + 900) * 16);
        account.meter.count("openai", "gpt-4o-mini", Measure::Input, false).add(640 + 40 * u64::from(turn));
        account.meter.count("openai", "gpt-4o-mini", Measure::Output, false).add(reply.len() as u64 / 4);
        account
            .meter
            .count("elevenlabs", "eleven_turbo_v2", Measure::Characters, false)
            .add(reply.len() as u64);
    }
    let cost = account.cost();
    let end = CallEnd { at: created_at.plus_millis(at), cost: Some(cost.report), cost_micros: cost.micros };
    store.end_conversation(DEMO_ORGANIZATION, id, end).await.expect("an end");
    let change = ConversationChange {
        notes: Some(NOTES[number % NOTES.len()].to_owned()),
        lead: Some(number % 5 == 2),
    };
    store.change_conversation(DEMO_ORGANIZATION, id, change, None).await.expect("a change");
}
