//! What the providers of a conversation cost: what was used, by the price table, as its report has it.
//!
//! `voice-core` counts in a [`Meter`] what each client really sent; here it becomes money once, at the end of a call or behind
//! a written answer, and is added to what the conversation cost before. What has no price is told without one and adds
//! nothing to the total. Callers: `voice::actor`, `voice::recorder`, `api::conversations`; the databases add.

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
    /// Whether nothing was used.
    pub fn is_empty(&self) -> bool {
        self.report["items"].as_array().is_none_or(Vec::is_empty)
    }

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

/// The report of what was used before and `more`: the same of the same model is one item. What is no report counts as none.
pub(crate) fn added(before: Option<&Value>, more: &Value) -> Value {
    let Some(before) = before.filter(|before| before["items"].is_array()) else { return more.clone() };
    let mut items = before["items"].as_array().cloned().unwrap_or_default();
    for item in more["items"].as_array().into_iter().flatten() {
        let same = |known: &&mut Value| SAME.iter().all(|name| known[name] == item[name]);
        match items.iter_mut().find(same) {
            Some(known) => {
                known["quantity"] = sum(&known["quantity"], &item["quantity"], 1e3);
                known["usd"] = sum(&known["usd"], &item["usd"], 1e9);
            }
            None => items.push(item.clone()),
        }
    }
    json!({ "totalUsd": sum(&before["totalUsd"], &more["totalUsd"], 1e6), "items": items })
}

/// What two items must have in common to be one.
const SAME: [&str; 5] = ["provider", "model", "what", "unit", "estimated"];

/// Whole numbers stay whole; what is unknown on one side is unknown. `parts`: to which part of one is rounded.
fn sum(a: &Value, b: &Value, parts: f64) -> Value {
    if let (Some(a), Some(b)) = (a.as_u64(), b.as_u64()) {
        return a.saturating_add(b).into();
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => json!(((a + b) * parts).round() / parts),
        _ => Value::Null,
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
        assert_eq!(cost.micros, 10_000 + 2_400 + 150);
        assert_eq!(
            cost.report,
            json!({"totalUsd": 0.01255, "items": [
                {"provider": "elevenlabs", "model": "eleven_turbo_v2", "what": "speech", "quantity": 200,
                 "unit": "characters", "usd": 0.01},
                {"provider": "deepgram", "model": "nova-3", "what": "recognition", "quantity": 30.0,
                 "unit": "seconds", "usd": 0.0024},
                {"provider": "openai", "model": "gpt-4o-mini", "what": "input", "quantity": 1_000,
                 "unit": "tokens", "usd": 0.00015, "estimated": true},
                {"provider": "openai", "model": "new-model", "what": "output", "quantity": 5,
                 "unit": "tokens", "usd": null},
            ]})
        );
    }

    #[test]
    fn what_is_used_later_is_added_item_by_item() {
        let account = |characters: u64, tokens: u64| {
            let account = Account::start(Arc::new(Prices::load(None).expect("a table")));
            account.meter.count("openai", "gpt-4o-mini", Measure::Input, false).add(tokens);
            if characters > 0 {
                account
                    .meter
                    .count("elevenlabs", "eleven_turbo_v2", Measure::Characters, false)
                    .add(characters);
            }
            account.meter.count("openai", "new-model", Measure::Output, false).add(5);
            account.cost()
        };
        let (first, second) = (account(0, 1_000), account(200, 3_000));
        let both = added(Some(&first.report), &second.report);
        assert_eq!(both["totalUsd"], 0.0106);
        let items = both["items"].as_array().expect("items");
        let found = |model: &str| items.iter().filter(|item| item["model"] == model).collect::<Vec<_>>();
        assert_eq!(found("gpt-4o-mini")[0]["quantity"], 4_000);
        assert_eq!(found("gpt-4o-mini")[0]["usd"], 0.0006);
        assert_eq!((found("new-model").len(), &found("new-model")[0]["usd"]), (1, &Value::Null));
        assert_eq!(found("eleven_turbo_v2").len(), 1);
        for before in [None, Some(&json!({})), Some(&json!("odd"))] {
            assert_eq!(added(before, &first.report), first.report);
        }
        assert!(
            !first.is_empty()
                && Account::start(Arc::new(Prices::load(None).expect("a table"))).cost().is_empty()
        );
    }
}
