//! Conversations: turns, transcripts, lists, searches, figures, erasure.

use serde_json::json;
use uuid::Uuid;

use super::super::{
    ApiKey, Begun, CallEnd, Caller, ConversationChange, ConversationFilter, Cursor, DEMO_ORGANIZATION,
    DataError, KeyKind, NewApiKey, NewConversation, Speaker, Status, Store, Timestamp, Turn,
};
use super::{a_user, an_organization, conversation, turn};

pub(super) async fn all(store: &dyn Store) {
    a_conversation_reads_back_as_it_was_opened(store).await;
    an_id_is_taken_once(store).await;
    turns_come_back_in_order_and_the_last_write_of_one_holds(store).await;
    a_transcript_holds_both_sides_and_leaves_out_empty_words(store).await;
    an_end_is_kept_and_so_is_its_cost(store).await;
    what_answers_cost_is_added_before_and_after_the_end(store).await;
    another_organization_sees_and_changes_nothing(store).await;
    pages_hold_every_conversation_once_newest_first(store).await;
    odd_text_comes_back_as_it_went_in(store).await;
    notes_change_by_revision(store).await;
    filters_narrow_a_list(store).await;
    two_turns_with_one_number_both_stay(store).await;
    words_are_found_in_what_was_said_and_answered(store).await;
    frequent_rare_and_narrowed_words_give_pages_that_hold_everything_once(store).await;
    a_caller_is_known_by_number_or_user_once_the_call_is_over(store).await;
    a_number_that_was_only_claimed_is_nobody_s_history_and_is_erased_all_the_same(store).await;
    figures_are_those_of_the_turns_by_days_of_the_time_zone(store).await;
    what_is_erased_is_gone(store).await;
}

async fn a_conversation_reads_back_as_it_was_opened(store: &dyn Store) {
    let id = Uuid::new_v4();
    let mut new = conversation(id, 1_700_000_000_123);
    new.client_phone = Some("+1 555 0100".into());
    new.phone_trusted = true;
    new.metadata = json!({"campaign": {"name": "spring"}});
    store.open_conversation(new.clone()).await.expect("opened");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Active);
    assert_eq!((found.conversation.client_phone, found.conversation.phone_trusted), (new.client_phone, true));
    assert_eq!(found.conversation.metadata, new.metadata);
    assert_eq!(found.conversation.created_at, new.created_at);
    assert_eq!(found.conversation.ended_at, None);
    assert!(found.turns.is_empty() && found.transcript.is_empty());
}

async fn an_id_is_taken_once(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    assert!(matches!(store.open_conversation(conversation(id, 2)).await, Err(DataError::Exists)));
}

async fn turns_come_back_in_order_and_the_last_write_of_one_holds(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    for number in [2, 1, 3, 2] {
        store.append_turn(DEMO_ORGANIZATION, id, turn(number)).await.expect("stored");
    }
    let amended = Turn { said: "amended".into(), ..turn(3) };
    store.append_turn(DEMO_ORGANIZATION, id, amended.clone()).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns, [turn(1), turn(2), amended]);
    let by_model = Turn { by_person: false, ..turn(2) };
    store.append_turn(DEMO_ORGANIZATION, id, by_model.clone()).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns[1], by_model);
    let unknown = store.append_turn(DEMO_ORGANIZATION, Uuid::new_v4(), turn(1)).await;
    assert!(matches!(unknown, Err(DataError::NotFound)));
}

async fn a_transcript_holds_both_sides_and_leaves_out_empty_words(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 10_000)).await.expect("opened");
    let greeting = Turn { said: String::new(), ..turn(1) };
    let unanswered = Turn { reply: String::new(), heard: String::new(), ..turn(2) };
    for turn in [greeting, unanswered] {
        store.append_turn(DEMO_ORGANIZATION, id, turn).await.expect("stored");
    }
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    let read: Vec<_> = found
        .transcript
        .iter()
        .map(|u| (u.role, u.text.as_str(), u.heard.as_str(), u.started_at.as_millis(), u.by_person))
        .collect();
    assert_eq!(
        read,
        [
            (Speaker::Assistant, "answer 1", "answer", 11_350, true),
            (Speaker::User, "question 2", "question 2", 12_000, false)
        ]
    );
}

