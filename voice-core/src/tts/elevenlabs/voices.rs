//! Which voice: an id, the name of a default voice, or a name that the account must be asked for.
//!
//! Every account has the default voices under the same ids, so their names cost no request.

use serde::Deserialize;

use crate::error::ProviderError;
use crate::wire::SettingError;

use super::{PROVIDER, is_voice_name};

/// Names and ids of the voices that every account has.
pub const DEFAULT_VOICES: [(&str, &str); 22] = [
    ("Sarah", "EXAVITQu4vr4xnSDxMaL"),
    ("Adam", "pNInz6obpgDQGcFmaJgB"),
    ("Alice", "Xb7hH8MSUJpSbSDYk0k2"),
    ("Aria", "9BWtsMINqrJLrRacOk9x"),
    ("Bill", "pqHfZKP75CvOlQylNhV4"),
    ("Brian", "nPczCjzI2devNBz1zQrb"),
    ("Callum", "N2lVS1w4EtoT3dr4eOWO"),
    ("Charlie", "IKne3meq5aSn9XLyUdCD"),
    ("Charlotte", "XB0fDUnXU5powFXDhCwa"),
    ("Chris", "iP95p4xoKVk53GoZ742B"),
    ("Daniel", "onwK4e9ZLuTAKqWW03F9"),
    ("Eric", "cjVigY5qzO86Huf0OWal"),
    ("George", "JBFqnCBsd6RMkjVDRZzb"),
    ("Harry", "SOYHLrjzK2X1ezoPC6cr"),
    ("Jessica", "cgSgspJ2msm6clMCkdW9"),
    ("Laura", "FGY2WhTYpPnrIDTdsKH5"),
    ("Liam", "TX3LPaxmHKxFdv7VOQHJ"),
    ("Lily", "pFZP5JQG7iQjIQuC4Bku"),
    ("Matilda", "XrExE9yKIg1WjnnlVkGX"),
    ("River", "SAz9YHcvj6GT2YYXdXww"),
    ("Roger", "CwhRBWXzGAHq8TQ4Fs17"),
    ("Will", "bIHbv24MWmeRgasZH58o"),
];

/// Which voice speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceRef {
    /// The id is known.
    Id(String),
    /// A name that is none of the default voices': ask for the account's voices and use [`find_voice`].
    Name(String),
}

impl VoiceRef {
    /// Reads a name or an id. Names of default voices are found whatever their case, and with what the service's
    /// pages write behind them (`Sarah - Mature, Reassuring`).
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(voice: &str) -> Result<Self, SettingError> {
        let voice = voice.trim();
        if !is_voice_name(voice) {
            return Err(SettingError::Name("the voice"));
        }
        if let Some((_, id)) = DEFAULT_VOICES.iter().find(|(name, _)| is_same(name, voice)) {
            return Ok(Self::Id((*id).to_owned()));
        }
        // No name looks like that.
        let is_id = voice.len() == ID_LENGTH
            && voice.bytes().all(|b| b.is_ascii_alphanumeric())
            && voice.bytes().any(|b| b.is_ascii_digit());
        Ok(if is_id { Self::Id(voice.to_owned()) } else { Self::Name(voice.to_owned()) })
    }

    /// The id, where no request is needed for it.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Name(_) => None,
        }
    }
}

/// Ids of voices have this many letters and digits.
const ID_LENGTH: usize = 20;

/// The id of a voice in the answer to `GET /v1/voices`, by its name or its id.
///
/// # Errors
/// [`ProviderError::Misconfigured`] where the account has no such voice, [`ProviderError::Failed`] where the answer is
/// none.
pub fn find_voice(name: &str, body: &[u8]) -> Result<String, ProviderError> {
    #[derive(Deserialize)]
    struct List {
        voices: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        voice_id: String,
        #[serde(default)]
        name: Option<String>,
    }
    if body.len() > MOST_LIST {
        return Err(failed("the list of voices is too long"));
    }
    let list: List =
        serde_json::from_slice(body).map_err(|_| failed("the list of voices is not readable"))?;
    let mut voices = list.voices.into_iter();
    let is_it = |entry: &Entry| {
        entry.voice_id == name.trim() || entry.name.as_deref().is_some_and(|full| is_same(name, full))
    };
    let found = voices.find(is_it).map(|entry| entry.voice_id).filter(|id| super::is_id(id));
    found.ok_or_else(|| ProviderError::Misconfigured {
        provider: PROVIDER,
        detail: "the account has no voice of the configured name".to_owned(),
    })
}

/// An account with thousands of voices has a list of some MiB.
const MOST_LIST: usize = 8 << 20;

/// Whether `full` is `name`, or begins with it and goes on with a description behind a dash.
fn is_same(name: &str, full: &str) -> bool {
    let (name, full) = (name.trim(), full.trim());
    let (first, _) = full.split_once(" - ").unwrap_or((full, ""));
    name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(first.trim_end())
}

fn failed(detail: &str) -> ProviderError {
    ProviderError::Failed { provider: PROVIDER, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_voices_need_no_request() {
        for voice in
            ["Sarah", "sarah", " SARAH ", "Sarah - Mature, Reassuring, Confident", "EXAVITQu4vr4xnSDxMaL"]
        {
            assert_eq!(VoiceRef::parse(voice), Ok(VoiceRef::Id("EXAVITQu4vr4xnSDxMaL".into())), "{voice}");
        }
        for (name, id) in DEFAULT_VOICES {
            assert_eq!(VoiceRef::parse(name).expect("a name").id(), Some(id));
            assert_eq!(VoiceRef::parse(id).expect("an id").id(), Some(id));
        }
    }

    #[test]
    fn other_names_must_be_looked_up() {
        for name in ["Our own voice", "Sara", "Anne-Sophie", "ABCDEFGHIJKLMNOPQRST"] {
            assert_eq!(VoiceRef::parse(name), Ok(VoiceRef::Name(name.into())));
        }
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(VoiceRef::parse(bad).is_err());
        }
    }

    #[test]
    fn a_voice_is_found_in_the_account() {
        let body =
            br#"{"voices":[{"voice_id":"a1","name":"Roger - Laid-Back"},{"voice_id":"b2","name":"Our own"},
            {"voice_id":"../c3","name":"Evil"},{"voice_id":"d4","labels":{}}]}"#;
        assert_eq!(find_voice("our OWN", body).expect("there"), "b2");
        assert_eq!(find_voice("roger", body).expect("there"), "a1");
        assert_eq!(find_voice("d4", body).expect("there"), "d4");
        for missing in ["Nobody", "Evil"] {
            assert!(matches!(find_voice(missing, body), Err(ProviderError::Misconfigured { .. })));
        }
        assert!(matches!(find_voice("x", b"<html>"), Err(ProviderError::Failed { .. })));
    }
}
