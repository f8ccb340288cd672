//! The accept loop: hyper over TCP, with limits on connections, headers and time, and a graceful end.
//!
//! Each connection is a task of the loop's own set; none outlives [`serve`]. A connection that becomes a voice
//! socket leaves the set at its upgrade and is counted by `voice::registry` from then on.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::shutdown::Shutdown;

/// A client must have sent its request's head by then; it also ends idle kept-alive connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head at most.
const HEAD_LIMIT: usize = 32 * 1024;
/// How long requests under way may take once the server is to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `routes` on `listener` until `shutdown`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, routes: Router, max_connections: usize, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    let mut stopping = pin!(shutdown.clone().begun());
    loop {
        // Waiting for a place before accepting leaves the rest in the system's queue instead of our memory.
        let place = tokio::select! {
            () = &mut stopping => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = &mut stopping => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, routes.clone(), place, shutdown.clone()));
            }
            Err(error) => {
                // A lack of descriptors passes; asking again at once would only burn the processor.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!(left = connections.len(), "requests were still under way at the end of the drain");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    _place: OwnedSemaphorePermit,
    shutdown: Shutdown,
) {
    // Small frames must not wait for each other.
    let _ = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut stopping = pin!(shutdown.begun());
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = &mut stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}
