//! The query of a request, read value by value, so that each fault is told by its field. What nobody asks for is ignored.

use hyper::http::request::Parts;
use uuid::Uuid;

use crate::data::{Cursor, Timestamp};
use crate::http::Problem;

/// Entries on one page where nothing is asked.
pub(crate) const DEFAULT_LIMIT: u32 = 20;
/// Entries on one page at most.
pub(crate) const MAX_LIMIT: u32 = 100;
/// Bytes of one value at most.
const LONGEST: usize = 500;
/// Words of a search at most.
const MOST_WORDS: usize = 10;

/// The values of a query.
#[derive(Debug)]
pub(crate) struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads a query.
    ///
    /// # Errors
    /// 422 where a name stands twice or a value is too long.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }

    fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if values.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_value(name.as_ref(), format!("{name} is given twice")));
            }
            if value.len() > LONGEST || value.contains('\0') {
                return Err(Problem::bad_value(
                    name.as_ref(),
                    format!("{name} must be at most {LONGEST} bytes of text"),
                ));
            }
            values.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(values))
    }

    /// A text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A value that `parse` understands.
    ///
    /// # Errors
    /// 422, telling what it must be.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        must_be: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Problem::bad_value(name, format!("{name} must be {must_be}")))
    }

    /// A moment.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, "a moment by RFC 3339, such as 2026-01-31T09:00:00Z", Timestamp::parse)
    }

    /// A UUID.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn id(&self, name: &'static str) -> Result<Option<Uuid>, Problem> {
        self.read(name, "a UUID", |text| Uuid::try_parse(text).ok())
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn switch(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.read(name, "true or false", |text| text.parse().ok())
    }

    /// Words to search for; a text without any is one that is nowhere.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        if !text.is_empty() && !text.contains(char::is_alphanumeric) {
            return vec![text.to_lowercase()];
        }
        let words = text
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}')))
            .filter(|word| !word.is_empty());
        words.take(MOST_WORDS).map(str::to_lowercase).collect()
    }

    /// How many entries a page has.
    ///
    /// # Errors
    /// 422 for what is no number in the range.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let must_be = format!("a whole number from 1 to {MAX_LIMIT}");
        let limit = self.read("limit", &must_be, |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        })?;
        Ok(limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// Where a list goes on.
    ///
    /// # Errors
    /// 422 for what no list gave.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        self.read("cursor", "the nextCursor of an earlier answer", Cursor::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_faults_are_told_by_their_field() {
        let asked =
            Asked::parse("q=Two%20 gardens%2C&limit=7&lead=true&from=2026-01-01T00:00:00Z&x=").expect("read");
        assert_eq!(asked.words("q"), ["two", "gardens"]);
        assert!(asked.words("none").is_empty());
        assert_eq!(Asked::parse("q=%28").expect("read").words("q"), ["("], "not the same as nothing asked");
        assert_eq!(asked.limit().ok(), Some(7));
        assert_eq!(asked.switch("lead").ok(), Some(Some(true)));
        assert!(asked.moment("from").is_ok_and(|from| from.is_some()));
        assert_eq!(asked.text("x"), None);
        for query in ["limit=0", "limit=101", "limit=x", "lead=1", "from=today", "cursor=x", "user=1"] {
            let asked = Asked::parse(query).expect("read");
            let faults = [
                asked.limit().err(),
                asked.switch("lead").err(),
                asked.moment("from").err(),
                asked.cursor().err(),
                asked.id("user").err(),
            ];
            let faults: Vec<_> = faults.into_iter().flatten().collect();
            assert_eq!(faults.len(), 1, "{query}");
            assert_eq!(faults[0].status().as_u16(), 422);
        }
        assert!(Asked::parse("a=1&a=2").is_err());
        assert!(Asked::parse(&format!("a={}", "x".repeat(501))).is_err());
    }
}
