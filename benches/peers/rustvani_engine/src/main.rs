//! rustvani in the place of our server: its WebSocket transport and pipeline, its own services pointed at the stand-ins.
//!
//! `rustvani-engine --port=PORT --services=http://127.0.0.1:PORT` serves `GET /health` and `/voice/{id}` on loopback: raw
//! 16 kHz samples in, raw 24 kHz samples out. It has no ElevenLabs, so Deepgram speaks too.

use std::error::Error;
use std::sync::Arc;

use rustvani::axum::Router;
use rustvani::axum::extract::ws::WebSocket;
use rustvani::axum::extract::{Path, State, WebSocketUpgrade};
use rustvani::axum::response::Response;
use rustvani::axum::routing::get;
use rustvani::processors::llm_assistant_aggregator::LLMAssistantAggregator;
use rustvani::processors::llm_user_aggregator::LLMUserAggregator;
use rustvani::services::{
    DeepgramSttConfig, DeepgramSttHandler, DeepgramTtsConfig, DeepgramTtsHandler, OpenAILLMConfig,
    OpenAILLMHandler,
};
use rustvani::transport::{TransportParams, WebSocketParams, WebSocketTransport};
use rustvani::{PipelineParams, PipelineTask, SileroVadNative, VadParams, shared_context, system_clock};

const RATE_IN: u32 = 16_000;
const RATE_OUT: u32 = 24_000;
/// Seconds.
const SILENCE: f32 = 0.2;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let argument =
        |name: &str| std::env::args().find_map(|argument| argument.strip_prefix(name).map(str::to_owned));
    let port: u16 = argument("--port=").ok_or("--port is missing")?.parse()?;
    let services: Arc<str> = argument("--services=").ok_or("--services is missing")?.into();
    let routes = Router::new()
        .route("/health", get(|| async { concat!("rustvani ", env!("RUSTVANI_VERSION")) }))
        .route("/voice/:call", get(open))
        .with_state(services);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    rustvani::axum::serve(listener, routes).await?;
    Ok(())
}

async fn open(
    upgrade: WebSocketUpgrade,
    Path(call): Path<String>,
    State(services): State<Arc<str>>,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        if let Err(error) = talk(socket, call, &services).await {
            eprintln!("a call could not be started: {error}");
        }
    })
}

async fn talk(socket: WebSocket, key: String, services: &str) -> Result<(), Failure> {
    let sockets = services.replacen("http", "ws", 1);
    let transport = WebSocketTransport::new(
        "caller",
        WebSocketParams {
            transport: TransportParams {
                audio_in_enabled: true,
                audio_in_sample_rate: Some(RATE_IN),
                audio_out_enabled: true,
                audio_out_sample_rate: Some(RATE_OUT),
                vad_analyzer: Some(Arc::new(SileroVadNative::new(RATE_IN)?)),
                vad_params: VadParams { stop_secs: SILENCE, ..VadParams::default() },
                ..TransportParams::default()
            },
        },
    );
    // The recogniser's own endpointing, not the 300 ms of the default: words that come after the end of voice activity wait
    // for the next turn.
    let hearing = DeepgramSttConfig {
        api_key: key.clone(),
        base_url: Some(format!("{sockets}/v1/listen")),
        endpointing: None,
        ..DeepgramSttConfig::default()
    };
    let answering = OpenAILLMConfig {
        api_key: key.clone(),
        base_url: format!("{services}/v1"),
        ..OpenAILLMConfig::default()
    };
    let speaking = DeepgramTtsConfig { api_key: key, base_url: sockets, ..DeepgramTtsConfig::default() };
    let context = shared_context(Some("You tell callers about homes for sale.".into()));
    let steps = vec![
        transport.input(),
        DeepgramSttHandler::new(hearing).into_processor(),
        LLMUserAggregator::new(context.clone()),
        OpenAILLMHandler::new(answering).into_processor(),
        LLMAssistantAggregator::new(context),
        DeepgramTtsHandler::new(speaking)?.into_processor(),
        transport.output(),
    ];
    let params = PipelineParams { allow_interruptions: true, ..PipelineParams::default() };
    let task = PipelineTask::new(steps, params);
    let frames = task.push_sender();
    let (ended, ()) = tokio::join!(task.run(system_clock(), None), transport.run_socket(socket, frames));
    ended.map_err(Into::into)
}
