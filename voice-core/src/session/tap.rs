//! Where a recording hears a call: what the caller said, and what was played to him.

use crate::audio::{Frame, SampleRate};
use crate::time::SessionTime;

/// Listens to one call, such as for a recording. The call's own task calls it between two frames, so it must neither
/// wait nor compute; what it cannot take, it drops. Without one nothing is copied.
pub trait Tap: std::fmt::Debug + Send + Sync {
    /// 20 ms of the caller as the recogniser hears them: silence while he is muted. `at` is when they began. Absence of
    /// audio gives no frames.
    fn caller(&self, at: SessionTime, frame: &Frame);

    /// A piece of an answer left; it is heard from `at` on, which may be a little ahead. At most 2 s.
    fn sent(&self, at: SessionTime, rate: SampleRate, samples: &[i16]);

    /// What was sent to be heard later than `at` is not heard.
    fn cleared(&self, at: SessionTime);

    /// The call is over; nothing follows. Not called where a call is dropped.
    fn ended(&self, at: SessionTime);
}
