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
