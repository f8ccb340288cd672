//! A file's bytes into a call: as fast as they are taken, or as fast as they were spoken.

use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::ProgressBar;
use voice_core::audio::FRAME_SAMPLES;
use voice_core::ingress::{Ingress, IngressError, Limits, Pulled};
use voice_core::session::SessionSender;

use super::files::Pieces;
use super::{Fault, Recorded};

/// Length of a frame.
const FRAME: Duration = Duration::from_millis(20);

/// Hands the whole file in and says that it is over. A call that ends before it says why by itself.
pub(super) async fn file(
    sender: &SessionSender,
    file: &Recorded,
    realtime: bool,
    bar: &ProgressBar,
) -> Result<(), Fault> {
    let pieces = file.open().await.map_err(Fault::Input)?;
    if realtime {
        as_spoken(sender, pieces, bar).await?;
    } else {
        at_once(sender, pieces, bar).await?;
    }
    // A call that has ended has told so.
    let _ = sender.finish().await;
    Ok(())
}

async fn at_once(sender: &SessionSender, mut pieces: Pieces, bar: &ProgressBar) -> Result<(), Fault> {
    while let Some(piece) = pieces.next().await.map_err(Fault::Input)? {
        let length = piece.len() as u64;
        if sender.push(piece).await.is_err() {
            break;
        }
        bar.inc(length);
    }
    Ok(())
}

/// Decodes first, then hands in 20 ms of samples every 20 ms: a container's bytes say nothing about time.
async fn as_spoken(sender: &SessionSender, mut pieces: Pieces, bar: &ProgressBar) -> Result<(), Fault> {
    let refuse = |error: IngressError| Fault::Input(error.to_string());
    let mut ingress = Ingress::sniffing(Limits::default());
    let start = Instant::now();
    let mut frame = [0; FRAME_SAMPLES];
    let mut sent: u32 = 0;
    let mut over = false;
    loop {
        match ingress.poll_frame(&mut frame).map_err(refuse)? {
            Some(Pulled::Ended) => {}
            Some(_) => {
                sent += 1;
                tokio::time::sleep_until((start + FRAME * sent).into()).await;
                let message: Bytes = frame.iter().flat_map(|s| s.to_le_bytes()).collect();
                if sender.push(message).await.is_err() {
                    return Ok(());
                }
            }
            None if over => return Ok(()),
            None => match pieces.next().await.map_err(Fault::Input)? {
                Some(piece) => {
                    ingress.push(&piece).map_err(refuse)?;
                    bar.inc(piece.len() as u64);
                }
                None => {
                    ingress.finish().map_err(refuse)?;
                    over = true;
                }
            },
        }
    }
}
