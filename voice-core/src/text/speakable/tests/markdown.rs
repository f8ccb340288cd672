//! Layout.

use super::Cases;

pub(super) const CASES: Cases = &[
    ("**Great** news", "Great news"),
    ("*Great* _news_ `now`", "Great news now"),
    ("# Homes\n\nThree found", "Homes. Three found"),
    ("Here:\n- A pool\n- A garage", "Here: A pool. A garage."),
    ("1. First home\n2. Second home", "First home. Second home."),
    ("See [the listing](https://example.com/1)", "See the listing"),
    ("one line\nthe same sentence", "one line the same sentence"),
    ("| Price | Beds |\n|---|---|\n| $500,000 | 3 |", "Price, Beds. five hundred thousand dollars, three."),
    ("__bold__ and ***both***", "bold and both"),
    ("~~gone~~", "gone"),
    ("## Heading 2 ##", "Heading two."),
    ("1) one\n2) two", "one. two."),
    ("- [ ] call\n- [x] done", "call. done."),
    ("> quote", "quote."),
    ("![a pool](https://example.com/a.png)", "a pool"),
    ("[the listing][1]", "the listing"),
    ("see[^1] this", "see this"),
    ("```\n3 homes\n```", "three homes"),
    ("**3bd/2ba**", "three bedrooms, two baths"),
    ("**Price:** $525,000", "Price: five hundred twenty five thousand dollars"),
    ("text\n---\nmore", "text. more"),
    ("<b>bold</b><br>line", "bold, line"),
    ("a&nbsp;b &amp; c", "a b and c"),
    ("\\*not\\*", "not"),
    ("• Pool\n• Spa", "Pool. Spa."),
    ("- Pool 🏊\n- Spa! 🎉", "Pool. Spa!"),
    ("→ next", "next."),
    (
        "1. **Oak Haven** – $450,000\n2. **Elm Court** – $475,000",
        "Oak Haven, four hundred fifty thousand dollars. Elm Court, four hundred seventy five thousand dollars.",
    ),
];
