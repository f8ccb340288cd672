//! The engine inside another program: a recorded caller in, the answer's audio and words out.
//!
//! `cargo run -p voice-examples --example embed [FILE]`. Needs the local models (`voice models pull`).

use std::sync::Arc;

use bytes::Bytes;
use voice_core::ids::SessionId;
use voice_core::infer::Pool;
use voice_core::llm::concierge::Concierge;
use voice_core::local::{LocalStages, weights::Cache};
use voice_core::session::{Engine, Output, SessionOptions};
use voice_core::turn::Event;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(cache) = Cache::of_user().filter(Cache::is_complete) else {
        println!("LEFT OUT: the local models are missing; `voice models pull` brings them");
        return Ok(());
    };
    let pool = Arc::new(Pool::start(2)?);
    let local = LocalStages::load(&cache.files(), &pool)?;
    let engine = Engine::builder()
        .pool(pool)
        .vad(local.vad)
        .turn_model(local.turn_model)
        .stt(local.stt)
        .llm(Arc::new(Concierge::with_samples()))
        .tts(local.tts)
        .build()?;

    let file = std::env::args().nth(1).map(std::path::PathBuf::from);
    let file = file.unwrap_or_else(|| voice_fixtures::folder("questions").join("q02.ogg"));
    let mut call = engine.open(SessionOptions::new(SessionId::random()))?;
    call.sender().push(Bytes::from(std::fs::read(file)?)).await?;
    call.sender().finish().await?;
    while let Some(output) = call.next().await {
        match output {
            Output::Audio(message) => println!("{} bytes of WAV for the caller", message.payload.len()),
            Output::Event(Event::TurnEnded(turn)) => {
                println!("caller: {}\nanswer: {}", turn.said, turn.reply);
                println!("first sound after {:?}", turn.ledger.total());
            }
            Output::Ended(end) => println!("the call ended: {end:?}"),
            _ => {}
        }
    }
    Ok(())
}
