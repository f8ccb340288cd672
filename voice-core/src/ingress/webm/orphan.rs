//! Whether bytes come from the middle of a WebM: the first message was lost, or a client joined late.
//!
//! Browsers cut a recording before a cluster, before a block (Firefox) or after a block's ID (Chromium), so those are
//! the beginnings to expect. Only the text of an error depends on it.

use super::block::BlockHead;
use super::ebml::{Read, read_id, read_size};
use super::{BELIEVED_BLOCK, CLUSTER, SIMPLE_BLOCK, is_cluster_child, is_top_level, starts_landmark};
use crate::ingress::opus_packet;

/// Tracks of a recording are numbered from 1; browsers have two at most.
const MAX_TRACK: u64 = 8;

/// Whether a cluster or a block of Opus begins here.
pub(in crate::ingress) fn begins_inside(bytes: &[u8]) -> bool {
    match read_id(bytes) {
        Read::Got(CLUSTER, _) => matches!(starts_landmark(bytes), Read::Got(CLUSTER, _)),
        Read::Got(SIMPLE_BLOCK, length) if goes_on_as_block(&bytes[length..]) => true,
        _ => goes_on_as_block(bytes),
    }
}

/// Whether this is a block without its ID.
fn goes_on_as_block(bytes: &[u8]) -> bool {
    let Read::Got(Some(size), length) = read_size(bytes) else { return false };
    let Some(size) = Some(size).filter(|&size| size <= BELIEVED_BLOCK) else { return false };
    let (size, body) = (size as usize, &bytes[length..]);
    let seen = &body[..size.min(body.len())];
    let Some(head) = BlockHead::parse(seen) else { return false };
    if !(1..=MAX_TRACK).contains(&head.track) || head.is_laced() || head.is_marked() {
        return false;
    }
    let Some(packet) = body.get(..size).map(|block| head.single_frame(block)) else {
        // Not all of it is there: its head must do.
        return size > seen.len();
    };
    let next = match body.get(size..).map(read_id) {
        Some(Read::Got(id, _)) => is_cluster_child(id) || is_top_level(id),
        Some(Read::Invalid) => false,
        None | Some(Read::Short) => true,
    };
    next && opus_packet::parse(packet).is_some()
}
