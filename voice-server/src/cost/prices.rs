//! The price table: what providers charge for characters, seconds and tokens.
//!
//! Packaged with the program (`prices.toml`, each price with where it was read), and a file of one's own before it. Read
//! once at the start; a malformed file stops it. Pure but for reading that file. Caller: `App::new`.

use std::path::Path;

use serde::Deserialize;
use voice_core::metrics::{Measure, Used};

/// The table of this version.
const PACKAGED: &str = include_str!("prices.toml");
/// Entries of one file; each costs a comparison at the end of a call.
const MOST_PRICES: usize = 1_000;

/// Why a price file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PricesError {
    /// It cannot be read.
    #[error("the price file {file} cannot be read: {detail}; correct VOICE_PRICES or unset it")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        detail: String,
    },
    /// It is no price table.
    #[error("the price file {file} cannot be used: {detail}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
}

/// What is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Speech,
    Recognition,
    Input,
    CachedInput,
    Output,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    provider: String,
    model: String,
    what: What,
    usd: f64,
    per: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    price: Vec<Price>,
}

/// All prices; one's own come before the packaged ones.
#[derive(Clone, Debug)]
pub struct Prices {
    own: Vec<Price>,
    packaged: Vec<Price>,
}

impl Prices {
    /// The packaged ones, and before them those of `file`, if there is one.
    ///
    /// # Errors
    /// The file cannot be read or is no price table.
    pub fn load(file: Option<&Path>) -> Result<Self, PricesError> {
        let Some(file) = file else { return Self::parse("", "") };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| PricesError::Unreadable { file: name.clone(), detail: error.to_string() })?;
        Self::parse(&text, &name)
    }

    fn parse(own: &str, name: &str) -> Result<Self, PricesError> {
        Ok(Self { own: read(own, name)?, packaged: read(PACKAGED, "prices.toml of this version")? })
    }

    /// What this use costs in dollars; `None` where there is no price for it.
    pub fn usd(&self, used: &Used) -> Option<f64> {
        let what = match used.measure {
            Measure::Characters => What::Speech,
            Measure::Audio => What::Recognition,
            Measure::Input => What::Input,
            Measure::Cached => What::CachedInput,
            Measure::Output => What::Output,
        };
        let quantity = match used.measure {
            Measure::Audio => used.duration().as_secs_f64(),
            _ => used.quantity as f64,
        };
        let of = |what| {
            let own = self.own.iter();
            best(own, used, what).or_else(|| best(self.packaged.iter(), used, what))
        };
        let price = of(what).or_else(|| (what == What::CachedInput).then(|| of(What::Input)).flatten())?;
        Some(quantity * price.usd / price.per)
    }
}

/// The entry whose model says most about the one that was used.
fn best<'p>(prices: impl Iterator<Item = &'p Price>, used: &Used, what: What) -> Option<&'p Price> {
    let fits = |price: &&Price| {
        price.provider == used.provider
            && price.what == what
            && match price.model.strip_suffix('*') {
                Some(begin) => used.model.starts_with(begin),
                None => *price.model == *used.model,
            }
    };
    // A model that is named in full is longer than every begin of it, with the star that stands for nothing.
    prices
        .filter(fits)
        .max_by_key(|price| (price.model.trim_end_matches('*').len(), !price.model.ends_with('*')))
}

