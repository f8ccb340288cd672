//! Deepgram: configuration, and the map of this folder.
//!
//! `wire` builds addresses and messages and reads answers; `hearing` keeps one call's audio, utterances and requests
//! to finish; `live` speaks the v1 protocol of the Nova models, `flux` the v2 protocol of the Flux models, which
//! detect turns themselves. Endpointing is ours in both: the service is told when an utterance is over. Pure; the
//! socket is the client's.

mod flux;
mod hearing;
mod live;
pub mod wire;

pub use flux::Flux;
pub use live::Live;

use crate::wire::{Endpoint, Secret, SettingError, is_name};

use super::{SttOptions, SttProtocol};

/// Name of the provider in errors, logs and health.
pub const PROVIDER: &str = "deepgram";

/// How Deepgram listens: checked, cheap enough to clone for a call.
#[derive(Clone, Debug)]
pub struct DeepgramConfig {
    key: Secret,
    base: Endpoint,
    model: String,
    language: Option<String>,
    key_terms: Vec<String>,
    smart_format: bool,
    opt_out: bool,
    thresholds: FluxThresholds,
}

impl DeepgramConfig {
    /// Which model listens.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Starts a configuration with this key and defaults for everything else.
    pub fn builder(key: &str) -> DeepgramBuilder {
        DeepgramBuilder {
            key: key.to_owned(),
            base: "https://api.deepgram.com".to_owned(),
            model: "nova-3".to_owned(),
            smart_format: false,
            opt_out: false,
            thresholds: FluxThresholds::default(),
        }
    }

    /// The same for one call. Key terms beyond a bound are left out, least important first; a language that is no tag
    /// is left to the service.
    pub fn for_call(&self, options: &SttOptions) -> Self {
        let mut room = MOST_TERM_BYTES;
        let mut key_terms = Vec::new();
        for term in options.key_terms.iter().map(|term| term.trim()) {
            if is_name(term, LONGEST_TERM) && term.len() <= room && key_terms.len() < MOST_TERMS {
                room -= term.len();
                key_terms.push(term.to_owned());
            }
        }
        let tag = options.language.trim();
        let is_tag =
            (2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        Self { language: is_tag.then(|| tag.to_owned()), key_terms, ..self.clone() }
    }

    /// One call's protocol: [`Flux`] for its models, else [`Live`].
    pub fn open(&self, options: &SttOptions) -> Box<dyn SttProtocol> {
        let config = self.for_call(options);
        if config.is_flux() { Box::new(Flux::new(config)) } else { Box::new(Live::new(config)) }
    }

    /// Whether the model speaks the v2 protocol.
    pub fn is_flux(&self) -> bool {
        self.model.starts_with("flux")
    }
}

/// Key terms of one call; the service weighs them against each other, so many are worth little.
const MOST_TERMS: usize = 100;
/// Bytes of one key term.
const LONGEST_TERM: usize = 100;
/// Bytes of all of them: they stand in the address, and servers take addresses of 8 KiB.
const MOST_TERM_BYTES: usize = 2_000;

/// When Flux thinks that a turn is over. What is `None` is the service's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FluxThresholds {
    /// 0.5 to 1: how sure it must be; 0.7 unless set. With 1 a turn ends by our word or its time-out alone.
    pub end_of_turn: Option<f32>,
    /// 0.3 to 0.9: from where on it tells of a probable end; never unless set. Not above `end_of_turn`.
    pub eager: Option<f32>,
    /// 500 to 60,000 ms of silence that end a turn however unsure it is; 5,000 unless set.
    pub timeout_ms: Option<u32>,
}

/// Puts a [`DeepgramConfig`] together.
#[derive(Clone)]
pub struct DeepgramBuilder {
    key: String,
    base: String,
    model: String,
    smart_format: bool,
    opt_out: bool,
    thresholds: FluxThresholds,
}

impl std::fmt::Debug for DeepgramBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeepgramBuilder").finish_non_exhaustive()
    }
}

impl DeepgramBuilder {
    /// Base address, with or without `/v1`. Default: `https://api.deepgram.com`.
    pub fn base_url(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Model. Default: `nova-3`. Names that begin with `flux` choose the protocol with turn events.
    pub fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Whether numbers, dates and the like are written as people write them. Default: no, since it may hold words
    /// back. Nova only.
    pub fn smart_format(mut self, on: bool) -> Self {
        self.smart_format = on;
        self
    }

    /// Whether the service may not train on the audio. Default: no, as the service has it.
    pub fn opt_out(mut self, on: bool) -> Self {
        self.opt_out = on;
        self
    }

    /// When Flux thinks that a turn is over.
    pub fn thresholds(mut self, thresholds: FluxThresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn build(self) -> Result<DeepgramConfig, SettingError> {
        if !is_name(&self.model, 100) {
            return Err(SettingError::Name("the model"));
        }
        let FluxThresholds { end_of_turn, eager, timeout_ms } = self.thresholds;
        if end_of_turn.is_some_and(|v| !(0.5..=1.0).contains(&v)) {
            return Err(SettingError::Range { field: "end_of_turn", low: "0.5", high: "1" });
        }
        if eager.is_some_and(|v| !(0.3..=0.9).contains(&v) || v > end_of_turn.unwrap_or(0.7)) {
            return Err(SettingError::Range { field: "eager", low: "0.3", high: "0.9 and end_of_turn" });
        }
        if timeout_ms.is_some_and(|v| !(500..=60_000).contains(&v)) {
            return Err(SettingError::Range { field: "timeout_ms", low: "500", high: "60000" });
        }
        Ok(DeepgramConfig {
            key: Secret::parse(&self.key)?,
            base: Endpoint::parse(&self.base)?.without("/v1"),
            model: self.model,
            language: None,
            key_terms: Vec::new(),
            smart_format: self.smart_format,
            opt_out: self.opt_out,
            thresholds: self.thresholds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_outside_the_documented_ranges_are_named() {
        let build = |thresholds| DeepgramConfig::builder("k").thresholds(thresholds).build().map(|_| ());
        let of = |end_of_turn, eager, timeout_ms| FluxThresholds { end_of_turn, eager, timeout_ms };
        assert_eq!(build(of(Some(0.8), Some(0.75), Some(4_000))), Ok(()));
        for bad in [
            of(Some(0.4), None, None),
            of(Some(f32::NAN), None, None),
            of(None, Some(0.71), None),
            of(Some(0.5), Some(0.6), None),
            of(None, None, Some(499)),
        ] {
            assert!(matches!(build(bad), Err(SettingError::Range { .. })), "{bad:?}");
        }
    }

    #[test]
    fn the_address_stays_short_however_many_terms_a_call_has() {
        let config = DeepgramConfig::builder("k").build().expect("sound");
        let key_terms = (0..5_000).map(|k| format!("Street number {k}")).collect();
        let call =
            config.for_call(&SttOptions { language: "en US".into(), key_terms, ..SttOptions::default() });
        assert!(call.key_terms.len() == 100 && call.language.is_none());
        assert!(wire::live_address(&call).len() < 8_000);
    }
}
