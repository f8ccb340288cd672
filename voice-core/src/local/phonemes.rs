//! Text to the sounds of a Piper voice.
//!
//! `misaki` knows the words and how their neighbours change them; [`super::spell`] says the words it does not know.
//! `misaki` marks such a word with a sign of its own, or leaves it without a sound; both are caught here, so that no
//! word is ever dropped. Then the sounds go from its alphabet to the International Phonetic Alphabet in the manner
//! that Piper's English voices were trained on. Callers: [`super::piper`].

use misaki_rs::fallback::FallbackError;
use misaki_rs::{Fallback, G2P, Language, MToken};

use super::spell::spell;

/// The dictionaries and the tagger, shared by all calls.
pub struct Phonemiser {
    g2p: G2P,
}

/// `misaki`'s mark for what it cannot say.
const UNKNOWN: char = '❓';

impl Phonemiser {
    /// Loads the dictionaries, which are part of the program. Takes some tenths of a second.
    pub fn load() -> Self {
        Self { g2p: G2P::with_fallback(Language::EnglishUS, Some(Box::new(ByRule))) }
    }

    /// The sounds of a text in IPA, words apart by spaces, punctuation kept.
    pub fn sounds(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        match self.g2p.g2p(text) {
            Ok((_, tokens)) => tokens.iter().for_each(|token| push_token(token, &mut out)),
            // It gives up on a whole text where one word defeats it; word by word the others are saved.
            Err(_) => {
                for word in text.split_whitespace() {
                    match self.g2p.g2p(word) {
                        Ok((_, tokens)) => tokens.iter().for_each(|token| push_token(token, &mut out)),
                        Err(_) => out.push_str(&to_ipa(&spell(word))),
                    }
                    out.push(' ');
                }
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// The letter-to-sound rules in the shape that `misaki` asks for.
struct ByRule;

impl Fallback for ByRule {
    fn phonemize(&self, word: &str) -> Result<String, FallbackError> {
        Ok(if word.chars().any(char::is_alphabetic) { spell(word) } else { String::new() })
    }
}

fn push_token(token: &MToken, out: &mut String) {
    let sounds = token.phonemes.as_deref().unwrap_or_default();
    let has_letters = token.text.chars().any(char::is_alphanumeric);
    let is_said = sounds.chars().any(|c| c.is_alphabetic() && c != UNKNOWN) && !sounds.contains(UNKNOWN);
    if !has_letters {
        out.extend(sounds.chars().chain(token.text.chars()).find_map(pause));
    } else if is_said {
        out.push_str(&to_ipa(sounds));
    } else {
        out.push_str(&to_ipa(&spell(&token.text)));
    }
    if !token.whitespace.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Punctuation that the voice knows as a pause or a tune.
fn pause(c: char) -> Option<char> {
    match c {
        '.' | ',' | '!' | '?' | ':' | ';' => Some(c),
        '—' | '–' => Some(','),
        '…' => Some('.'),
        _ => None,
    }
}

/// From the alphabet of `misaki` to IPA as eSpeak writes American English, which the voice was trained on.
fn to_ipa(sounds: &str) -> String {
    let mut out = String::with_capacity(sounds.len() * 2);
    for (i, word) in sounds.split(' ').enumerate() {
        if i > 0 {
            out.push(' ');
        }
        push_word(word, &mut out);
    }
    out
}

fn push_word(word: &str, out: &mut String) {
    let signs: Vec<char> = word.chars().collect();
    let mut stressed = false;
    for (i, &c) in signs.iter().enumerate() {
        let next = signs.get(i + 1).copied();
        let marked = i > 0 && matches!(signs[i - 1], 'ˈ' | 'ˌ');
        stressed |= marked;
        match c {
            'A' => out.push_str("eɪ"),
            'I' => out.push_str("aɪ"),
            'O' | 'Q' => out.push_str("oʊ"),
            'W' => out.push_str("aʊ"),
            'Y' => out.push_str("ɔɪ"),
            'ʤ' => out.push_str("dʒ"),
            'ʧ' => out.push_str("tʃ"),
            'ᵊ' => out.push('ə'),
            'T' => out.push('ɾ'),
            'g' => out.push('ɡ'),
            'r' => out.push('ɹ'),
            // r after these vowels is part of them.
            'ɜ' if next == Some('ɹ') => out.push_str("ɜː"),
            'ə' if next == Some('ɹ') => out.push('ɚ'),
            'ɹ' if i > 0 && matches!(signs[i - 1], 'ɜ' | 'ə') => {
                // Before a vowel it is heard once more: "hurry", "camera".
                if next.is_some_and(|c| is_vowel(c) || matches!(c, 'ˈ' | 'ˌ')) {
                    out.push('ɹ');
                }
            }
            'ɔ' if next == Some('ɹ') => out.push_str("oː"),
            'ɔ' => out.push_str("ɔː"),
            'ɑ' => out.push_str("ɑː"),
            'u' => out.push_str("uː"),
            // Long, except for the weak end of "happy" and before another vowel.
            'i' if !marked && stressed && (next.is_none() || next.is_some_and(is_vowel)) => out.push('i'),
            'i' => out.push_str("iː"),
            c if c == UNKNOWN => {}
            c => out.push(c),
        }
    }
}

fn is_vowel(c: char) -> bool {
    "AIOQWYæɑɒɔəɛɜɪʊʌiuᵻᵊɐ".contains(c)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static PHONEMISER: LazyLock<Phonemiser> = LazyLock::new(Phonemiser::load);
    const VOWELS: &str = "aeiouæɑɐɔəɚɛɜɪʊʌᵻ";

    const NAMES: &str = "Congress Barton Pecan Pflugerville Mueller Manchaca Guadalupe Xochitl Zilker Austin Travis \
        Lamar Burnet Koenig Anderson Slaughter Oltorf Riverside Cesar Chavez Rainey Brazos Colorado Lavaca Nueces Rio \
        Grande Pearl Enfield Windsor Exposition Bouldin Travis Heights Clarksville Hyde Park Cherrywood Allandale \
        Crestview Brentwood Dripping Springs Lakeway Bee Cave Rollingwood Westlake Tarrytown Bastrop Buda Kyle Hutto \
        Leander Elgin Lockhart Luling Gruene Boerne Bexar Waxahachie Nacogdoches Refugio Mexia Palacios Schertz \
        Balcones Menchaca Tecumseh Ouachita Schuylkill Poughkeepsie Worcester Natchitoches Kissimmee Okeechobee \
        Wichita Albuquerque Tucson Mojave Sequoia Ypsilanti Kalamazoo Oconomowoc Skokie Cheboygan Puyallup Sequim \
        Spokane Yakima Tulalip Snohomish Quijano Nguyen Szczepanski O'Shaughnessy McAllister Ng Xu Zhang Hrbek \
        qwrtz xvbnm Brxly zzyzx Aeiou Kgthx ptfk Wmwm Yttrbx HOA MLS HVAC ADU TREC IDX REO PMI APR";

    #[test]
    fn no_name_is_dropped() {
        for name in NAMES.split_whitespace() {
            let said = PHONEMISER.sounds(name);
            assert!(said.contains(|c| VOWELS.contains(c)), "{name}: {said:?}");
            let sentence = PHONEMISER.sounds(&format!("It is on {name} Street, near {name}."));
            let words = sentence.split(' ').filter(|word| word.contains(|c| VOWELS.contains(c))).count();
            assert!(words >= 7, "{name} was dropped from its sentence: {sentence:?}");
        }
    }

    #[test]
    fn hyphens_and_odd_words_in_a_text_are_said() {
        for (text, least) in [
            ("a Zilkerish-style home", 4),
            ("two-story", 1),
            ("the Xochitl's pool", 3),
            ("Zhqwk and Pflugerville", 3),
            ("AC and W D", 4),
            ("unit four B", 3),
            ("ten thirty AM", 3),
        ] {
            let said = PHONEMISER.sounds(text);
            let words = said.split([' ', '-']).filter(|word| word.contains(|c| VOWELS.contains(c))).count();
            assert!(words >= least, "{text}: {said:?}");
            assert!(!said.contains(UNKNOWN), "{text}: {said:?}");
        }
    }

    #[test]
    fn known_words_sound_as_the_voice_expects() {
        for (text, sounds) in [
            ("church", "tʃˈɜːtʃ"),
            ("happy", "hˈæpi"),
            ("see", "sˈiː"),
            ("four", "fˈoːɹ"),
            ("house", "hˈaʊs"),
            ("water", "wˈɔːɾɚ"),
            ("judge", "dʒˈʌdʒ"),
        ] {
            assert_eq!(PHONEMISER.sounds(text), sounds, "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(300))]

        #[test]
        fn whatever_is_speakable_has_sounds_and_nothing_panics(text in "([A-Za-z]{1,9}[-',.:;!? ]{0,2}){1,6}|\\PC{0,20}") {
            let text = crate::text::speakable::speakable(&text);
            let said = PHONEMISER.sounds(&text);
            proptest::prop_assert!(!said.contains(UNKNOWN), "{:?} from {:?}", said, text);
            let words = text.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).count();
            let spoken = said.split(' ').filter(|word| word.contains(|c| VOWELS.contains(c))).count();
            // A word may be said as several, and some are a consonant only; none of a text may fall silent.
            proptest::prop_assert!(words == 0 || spoken > 0, "{:?} from {:?}", said, text);
        }
    }

    #[test]
    fn punctuation_stays_where_it_was() {
        let said = PHONEMISER.sounds("Yes, it is. Is it?");
        assert!(said.ends_with('?') && said.contains(',') && said.contains('.'), "{said:?}");
        assert_eq!(PHONEMISER.sounds(""), "");
    }
}