fn read(text: &str, name: &str) -> Result<Vec<Price>, PricesError> {
    let malformed = |detail: String| PricesError::Malformed { file: name.to_owned(), detail };
    // What the parser says has the line, and a table of prices has no secrets.
    let table: Table =
        toml::from_str(text).map_err(|error| malformed(error.to_string().trim().to_owned()))?;
    if table.price.len() > MOST_PRICES {
        return Err(malformed(format!("it has more than {MOST_PRICES} prices")));
    }
    for price in &table.price {
        let sound = price.usd.is_finite() && price.usd >= 0.0 && price.per.is_finite() && price.per > 0.0;
        if !sound {
            return Err(malformed(format!(
                "the price of {} {} must be usd, 0 or more, for per, more than 0",
                price.provider, price.model
            )));
        }
    }
    Ok(table.price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(provider: &'static str, model: &str, measure: Measure, quantity: u64) -> Used {
        Used { provider, model: model.into(), measure, quantity, estimated: false }
    }

    #[test]
    fn every_default_model_has_its_price() {
        let prices = Prices::load(None).expect("a table");
        for (provider, model, measure, quantity, usd) in [
            ("elevenlabs", "eleven_turbo_v2", Measure::Characters, 1_000, 0.05),
            ("elevenlabs", "eleven_multilingual_v2", Measure::Characters, 1_000, 0.10),
            ("elevenlabs", "scribe_v2_realtime", Measure::Audio, 3_600 * 16_000, 0.39),
            ("deepgram", "nova-3", Measure::Audio, 60 * 16_000, 0.0048),
            ("deepgram", "nova-2", Measure::Audio, 60 * 16_000, 0.0077),
            ("deepgram", "flux-general-en", Measure::Audio, 60 * 16_000, 0.0065),
            ("openai", "gpt-4o-mini", Measure::Input, 1_000_000, 0.15),
            ("openai", "gpt-4o-mini-2024-07-18", Measure::Cached, 1_000_000, 0.075),
            ("openai", "gpt-4o-mini", Measure::Output, 1_000_000, 0.60),
            ("openai", "gpt-4.1-mini", Measure::Cached, 1_000_000, 0.10),
            ("openai", "gpt-4.1", Measure::Cached, 1_000_000, 0.50),
            ("openai", "gpt-4.1", Measure::Output, 1_000_000, 8.0),
            ("openai", "gpt-4o-mini-transcribe", Measure::Audio, 60 * 16_000, 0.006),
            ("ollama", "qwen2.5:3b", Measure::Cached, 10, 0.0),
        ] {
            let found = prices.usd(&used(provider, model, measure, quantity)).expect(model);
            assert!((found - usd).abs() < 1e-9, "{model}: {found}");
        }
        assert_eq!(prices.usd(&used("openai", "o99", Measure::Input, 1)), None);
    }

    #[test]
    fn ones_own_prices_come_first_and_the_closest_model_counts() {
        let own = "[[price]]\nprovider = 'openai'\nmodel = 'gpt-4o-*'\nwhat = 'input'\nusd = 2\nper = 1\n\
                   [[price]]\nprovider = 'openai'\nmodel = 'gpt-4o-mini'\nwhat = 'input'\nusd = 3\nper = 1\n";
        let prices = Prices::parse(own, "own").expect("a table");
        assert_eq!(prices.usd(&used("openai", "gpt-4o-mini", Measure::Input, 1)), Some(3.0));
        assert_eq!(prices.usd(&used("openai", "gpt-4o-mini-2024", Measure::Input, 1)), Some(2.0));
        assert!(prices.usd(&used("openai", "gpt-4o-mini", Measure::Output, 1)).is_some_and(|usd| usd < 1.0));
    }

    #[test]
    fn a_malformed_table_is_refused_with_its_file() {
        for text in [
            "[[price]]\nprovider = 'a'\nmodel = '*'\nwhat = 'input'\nusd = -1\nper = 1",
            "[[price]]\nprovider = 'a'\nmodel = '*'\nwhat = 'input'\nusd = nan\nper = 1",
            "[[price]]\nprovider = 'a'\nmodel = '*'\nwhat = 'input'\nusd = 1\nper = 0",
            "[[price]]\nprovider = 'a'\nmodel = '*'\nwhat = 'speeches'\nusd = 1\nper = 1",
            "[[price]]\nprovider = 'a'\nmodel = '*'\nwhat = 'input'\nusd = 1\nper = 1\nextra = 1",
            "prices = 3",
        ] {
            let error = Prices::parse(text, "mine.toml").expect_err(text);
            assert!(error.to_string().contains("mine.toml"), "{error}");
        }
        assert!(matches!(Prices::load(Some(Path::new("/nowhere/p"))), Err(PricesError::Unreadable { .. })));
    }
}
