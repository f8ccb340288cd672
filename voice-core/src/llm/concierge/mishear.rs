//! Words of the trade that a recogniser hears as other words: "for rant" is "for rent", "a to bedroom" two bedrooms.
//!
//! A word is changed only where its neighbours leave no other sense, so that what was heard rightly stays. Street
//! names are `streets`' matter. Pure; caller: `understand`.

use super::streets::suffix_of;

/// Puts right what the neighbours of a word show to be misheard. The number of words stays.
pub(super) fn mend(words: &mut [String]) {
    for at in 0..words.len() {
        let before = at.checked_sub(1).map_or("", |i| words[i].as_str());
        let after = words.get(at + 1).map_or("", String::as_str);
        let meant = rooms(before, &words[at], after)
            .or_else(|| clock(before, &words[at], after))
            .or_else(|| terms(before, &words[at], after))
            .or_else(|| features(before, &words[at], after));
        if let Some(meant) = meant {
            words[at] = meant.to_owned();
        }
    }
}

/// "a to bedroom", "tree bedroom", "for bath".
fn rooms(before: &str, word: &str, after: &str) -> Option<&'static str> {
    let counted = matches!(
        after,
        "bed" | "beds" | "bedroom" | "bedrooms" | "bath" | "baths" | "bathroom" | "bathrooms"
    );
    Some(match word {
        "to" | "too" if counted => "two",
        "tree" | "free" if counted => "three",
        "for" | "fore" if counted && matches!(before, "a" | "with" | "has" | "the") => "four",
        "won" if counted => "one",
        "sicks" if counted => "six",
        _ => return None,
    })
}

/// "at to pm", "around ate".
fn clock(before: &str, word: &str, after: &str) -> Option<&'static str> {
    let timed = matches!(before, "at" | "around" | "past" | "by")
        && matches!(after, "" | "am" | "pm" | "a" | "p" | "o'clock" | "on" | "thirty" | "fifteen" | "in");
    Some(match word {
        "to" | "too" if timed => "two",
        "for" | "fore" if timed => "four",
        "ate" if timed => "eight",
        "won" if timed => "one",
        "tin" if timed => "ten",
        "noun" | "new" if before == "at" && after.is_empty() => "noon",
        _ => return None,
    })
}

/// "for rant", "for sail", "want to by a house", "under contact".
fn terms(before: &str, word: &str, after: &str) -> Option<&'static str> {
    let one = matches!(after, "a" | "an" | "the" | "it" | "one" | "something" | "this" | "that");
    Some(match word {
        "rant" | "rand" if matches!(before, "for" | "to" | "the" | "i" | "four") => "rent",
        "least" | "leash" if before == "for" => "lease",
        "sail" | "sails" | "sell" | "cell" if matches!(before, "for" | "four") => "sale",
        "by" | "bye" if before == "to" && one => "buy",
        "contact" | "contracts" if before == "under" => "contract",
        "taxis" => "taxes",
        _ => return None,
    })
}

/// "a swimming pull", "two car garbage", "square feat", "lock size".
fn features(before: &str, word: &str, after: &str) -> Option<&'static str> {
    let bare = suffix_of(after).is_none();
    Some(match word {
        "pull" | "poll" | "pole" if matches!(before, "a" | "swimming" | "private") && bare => "pool",
        "garbage" | "carriage" if matches!(before, "a" | "car" | "the") && bare => "garage",
        "feat" | "fee" | "feed" | "fit" if before == "square" => "feet",
        "lock" | "lots" if after == "size" => "lot",
        "condor" | "kondo" | "condone" => "condo",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::split_words;

    #[test]
    fn neighbours_tell_what_was_meant() {
        for (heard, meant) in [
            ("a to bedroom condor", "a two bedroom condo"),
            ("a house for rant", "a house for rent"),
            ("homes for sail", "homes for sale"),
            ("i want to by a house", "i want to buy a house"),
            ("is it under contact", "is it under contract"),
            ("a swimming pull", "a swimming pool"),
            ("a to car garbage", "a to car garage"),
            ("how many square feat", "how many square feet"),
            ("saturday at to pm", "saturday at two pm"),
            ("at ate o'clock", "at eight o'clock"),
        ] {
            let mut words = split_words(heard);
            mend(&mut words);
            assert_eq!(words.join(" "), meant);
        }
    }

    #[test]
    fn what_was_heard_rightly_stays() {
        for text in [
            "make pull street",
            "at least four bedrooms",
            "how do i contact you",
            "i am looking for a home to buy",
            "good bye",
            "at to street",
            "what is the fee",
        ] {
            let mut words = split_words(text);
            mend(&mut words);
            assert_eq!(words.join(" "), text);
        }
    }
}
