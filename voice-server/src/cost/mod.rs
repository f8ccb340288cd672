//! What the providers of a call cost: what was used, by the price table, as the call's report has it.
//!
//! `voice-core` counts in a [`Meter`] what each client really sent; here it becomes money once, at the end of the call.
//! What has no price is told without one and adds nothing to the total. Callers: `voice::actor`, `voice::recorder`.

mod prices;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use voice_core::metrics::{Measure, Meter, Used};

pub use prices::{Prices, PricesError};

/// The account of one call, and what it comes to.
#[derive(Clone, Debug)]
pub struct Account {
    /// Counts what is used.
    pub meter: Meter,
    prices: Arc<Prices>,
}

/// What a call cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// `{"totalUsd", "items": [{"provider", "model", "what", "quantity", "unit", "usd", "estimated"?}]}`; `usd` is `null` where
    /// there is no price.
    pub report: Value,
    /// The total in millionths of a dollar.
    pub micros: i64,
}

impl Cost {
    /// The total in dollars.
    pub fn usd(&self) -> f64 {
        self.micros as f64 / 1e6
    }
}

impl Account {
    /// An empty account at these prices.
    pub fn start(prices: Arc<Prices>) -> Self {
        Self { meter: Meter::start(), prices }
    }

    /// What was used up to now, by provider.
    pub fn cost(&self) -> Cost {
        let mut total = 0.0;
        let items: Vec<Value> = self
            .meter
            .used()
            .iter()
            .map(|used| {
                let usd = self.prices.usd(used);
                total += usd.unwrap_or_default();
                item(used, usd)
            })
            .collect();
        let micros = (total * 1e6).round();
        Cost { report: json!({ "totalUsd": micros / 1e6, "items": items }), micros: micros as i64 }
    }
}

fn item(used: &Used, usd: Option<f64>) -> Value {
    let (what, unit) = match used.measure {
        Measure::Characters => ("speech", "characters"),
        Measure::Audio => ("recognition", "seconds"),
        Measure::Input => ("input", "tokens"),
        Measure::Cached => ("cachedInput", "tokens"),
        Measure::Output => ("output", "tokens"),
    };
    let quantity = match used.measure {
        Measure::Audio => json!((used.duration().as_secs_f64() * 1e3).round() / 1e3),
        _ => json!(used.quantity),
    };
    let mut item = Map::new();
    item.insert("provider".into(), used.provider.into());
    item.insert("model".into(), used.model.as_ref().into());
    item.insert("what".into(), what.into());
    item.insert("quantity".into(), quantity);
    item.insert("unit".into(), unit.into());
    item.insert("usd".into(), usd.map_or(Value::Null, |usd| json!((usd * 1e9).round() / 1e9)));
    if used.estimated {
        item.insert("estimated".into(), true.into());
    }
    Value::Object(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_reported_item_by_item_and_what_has_no_price_is_told_without() {
        let account = Account::start(Arc::new(Prices::load(None).expect("a table")));
        assert_eq!(account.cost(), Cost { report: json!({"totalUsd": 0.0, "items": []}), micros: 0 });
        let meter = account.clone().meter;
        meter.count("elevenlabs", "eleven_turbo_v2", Measure::Characters, false).add(200);
        meter.count("deepgram", "nova-3", Measure::Audio, false).add(30 * 16_000);
        meter.count("openai", "gpt-4o-mini", Measure::Input, true).add(1_000);
        meter.count("openai", "new-model", Measure::Output, false).add(5);
        let cost = account.cost();
        assert_eq!(cost.micros, 10_000 + 3_850 + 150);
        assert_eq!(
            cost.report,
            json!({"totalUsd": 0.014, "items": [
                {"provider": "elevenlabs", "model": "eleven_turbo_v2", "what": "speech", "quantity": 200,
                 "unit": "characters", "usd": 0.01},
                {"provider": "deepgram", "model": "nova-3", "what": "recognition", "quantity": 30.0,
                 "unit": "seconds", "usd": 0.00385},
                {"provider": "openai", "model": "gpt-4o-mini", "what": "input", "quantity": 1_000,
                 "unit": "tokens", "usd": 0.00015, "estimated": true},
                {"provider": "openai", "model": "new-model", "what": "output", "quantity": 5,
                 "unit": "tokens", "usd": null},
            ]})
        );
    }
}
