//! Bounds on everything that a caller's bytes can make the ingress hold or search.

/// The bounds of one [`Ingress`](super::Ingress). The defaults suit a call; a field is public so that tests can be mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes that were pushed but not yet pulled, default 64 MiB: a recording of an hour in one message. More is
    /// [`IngressError::TooMuchQueued`](super::IngressError::TooMuchQueued).
    pub queued_bytes: usize,
    /// Messages that were pushed but not yet pulled where each message is one packet, default 65,536 (22 minutes).
    pub queued_packets: usize,
    /// Bytes of one element, chunk header or packet that must be seen whole, default 256 KiB. What is only skipped may
    /// be of any size, because it is never held.
    pub element_bytes: usize,
    /// Bytes of a codec's private header, default 4 KiB. An OpusHead has 19.
    pub codec_private_bytes: usize,
    /// Bytes searched for the next intact piece of a broken stream, default 1 MiB.
    pub resync_bytes: u64,
    /// Packets that no decoder accepts, one after the other, before the stream counts as broken, default 50.
    pub bad_packets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued_bytes: 64 << 20,
            queued_packets: 1 << 16,
            element_bytes: 256 << 10,
            codec_private_bytes: 4 << 10,
            resync_bytes: 1 << 20,
            bad_packets: 50,
        }
    }
}