async fn an_end_is_kept_and_so_is_its_cost(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    for (at, micros) in [(50, 12), (60, 13)] {
        let cost = Some(json!({"totalUsd": micros}));
        let end = CallEnd { at: Timestamp::from_millis(at), cost, cost_micros: micros };
        store.end_conversation(DEMO_ORGANIZATION, id, end).await.expect("ended");
    }
    // A turn whose writing was delayed past the end is still stored.
    store.append_turn(DEMO_ORGANIZATION, id, turn(1)).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.conversation.status, Status::Ended);
    assert_eq!(found.conversation.ended_at, Some(Timestamp::from_millis(50)));
    assert_eq!(found.conversation.cost, Some(json!({"totalUsd": 12})));
    assert_eq!(found.turns.len(), 1);
}

async fn what_answers_cost_is_added_before_and_after_the_end(store: &dyn Store) {
    let id = Uuid::new_v4();
    let key = Uuid::new_v4();
    let stored = ApiKey {
        id: key,
        organization_id: DEMO_ORGANIZATION,
        kind: KeyKind::Secret,
        name: "Switchboard".into(),
        hint: "sk_abc".into(),
        origins: Vec::new(),
        max_calls: None,
        daily_spend_micros: None,
        created_at: Timestamp::from_millis(1),
        revoked_at: None,
    };
    store.add_key(NewApiKey { key: stored, hash: key.to_string() }).await.expect("added");
    let new = NewConversation { key_id: Some(key), ..conversation(id, 1) };
    store.open_conversation(new).await.expect("opened");
    let report = |usd: f64, quantity: u64| {
        json!({"totalUsd": usd, "items": [{"provider": "p", "model": "m", "what": "output", "quantity": quantity,
                                          "unit": "tokens", "usd": usd}]})
    };
    let cost = async || {
        store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found").conversation.cost
    };
    let spent =
        async || store.spent_by_key(DEMO_ORGANIZATION, key, Timestamp::from_millis(0)).await.expect("summed");
    store.add_cost(DEMO_ORGANIZATION, id, report(0.25, 1), 250_000).await.expect("added");
    assert_eq!((cost().await, spent().await), (Some(report(0.25, 1)), 250_000));
    // The end of a call is added once, however often it is told.
    for _ in 0..2 {
        let end = CallEnd { at: Timestamp::from_millis(9), cost: Some(report(0.5, 2)), cost_micros: 500_000 };
        store.end_conversation(DEMO_ORGANIZATION, id, end).await.expect("ended");
    }
    assert_eq!((cost().await, spent().await), (Some(report(0.75, 3)), 750_000));
    store.add_cost(DEMO_ORGANIZATION, id, report(0.25, 1), 250_000).await.expect("added");
    store
        .end_conversation(DEMO_ORGANIZATION, id, CallEnd::at(Timestamp::from_millis(20)))
        .await
        .expect("ended");
    assert_eq!((cost().await, spent().await), (Some(report(1.0, 4)), 1_000_000));
    let unknown = store.add_cost(DEMO_ORGANIZATION, Uuid::new_v4(), report(1.0, 1), 1).await;
    assert!(matches!(unknown, Err(DataError::NotFound)));
}

async fn another_organization_sees_and_changes_nothing(store: &dyn Store) {
    let (id, other) = (Uuid::new_v4(), Uuid::new_v4());
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    assert_eq!(store.conversation(other, id).await.expect("read"), None);
    assert!(
        store
            .conversations(other, ConversationFilter::default(), None, 10)
            .await
            .expect("read")
            .items
            .is_empty()
    );
    assert!(matches!(store.append_turn(other, id, turn(1)).await, Err(DataError::NotFound)));
    let end = store.end_conversation(other, id, CallEnd::at(Timestamp::from_millis(5))).await;
    assert!(matches!(end, Err(DataError::NotFound)));
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!((found.conversation.status, found.turns.len()), (Status::Active, 0));
}

