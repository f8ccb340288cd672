//! A server that is killed.

use std::net::SocketAddr;

use crate::caller::Caller;
use crate::server::{Folder, Server, conversation};

/// A turn is durable when the client is told that it ended.
pub(crate) async fn a_turn_that_was_told_survives_a_crash(_shared: SocketAddr) {
    let folder = Folder::new();
    let mut server = Server::start(&folder);
    let mut caller = Caller::full(server.address, "?in=pcm16&out=pcm16").await;
    caller.tell(r#"{"type":"text","text":"Which homes have a pool?"}"#);
    caller.first_audio().await;
    caller.tell(r#"{"type":"interrupt"}"#);
    let (_, turn, _) = caller.event("turn").await;
    server.kill();
    let server = Server::start(&folder);
    let stored = conversation(server.address, caller.id).await;
    assert_eq!(
        stored["turns"].as_array().map(Vec::len),
        Some(1),
        "{turn} was told, and this is left: {stored}"
    );
    assert_eq!((&stored["turns"][0]["said"], &stored["turns"][0]["heard"]), (&turn["said"], &turn["heard"]));
}
