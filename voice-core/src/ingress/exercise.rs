//! One entry for fuzzers and the test that stands in for them: any bytes, in any split, must end well.

use crate::audio::FRAME_SAMPLES;

use super::{Declared, Ingress, Limits, Pulled};

/// Most frames that one byte can cause: a gap of 5 s before a block, and the frame that ends a container.
const FRAMES_PER_BYTE: usize = 251;

/// Pushes `data` in pieces whose sizes its own first bytes choose, pulls after each until dry, and ends.
///
/// # Panics
/// If an invariant breaks: more held than pushed, or more frames than the bytes can account for.
#[doc(hidden)]
pub fn exercise(declared: Option<Declared>, data: &[u8]) {
    let mut ingress = match declared {
        None => Ingress::sniffing(Limits::default()),
        Some(declared) => match Ingress::declared(declared, Limits::default()) {
            Ok(ingress) => ingress,
            Err(_) => return,
        },
    };
    let (sizes, mut rest) = data.split_at(data.len().min(4));
    let mut budget = (data.len() + sizes.len() + 8) * FRAMES_PER_BYTE;
    let mut sizes = sizes.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(1, |size| usize::from(size) * usize::from(size) / 4);
        let (message, after) = rest.split_at(size.clamp(usize::from(declared.is_none()), rest.len()));
        // Empty messages are allowed, but something has to be pushed in the end.
        rest = if message.is_empty() { &after[1..] } else { after };
        if ingress.push(message).is_err() || !drain(&mut ingress, &mut budget) {
            return;
        }
        assert!(ingress.buffered_bytes() <= data.len(), "more is held than was pushed");
    }
    if ingress.finish().is_ok() && drain(&mut ingress, &mut budget) {
        assert_eq!(ingress.poll_frame(&mut [0; FRAME_SAMPLES]), Ok(None), "the end is the end");
    }
}

/// Pulls until nothing comes. `false`: an error came, and came again.
fn drain(ingress: &mut Ingress, budget: &mut usize) -> bool {
    let mut frame = [0; FRAME_SAMPLES];
    loop {
        match ingress.poll_frame(&mut frame) {
            Ok(None) => return true,
            Ok(Some(Pulled::Audio | Pulled::Concealed | Pulled::Ended)) => {
                assert!(*budget > 0, "more frames than the bytes account for");
                *budget -= 1;
            }
            Err(error) => {
                assert!(error.close_reason().len() <= 123);
                assert_eq!(ingress.poll_frame(&mut frame), Err(error), "an error stays");
                return false;
            }
        }
    }
}