async fn pages_hold_every_conversation_once_newest_first(store: &dyn Store) {
    // Two of each moment, so that pages end between equals.
    for millis in 0..5 {
        for _ in 0..2 {
            store.open_conversation(conversation(Uuid::new_v4(), 5_000 + millis)).await.expect("opened");
        }
    }
    let whole = store
        .conversations(DEMO_ORGANIZATION, ConversationFilter::default(), None, 1_000)
        .await
        .expect("read");
    assert_eq!(whole.next, None);
    let order: Vec<_> = whole.items.iter().map(|c| (c.created_at, c.id)).collect();
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "newest first, ids break ties");
    for limit in [1, 2, 3, 7] {
        let mut paged = Vec::new();
        let mut cursor = None;
        loop {
            let page = store
                .conversations(DEMO_ORGANIZATION, ConversationFilter::default(), cursor, limit)
                .await
                .expect("read");
            assert!(page.items.len() <= limit as usize);
            paged.extend(page.items);
            let Some(next) = page.next else { break };
            cursor = Some(Cursor::parse(&next.encode()).expect("a cursor reads back"));
            assert!(paged.len() <= whole.items.len(), "the list does not end");
        }
        assert_eq!(paged, whole.items, "pages of {limit}");
    }
}

async fn odd_text_comes_back_as_it_went_in(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    let odd = Turn { said: "'; DROP TABLE turns; -- \u{1F3E0} \"\\\n".into(), ..turn(1) };
    store.append_turn(DEMO_ORGANIZATION, id, odd.clone()).await.expect("stored");
    let found = store.conversation(DEMO_ORGANIZATION, id).await.expect("read").expect("found");
    assert_eq!(found.turns, [odd]);
}

async fn notes_change_by_revision(store: &dyn Store) {
    let id = Uuid::new_v4();
    store.open_conversation(conversation(id, 1)).await.expect("opened");
    let change = |notes: &str| ConversationChange { notes: Some(notes.into()), lead: None };
    let first = store.change_conversation(DEMO_ORGANIZATION, id, change("a"), None).await.expect("changed");
    assert_eq!((first.notes.as_str(), first.lead, first.revision), ("a", false, 2));
    let lead = ConversationChange { notes: None, lead: Some(true) };
    let second = store.change_conversation(DEMO_ORGANIZATION, id, lead, Some(2)).await.expect("changed");
    assert_eq!((second.notes.as_str(), second.lead, second.revision), ("a", true, 3));
    let late = store.change_conversation(DEMO_ORGANIZATION, id, change("late"), Some(2)).await;
    assert!(matches!(late, Err(DataError::Changed)));
    let unknown = store.change_conversation(DEMO_ORGANIZATION, Uuid::new_v4(), change("x"), None).await;
    assert!(matches!(unknown, Err(DataError::NotFound)));
}

