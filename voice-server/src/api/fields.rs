//! The body of a request as a JSON object whose fields are taken one by one, so that each fault is told by its field.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::http::Problem;

/// The fields of a body that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; an empty one has no fields.
    ///
    /// # Errors
    /// 400 for what is no JSON object.
    pub(crate) fn parse(body: &Bytes) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let malformed = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail);
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(malformed("the body must be a JSON object")),
            Err(_) => Err(malformed("the body is no JSON")),
        }
    }

    /// To be asked when every field was taken.
    ///
    /// # Errors
    /// 422 for a field that nobody took: it would be ignored, and its sender believe otherwise.
    pub(crate) fn nothing_else(&self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(Problem::bad_value(name, "there is no such field here, or it cannot be changed"))
            }
        }
    }

    /// A text; `null` counts as absent.
    ///
    /// # Errors
    /// 422 for what is no text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::bad_value(name, format!("{name} must be a text"))),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// 422 for what is absent or no text.
    pub(crate) fn needed(&mut self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| Problem::bad_value(name, format!("{name} is missing")))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn maybe_switch(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.switch(name).map(Some),
        }
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().filter(|n| (least..=most).contains(n)).map(Some).ok_or_else(|| {
                Problem::bad_value(name, format!("{name} must be a whole number from {least} to {most}"))
            }),
        }
    }

    /// An object of at most `limit` bytes of JSON.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn object(
        &mut self,
        name: &'static str,
        limit: usize,
    ) -> Result<Option<Map<String, Value>>, Problem> {
        let bad =
            || Problem::bad_value(name, format!("{name} must be an object of at most {limit} bytes of JSON"));
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => {
                let text = serde_json::to_string(&object).map_err(|_| bad())?;
                // Postgres keeps no NUL in JSON.
                if text.len() > limit || text.contains("\\u0000") { Err(bad()) } else { Ok(Some(object)) }
            }
            Some(_) => Err(bad()),
        }
    }

    /// A list of at most `most` texts.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn texts(&mut self, name: &'static str, most: usize) -> Result<Vec<String>, Problem> {
        let bad = || Problem::bad_value(name, format!("{name} must be a list of at most {most} texts"));
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) if values.len() <= most => {
                values.into_iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(bad)).collect()
            }
            Some(_) => Err(bad()),
        }
    }

    /// `true` or `false`; absent means false.
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn switch(&mut self, name: &'static str) -> Result<bool, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(_) => Err(Problem::bad_value(name, format!("{name} must be true or false"))),
        }
    }
}
