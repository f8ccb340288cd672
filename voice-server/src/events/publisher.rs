//! What one call tells those who watch: that it began and ended, its words so far, its turns.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use super::event::{Event, Kind};
use super::hub::Hub;
use crate::voice::call::TurnRecord;

/// Words so far are told this often at most; what is left out comes with the next, and at last with the turn.
const PACE: Duration = Duration::from_millis(100);

/// Publishes what happens in one conversation. Nothing here waits.
#[derive(Debug)]
pub struct Publisher {
    hub: Hub,
    organization: Uuid,
    conversation: Uuid,
    told: Mutex<Option<Instant>>,
}

impl Publisher {
    /// For this conversation of this organization.
    pub fn new(hub: Hub, organization: Uuid, conversation: Uuid) -> Self {
        Self { hub, organization, conversation, told: Mutex::default() }
    }

    /// The call began.
    pub fn started(&self) {
        self.publish(Kind::ConversationStarted, json!({"conversationId": self.conversation}));
    }

    /// The call ended and is stored.
    pub fn ended(&self) {
        self.publish(Kind::ConversationEnded, json!({"conversationId": self.conversation}));
    }

    /// Something of the conversation changed, such as its status.
    pub fn updated(&self) {
        self.publish(Kind::ConversationUpdated, json!({"conversationId": self.conversation}));
    }

    /// How the call goes: whether its client is away and waited for, and whether a person answers.
    pub fn live(&self, is_away: bool, is_attended: bool) {
        let data = json!({"conversationId": self.conversation, "away": is_away, "attended": is_attended});
        self.publish(Kind::ConversationUpdated, data);
    }

    /// The caller's words so far. At most ten times a second, except for those that stay.
    pub fn transcript(&self, turn: u32, text: &str, is_final: bool) {
        let now = Instant::now();
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if !is_final && told.is_some_and(|told| now.duration_since(told) < PACE) {
                return;
            }
            *told = Some(now);
        }
        let data = json!({
            "conversationId": self.conversation, "turn": turn, "role": "user", "text": text, "final": is_final
        });
        self.publish(Kind::Transcript, data);
    }

    /// The words of the answer so far. The turn follows, with what was heard of them.
    pub fn reply(&self, turn: u32, text: &str) {
        let data = json!({
            "conversationId": self.conversation, "turn": turn, "role": "assistant", "text": text, "final": false
        });
        self.publish(Kind::Transcript, data);
    }

    /// A turn is over and stored.
    pub fn turn(&self, record: &TurnRecord) {
        let total: u64 = record.ledger.iter().map(|(_, micros)| micros).sum();
        let data = json!({
            "conversationId": self.conversation,
            "turn": record.turn,
            "said": record.said,
            "reply": record.reply,
            "heard": record.heard,
            "interrupted": record.interrupted,
            "byPerson": record.by_person,
            "totalMs": total as f64 / 1e3,
        });
        self.publish(Kind::Turn, data);
    }

    fn publish(&self, kind: Kind, data: serde_json::Value) {
        self.hub.publish(self.organization, &Event::new(kind, data));
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub::HubLimits;
    use super::super::room::Delivery;
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn words_so_far_come_ten_times_a_second_and_the_last_ones_always() {
        let hub = Hub::new(HubLimits::default(), &Metrics::default());
        let (organization, conversation) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut feed = hub.watch(organization, None).await.expect("room");
        let publisher = Publisher::new(hub.clone(), organization, conversation);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(450) {
            publisher.transcript(1, "so far", false);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let most = begun.elapsed().as_millis() / PACE.as_millis() + 1;
        publisher.transcript(1, "all", true);
        publisher.ended();
        let mut words = 0;
        let last = loop {
            let Some(Delivery::Message(text)) = feed.next().await else { panic!("a message") };
            if text.contains("so far") {
                words += 1;
            } else {
                break text;
            }
        };
        assert!(last.contains("\"final\":true"), "{last}");
        assert!((2..=most).contains(&words), "{words} of {most}");
        let Some(Delivery::Message(text)) = feed.next().await else { panic!("a message") };
        assert!(text.contains("conversation.ended") && text.contains(&conversation.to_string()), "{text}");
    }
}
