//! `load churn N`: many short calls leave no task, descriptor or thread, and no growing memory.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::Wanted;
use crate::figures::write_result;
use crate::process::{Server, Usage};
use crate::recorded;
use crate::scripted::Script;
use crate::socket;

/// What is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Calls in all.
    #[arg(default_value_t = 1_000)]
    pub calls: u32,
    /// The server.
    #[command(flatten)]
    pub script: Script,
}

/// Calls that are under way at once.
const AT_ONCE: u32 = 20;
/// Calls before the first measurement.
const WARM_UP: u32 = 200;
/// How long the end of the last call may take.
const SETTLED: Duration = Duration::from_secs(10);
/// Memory may grow by this much over the run and still be noise of the allocator.
const NOISE_KIB: u64 = 4_096;

/// Makes the calls and compares the server before and after.
///
/// # Errors
/// The server cannot be started or asked, or something is left over.
pub fn run(options: &Options) -> io::Result<()> {
    println!("churn: {} calls after {WARM_UP}", options.calls);
    let mut server = Server::scripted(&options.script)?;
    super::on_one_thread(async {
        let idle_tasks = server.calls_and_tasks()?.1;
        let mut failed = make_calls(server.address, WARM_UP).await?;
        let ((_, warm_tasks), before) = settle(&mut server, idle_tasks).await?;
        // A connection that asks for the figures may be among them or not.
        let idle_tasks = idle_tasks.max(warm_tasks);
        failed += make_calls(server.address, options.calls).await?;
        let ((calls, tasks), after) = settle(&mut server, idle_tasks).await?;
        let grown = after.resident_kib.saturating_sub(before.resident_kib);
        let leftover = calls > 0 || tasks > idle_tasks || after.descriptors > before.descriptors;
        let clean = !leftover && after.threads <= before.threads && grown <= NOISE_KIB && failed == 0;
        println!("  calls left {calls}, tasks {idle_tasks} -> {tasks}, failed calls {failed}");
        println!(
            "  descriptors {} -> {}, threads {} -> {}, resident {} -> {} KiB",
            before.descriptors,
            after.descriptors,
            before.threads,
            after.threads,
            before.resident_kib,
            after.resident_kib
        );
        let result = json!({
            "calls": options.calls, "failed": failed, "calls_left": calls, "tasks_before": idle_tasks,
            "tasks_after": tasks, "before": before, "after": after, "clean": clean,
        });
        write_result("churn", result)?;
        if clean { Ok(()) } else { Err(io::Error::other("the calls left something behind")) }
    })?
}

/// Waits until the server has ended all calls, or for long enough.
async fn settle(server: &mut Server, idle_tasks: u64) -> io::Result<((u64, u64), Usage)> {
    let limit = tokio::time::Instant::now() + SETTLED;
    loop {
        let counts = server.calls_and_tasks()?;
        if (counts.0 == 0 && counts.1 <= idle_tasks) || tokio::time::Instant::now() > limit {
            return Ok((counts, server.usage()?));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn make_calls(server: SocketAddr, count: u32) -> io::Result<u32> {
    let utterance = recorded::short_utterance()?;
    let bytes: std::sync::Arc<[u8]> =
        utterance.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut failed = 0;
    let mut calls = JoinSet::new();
    for k in 0..count {
        if calls.len() >= AT_ONCE as usize
            && let Some(ended) = calls.join_next().await
        {
            failed += u32::from(!matches!(ended, Ok(Ok(()))));
        }
        calls.spawn(short_call(server, bytes.clone(), k % 3));
    }
    while let Some(ended) = calls.join_next().await {
        failed += u32::from(!matches!(ended, Ok(Ok(()))));
    }
    Ok(failed)
}

/// Says something and hangs up: well at once, well after a little, or by vanishing.
async fn short_call(server: SocketAddr, bytes: std::sync::Arc<[u8]>, way: u32) -> io::Result<()> {
    let (mut mouth, mut ear) = socket::dial(server, &Wanted::Pcm16.path(), None).await?;
    for message in bytes.chunks(640) {
        mouth.audio(message).await?;
    }
    if way > 0 {
        sleep(Duration::from_millis(150)).await;
    }
    if way < 2 {
        mouth.close().await?;
        let closed = async {
            while !matches!(ear.next().await?, socket::Message::Close(_)) {}
            io::Result::Ok(())
        };
        timeout(SETTLED, closed).await??;
    }
    Ok(())
}