async fn filters_narrow_a_list(store: &dyn Store) {
    let organization = an_organization(store).await;
    let user = a_user(store, organization).await;
    let open = async |millis: i64, phone: Option<&str>, user_id: Option<Uuid>| {
        let new = NewConversation {
            client_phone: phone.map(str::to_owned),
            user_id,
            ..NewConversation::anonymous(Uuid::new_v4(), organization, Timestamp::from_millis(millis))
        };
        let id = new.id;
        store.open_conversation(new).await.expect("opened");
        id
    };
    let plain = open(1_000, None, None).await;
    let phone = open(2_000, Some("+15550100"), None).await;
    let of_user = open(3_000, None, Some(user)).await;
    let end = CallEnd::at(Timestamp::from_millis(2_500));
    store.end_conversation(organization, phone, end).await.expect("ended");
    let lead = ConversationChange { notes: None, lead: Some(true) };
    store.change_conversation(organization, plain, lead, None).await.expect("changed");
    let all = ConversationFilter::default;
    for (filter, expected) in [
        (all(), vec![of_user, phone, plain]),
        (ConversationFilter { status: Some(Status::Ended), ..all() }, vec![phone]),
        (ConversationFilter { status: Some(Status::Active), ..all() }, vec![of_user, plain]),
        (ConversationFilter { user_id: Some(user), ..all() }, vec![of_user]),
        (ConversationFilter { client_phone: Some("+15550100".into()), ..all() }, vec![phone]),
        (ConversationFilter { from: Some(Timestamp::from_millis(2_000)), ..all() }, vec![of_user, phone]),
        (ConversationFilter { to: Some(Timestamp::from_millis(2_000)), ..all() }, vec![plain]),
        (ConversationFilter { lead: Some(true), ..all() }, vec![plain]),
        (ConversationFilter { lead: Some(true), status: Some(Status::Ended), ..all() }, vec![]),
    ] {
        let page = store.conversations(organization, filter.clone(), None, 10).await.expect("read");
        assert_eq!(page.items.iter().map(|c| c.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

async fn two_turns_with_one_number_both_stay(store: &dyn Store) {
    let organization = an_organization(store).await;
    let id = Uuid::new_v4();
    store
        .open_conversation(NewConversation::anonymous(id, organization, Timestamp::from_millis(1)))
        .await
        .expect("opened");
    let said =
        |number: u32, started_ms: u64, said: &str| Turn { said: said.into(), started_ms, ..turn(number) };
    // As by a call here and a message that came through another server meanwhile; then the call's turn is stored again.
    for turn in [
        said(1, 10, "first"),
        said(2, 20, "written"),
        said(3, 25, "written too"),
        said(2, 30, "spoken"),
        said(2, 30, "spoken, whole"),
        said(1, 10, "first, whole"),
        said(3, 40, "spoken last"),
    ] {
        store.append_turn(organization, id, turn).await.expect("stored");
    }
    let found = store.conversation(organization, id).await.expect("read").expect("there");
    let turns: Vec<(u32, &str)> = found.turns.iter().map(|turn| (turn.turn, turn.said.as_str())).collect();
    let expected = ["first, whole", "written", "written too", "spoken, whole", "spoken last"];
    assert_eq!(turns, (1..).zip(expected).collect::<Vec<_>>());
}

async fn words_are_found_in_what_was_said_and_answered(store: &dyn Store) {
    let organization = an_organization(store).await;
    let mut ids = Vec::new();
    for (said, reply) in [
        ("do you have a garden", "Yes, a large one."),
        ("what does it cost", "Gardeners pay less, l'\u{e9}t\u{e9} too."),
        ("hello", "Hello."),
    ] {
        let id = Uuid::new_v4();
        let new = NewConversation::anonymous(id, organization, Timestamp::from_millis(ids.len() as i64));
        store.open_conversation(new).await.expect("opened");
        let turn = Turn { said: said.into(), reply: reply.into(), ..turn(1) };
        store.append_turn(organization, id, turn).await.expect("stored");
        ids.push(id);
    }
    let amended = Turn { said: "hi".into(), reply: "Nothing.".into(), ..turn(1) };
    store.append_turn(organization, ids[2], amended).await.expect("stored");
    let other = an_organization(store).await;
    for (words, expected) in [
        (vec!["garden"], vec![1, 0]),
        (vec!["GARDEN"], vec![1, 0]),
        (vec!["garden", "large"], vec![0]),
        (vec!["large", "gard"], vec![0]),
        (vec!["cost", "garden", "hello"], vec![]),
        (vec!["l'\u{c9}t\u{c9}"], vec![1]),
        (vec!["hello"], vec![]),
        (vec!["noth"], vec![2]),
    ] {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let filter = ConversationFilter { words: words.clone(), ..Default::default() };
        let page = store.conversations(organization, filter.clone(), None, 10).await.expect("read");
        let expected: Vec<Uuid> = expected.into_iter().map(|i: usize| ids[i]).collect();
        assert_eq!(page.items.iter().map(|c| c.id).collect::<Vec<_>>(), expected, "{words:?}");
        let foreign = store.conversations(other, filter, None, 10).await.expect("read");
        assert!(foreign.items.is_empty());
    }
}

async fn frequent_rare_and_narrowed_words_give_pages_that_hold_everything_once(store: &dyn Store) {
    /// By how many of the conversations each is said.
    const WORDS: [(&str, usize); 5] =
        [("house", 1), ("garden", 2), ("\u{c9}vian", 9), ("sauna", 37), ("orangery", 110)];
    let organization = an_organization(store).await;
    let mut all = Vec::new();
    for number in 0..220_usize {
        let id = Uuid::new_v4();
        // Several begin in the same millisecond.
        let began = Timestamp::from_millis((number / 3) as i64);
        store.open_conversation(NewConversation::anonymous(id, organization, began)).await.expect("opened");
        let said: Vec<&str> =
            WORDS.iter().filter(|(_, every)| number % every == 0).map(|(word, _)| *word).collect();
        // Half in one turn, half in another, on either side.
        let (first, second) = said.split_at(said.len() / 2);
        for (at, said) in [(1, first), (2, second)] {
            let turn = Turn { said: "well".into(), reply: said.join(", "), ..turn(at) };
            store.append_turn(organization, id, turn).await.expect("stored");
        }
        if number % 5 == 0 {
            store
                .end_conversation(organization, id, CallEnd::at(Timestamp::from_millis(900)))
                .await
                .expect("ended");
        }
        all.push((began, id, number, said));
    }
    all.sort_by_key(|(began, id, ..)| (*began, *id));
    all.reverse();
    for words in [
        vec!["house"],
        vec!["garden"],
        vec!["evian"],
        vec!["sauna"],
        vec!["orangery"],
        vec!["sauna", "evian"],
        vec!["well", "gard"],
        vec!["orang"],
        vec!["ho"],
        vec!["nowhere"],
        vec!["-"],
    ] {
        for (status, limit) in [(None, 7), (None, 100), (Some(Status::Ended), 4)] {
            let says = |said: &[&str], word: &str| match word {
                "well" => true,
                "evian" => said.contains(&"\u{c9}vian"),
                "gard" => said.contains(&"garden"),
                "orang" => said.contains(&"orangery"),
                word => said.contains(&word),
            };
            let expected: Vec<Uuid> = all
                .iter()
                .filter(|(.., number, said)| {
                    words.iter().all(|word| says(said, word)) && (status.is_none() || number % 5 == 0)
                })
                .map(|(_, id, ..)| *id)
                .collect();
            let filter = ConversationFilter {
                status,
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                ..Default::default()
            };
            let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
            loop {
                let page =
                    store.conversations(organization, filter.clone(), cursor, limit).await.expect("read");
                assert!(page.items.len() <= limit as usize);
                found.extend(page.items.iter().map(|c| c.id));
                pages += 1;
                cursor = page.next;
                if cursor.is_none() || pages > 300 {
                    break;
                }
            }
            assert_eq!(found, expected, "{words:?} {status:?} by {limit}");
        }
    }
    assert_eq!(store.index_words(10).await.expect("settled"), 0, "nothing is owed");
}

async fn a_caller_is_known_by_number_or_user_once_the_call_is_over(store: &dyn Store) {
    let organization = an_organization(store).await;
    let user = a_user(store, organization).await;
    let mut ids = Vec::new();
    for millis in 1..=3 {
        let new = NewConversation {
            client_phone: Some("+15550177".into()),
            phone_trusted: true,
            user_id: Some(user),
            ..NewConversation::anonymous(Uuid::new_v4(), organization, Timestamp::from_millis(millis))
        };
        ids.push(new.id);
        store.open_conversation(new).await.expect("opened");
    }
    for id in &ids[..2] {
        store.append_turn(organization, *id, turn(1)).await.expect("stored");
        let end = CallEnd::at(Timestamp::from_millis(9));
        store.end_conversation(organization, *id, end).await.expect("ended");
    }
    for caller in [Caller::Phone("+15550177".into()), Caller::User(user)] {
        let found = store.history(organization, caller.clone(), 5).await.expect("read");
        assert_eq!(found.iter().map(|c| c.conversation.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
        assert_eq!(found[0].turns, [turn(1)]);
        assert_eq!(store.history(organization, caller, 1).await.expect("read").len(), 1);
    }
    let stranger = Caller::Phone("+15550178".into());
    assert!(store.history(organization, stranger, 5).await.expect("read").is_empty());
}

async fn a_number_that_was_only_claimed_is_nobody_s_history_and_is_erased_all_the_same(store: &dyn Store) {
    let organization = an_organization(store).await;
    let phone = "+15550155";
    let mut ids = Vec::new();
    for (millis, phone_trusted) in [(1, true), (2, false), (3, false), (4, true)] {
        let new = NewConversation {
            client_phone: Some(phone.into()),
            phone_trusted,
            ..NewConversation::anonymous(Uuid::new_v4(), organization, Timestamp::from_millis(millis))
        };
        ids.push(new.id);
        store.open_conversation(new).await.expect("opened");
        let end = CallEnd::at(Timestamp::from_millis(9));
        store.end_conversation(organization, ids[ids.len() - 1], end).await.expect("ended");
    }
    // Claims made in between hide nothing, however many they are.
    let told = store.history(organization, Caller::Phone(phone.into()), 2).await.expect("read");
    assert_eq!(told.iter().map(|c| c.conversation.id).collect::<Vec<_>>(), [ids[3], ids[0]]);
    let filter = ConversationFilter { client_phone: Some(phone.into()), ..Default::default() };
    let listed = store.conversations(organization, filter, None, 9).await.expect("read");
    assert_eq!(listed.items.iter().filter(|c| c.phone_trusted).count(), 2);
    let found = store.conversations_of_phone(organization, phone.into(), 9).await.expect("read");
    assert_eq!(found, [ids[3], ids[2], ids[1], ids[0]], "all of it is data about who has the number");
}

async fn figures_are_those_of_the_turns_by_days_of_the_time_zone(store: &dyn Store) {
    let organization = an_organization(store).await;
    let agent = a_user(store, organization).await;
    let zone = jiff::tz::TimeZone::get("America/New_York").expect("a zone");
    let moment = |text: &str| Timestamp::parse(text).expect("a moment");
    // The night in which New York's clocks go forward: 2026-03-08 has 23 hours.
    let begins = [
        "2026-03-08T04:59:59.999Z", // the evening of the 7th
        "2026-03-08T05:00:00Z",     // midnight of the 8th
        "2026-03-09T03:59:59.999Z", // the last moment of the 8th
        "2026-03-09T04:00:00Z",     // the 9th
    ];
    for (i, begin) in begins.into_iter().enumerate() {
        let at = moment(begin);
        let new = NewConversation {
            user_id: Some(agent),
            ..NewConversation::anonymous(Uuid::new_v4(), organization, at)
        };
        let id = new.id;
        store.open_conversation(new).await.expect("opened");
        for number in 1..=3 {
            let total_ms = 100.0 * (i as f64 + 1.0) + f64::from(number);
            // The first is a greeting, which answers nobody.
            let said = if number == 1 { String::new() } else { "hm".to_owned() };
            let turn = Turn { said, total_ms, interrupted: number == 3, by_person: false, ..turn(number) };
            store.append_turn(organization, id, turn).await.expect("stored");
        }
        // What a person answered in the model's place is none of its figures.
        let by_person = Turn { total_ms: 9_000.0, ..turn(4) };
        assert!(by_person.by_person && by_person.interrupted && !by_person.said.is_empty());
        store.append_turn(organization, id, by_person).await.expect("stored");
        let end = CallEnd::at(at.plus_millis(60_000));
        store.end_conversation(organization, id, end).await.expect("ended");
        let lead = ConversationChange { notes: None, lead: Some(i == 1) };
        store.change_conversation(organization, id, lead, None).await.expect("changed");
    }
    let whole =
        |from: &str, to: &str| store.performance(organization, agent, moment(from), moment(to), zone.clone());
    let sums = whole("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z").await.expect("counted");
    assert_eq!((sums.calls, sums.interruptions, sums.leads, sums.viewings_booked), (4, 4, 1, 0));
    assert_eq!(sums.talk_seconds, 240.0);
    // Eight answers: 102 103 202 203 302 303 402 403.
    assert_eq!((sums.response_ms_p50, sums.response_ms_p95), (Some(203.0), Some(403.0)));
    let days: Vec<_> =
        sums.days.iter().map(|day| (day.date.as_str(), day.calls, day.response_ms_p50)).collect();
    assert_eq!(
        days,
        [("2026-03-07", 1, Some(102.0)), ("2026-03-08", 2, Some(203.0)), ("2026-03-09", 1, Some(402.0))]
    );
    let day = whole("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z").await.expect("counted");
    assert_eq!((day.calls, day.response_ms_p50), (2, Some(203.0)), "from is in the period, to is not");
    let nobody = store
        .performance(
            organization,
            Uuid::new_v4(),
            moment("2026-03-01T00:00:00Z"),
            moment("2026-04-01T00:00:00Z"),
            zone.clone(),
        )
        .await
        .expect("counted");
    assert_eq!((nobody.calls, nobody.response_ms_p50, nobody.days.len()), (0, None, 0));
}

async fn what_is_erased_is_gone(store: &dyn Store) {
    let organization = an_organization(store).await;
    let phone = "+15550199";
    let mut ids = Vec::new();
    for millis in 1..=3 {
        let new = NewConversation {
            client_phone: Some(phone.into()),
            ..NewConversation::anonymous(Uuid::new_v4(), organization, Timestamp::from_millis(millis))
        };
        ids.push(new.id);
        store.open_conversation(new).await.expect("opened");
        store.append_turn(organization, ids[ids.len() - 1], turn(1)).await.expect("stored");
    }
    let now = Timestamp::from_millis(1_000);
    let answer = |of: Uuid, by: &str| (organization, format!("{of}:{by}"), "k".to_owned());
    for (of, asker, key) in [answer(ids[2], "user:a"), answer(ids[2], "ticket"), answer(ids[0], "user:a")] {
        store.begin_once(of, asker.clone(), key.clone(), "f".into(), now).await.expect("begun");
        store.finish_once(of, asker, key, Some((200, "words".into()))).await.expect("kept");
    }
    for written in ["1 555-0199", "+1 (555) 01.99"] {
        let found = store.conversations_of_phone(organization, written.into(), 2).await.expect("read");
        assert_eq!(found, [ids[2], ids[1]], "{written}");
    }
    let found = store.conversations_of_phone(organization, phone.into(), 2).await.expect("read");
    assert_eq!(store.erase_conversations(organization, found.clone()).await.expect("erased"), 2);
    for ((of, asker, key), expected) in [
        (answer(ids[2], "user:a"), Begun::First),
        (answer(ids[2], "ticket"), Begun::First),
        (answer(ids[0], "user:a"), Begun::Answered { status: 200, body: "words".into() }),
    ] {
        let begun = store.begin_once(of, asker, key, "f".into(), now).await.expect("begun");
        assert_eq!(begun, expected, "what was answered is gone as well");
    }
    assert_eq!(store.erase_conversations(organization, found).await.expect("again"), 0);
    assert_eq!(store.conversations_of_phone(organization, phone.into(), 9).await.expect("read"), [ids[0]]);
    let filter = ConversationFilter { words: vec!["question".into()], ..Default::default() };
    let left = store.conversations(organization, filter, None, 9).await.expect("read");
    assert_eq!(left.items.len(), 1, "the words are gone too");
}
