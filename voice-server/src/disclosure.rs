//! What a greeted caller is told first: that a machine answers.
//!
//! An organization's own words come before everything. Without them the region decides whether something must be said, and
//! the language of the calls in which words. A region that is not set asks for nothing. The table is a default to
//! start from, with the rules that it is made from; it is no legal advice. Pure. Caller: whoever puts the greeting together.

use crate::data::OrganizationSettings;

/// What is said first in a greeted call of this organization, in the language of its calls; `None`: nothing.
pub fn first_words(settings: &OrganizationSettings, language: &str) -> Option<String> {
    if let Some(own) = settings.disclosure.as_deref().map(str::trim).filter(|own| !own.is_empty()) {
        return Some(own.to_owned());
    }
    let region = settings.region.as_deref()?.trim();
    if region.is_empty() {
        return None;
    }
    let [plain, polite] = words(language);
    Some(if is_required(region) { plain } else { polite }.to_owned())
}

/// Where a caller is told in clear words, by the ISO 3166 code of the country or its part: where a law asks for it, or makes him
/// safe who does. Read on 2026-11-27 in copies of the laws and in what lawyers wrote about them; check them before you rely
/// on them.
///
/// - US-CA: Business and Professions Code, section 17941, since 2019-07-01. It forbids a bot that misleads about what it is in
///   order to sell, "online"; whether that is a telephone call is not settled. Who tells is safe.
/// - US-UT: Utah Code 13-77-103, since 2025-05-07 (numbered 13-75-103 when it was enacted; the first such law, of
///   2024-05-01, stood in 13-2-12). A machine tells when it is clearly asked; in a regulated occupation, which a real estate
///   licence is, at the start of the call where the interaction is one of high risk. Who tells at the start is safe: 13-77-104.
/// - US-ME: 10 MRS section 1500-DD (Public Law 2025, chapter 294), chatbots in trade, spoken ones too. In force since late
///   September 2025: sources have the 23rd or the 24th.
/// - EU members, and Iceland, Liechtenstein, Norway: Regulation (EU) 2024/1689, article 50(1), since 2026-08-02; the amendments of
///   2026 did not put it off. That it applies in those three, which needs a decision of the EEA, could not be confirmed.
/// - KR: the AI Basic Act, article 31(1), since 2026-01-22.
fn is_required(region: &str) -> bool {
    let region = region.to_ascii_uppercase();
    let country = region.split('-').next().unwrap_or_default();
    PARTS.contains(&region.as_str()) || COUNTRIES.contains(&country)
}

const PARTS: &[&str] = &["US-CA", "US-ME", "US-UT"];
const COUNTRIES: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "EU", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "KR", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// In clear words, and politely; English where there are none of a language.
fn words(language: &str) -> [&'static str; 2] {
    match language.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "de" => [
            "Sie sprechen mit einem automatischen Assistenten, einer künstlichen Intelligenz.",
            "Hier spricht der automatische Assistent des Büros.",
        ],
        "es" => [
            "Está hablando con un asistente automático, una inteligencia artificial.",
            "Le atiende el asistente automático de la oficina.",
        ],
        "fr" => [
            "Vous parlez avec un assistant automatique, une intelligence artificielle.",
            "L'assistant automatique de l'agence vous répond.",
        ],
        "it" => [
            "Sta parlando con un assistente automatico, un'intelligenza artificiale.",
            "Le risponde l'assistente automatico dell'agenzia.",
        ],
        "nl" => [
            "U spreekt met een automatische assistent, een kunstmatige intelligentie.",
            "U spreekt met de automatische assistent van het kantoor.",
        ],
        "pt" => [
            "Está a falar com um assistente automático, uma inteligência artificial.",
            "Quem atende é o assistente automático do escritório.",
        ],
        _ => [
            "You are talking with an automated assistant, an artificial intelligence.",
            "This is the office's automated assistant.",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(region: Option<&str>, own: Option<&str>, language: &str) -> Option<String> {
        let settings = OrganizationSettings {
            region: region.map(str::to_owned),
            disclosure: own.map(str::to_owned),
            ..OrganizationSettings::default()
        };
        first_words(&settings, language)
    }

    #[test]
    fn ones_own_words_come_first_then_the_regions_in_the_language_of_the_calls() {
        assert_eq!(said(None, None, "en"), None);
        assert_eq!(said(Some(" "), Some(" "), "en"), None);
        assert_eq!(
            said(Some("US-CA"), Some(" I am Ada, a robot. "), "en").as_deref(),
            Some("I am Ada, a robot.")
        );
        for (region, language, expected) in [
            ("US-CA", "en", "artificial intelligence"),
            ("us-ca", "en-US", "artificial intelligence"),
            ("US-UT", "es-MX", "inteligencia artificial"),
            ("DE-BY", "de", "künstlichen Intelligenz"),
            ("FR", "fr-FR", "intelligence artificielle"),
            ("NO", "nb", "artificial intelligence"),
            ("US-TX", "en", "automated assistant"),
            ("US-TX", "de", "automatische Assistent"),
            ("GB", "en", "automated assistant"),
        ] {
            let told = said(Some(region), None, language).expect(region);
            assert!(told.contains(expected), "{region}, {language}: {told}");
            assert_eq!(is_required(region), told.contains("ntel"), "{region}");
        }
    }
}
