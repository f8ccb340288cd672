//! A person of the called organization takes a call over in text, with the real engine behind the socket.

use std::time::Duration;

use serde_json::{Value, json};
use voice_server::data::DEMO_ORGANIZATION;
use voice_server::voice::registry::Order;

use crate::virtual_caller::{Caller, Got, server};

/// The next message of a type, while the caller's clock goes on or, for what waits for the disk, stands.
async fn next(caller: &mut Caller, kind: &str) -> (Value, usize) {
    let mut audio = 0;
    for _ in 0..2_000 {
        for (_, got) in caller.waiting() {
            match got {
                Got::Binary(bytes) => audio += bytes.len(),
                Got::Text(text) if text["type"] == kind => return (text, audio),
                _ => {}
            }
        }
        caller.settle(Duration::from_millis(2)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {kind} came");
}

#[tokio::test]
async fn a_person_answers_in_the_place_of_the_model_and_then_gives_the_call_back() {
    let server = server().await;
    let mut caller = Caller::dial(&server, "?out=pcm16", Some("voice.v1")).await;
    next(&mut caller, "session").await;
    let order =
        |caller: &Caller, order| server.calls.order(DEMO_ORGANIZATION, caller.id, order).expect("taken");
    order(&caller, Order::TakeOver(true));
    caller.settle(Duration::from_millis(20)).await;
    caller.tell(r#"{"type":"text","text":"Is anybody there?"}"#).await;
    let (asked, audio) = next(&mut caller, "turn").await;
    assert_eq!((&asked["said"], &asked["reply"], audio), (&json!("Is anybody there?"), &json!(""), 0));
    order(&caller, Order::Say("Yes, this is Ann.".into()));
    let (said, audio) = next(&mut caller, "turn").await;
    assert_eq!((&said["reply"], &said["heard"]), (&json!("Yes, this is Ann."), &json!("Yes, this is Ann.")));
    assert_eq!(
        (&said["said"], &said["byPerson"], said["turn"].as_u64()),
        (&json!(""), &json!(true), Some(2))
    );
    assert!(audio > 10_000, "{audio} bytes of a voice");
    order(&caller, Order::TakeOver(false));
    caller.settle(Duration::from_millis(20)).await;
    caller.tell(r#"{"type":"text","text":"How much is it?"}"#).await;
    let (answered, _) = next(&mut caller, "turn").await;
    assert_eq!((answered["byPerson"].as_bool(), answered["reply"] == ""), (Some(false), false));
    let found = caller.hang_up(&server).await;
    let texts: Vec<&Value> =
        found["transcript"].as_array().expect("lines").iter().map(|line| &line["text"]).collect();
    assert_eq!(
        texts[..3],
        [&json!("Is anybody there?"), &json!("Yes, this is Ann."), &json!("How much is it?")]
    );
    let by_person = |list: &str| -> Vec<bool> {
        let list = found[list].as_array().expect("a list");
        list.iter().map(|one| one["byPerson"].as_bool().expect("told")).collect()
    };
    assert_eq!(by_person("turns"), [false, true, false]);
    assert_eq!(by_person("transcript"), [false, true, false, false]);
}
