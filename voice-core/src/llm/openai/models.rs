//! The list of models behind an address: whether the configured one is there, and what a local server offers.
//!
//! Read by health and `voice doctor` from [`OpenAiConfig::models_url`](super::OpenAiConfig::models_url). Whatever is in
//! the body, at most [`MOST_MODELS`] printable names come out.

use serde::Deserialize;
use serde_json::Value;

use crate::error::ProviderError;
use crate::wire::is_name;

use super::LONGEST_NAME;

/// Bytes of a list that are worth reading: hosts of many models write some hundred kilobytes.
pub const MOST_MODELS_BODY: usize = 1 << 20;
/// Models that are kept of one list; the largest hosts have some hundred.
pub const MOST_MODELS: usize = 2_048;

/// Names of the models in the body of a successful answer, in the server's order. What has no name is left out.
///
/// ```
/// use voice_core::llm::openai::models::parse_models;
/// let body = br#"{"object":"list","data":[{"id":"qwen3:4b","object":"model","created":1,"owned_by":"library"}]}"#;
/// assert_eq!(parse_models("ollama", body)?, ["qwen3:4b"]);
/// # Ok::<(), voice_core::error::ProviderError>(())
/// ```
///
/// # Errors
/// [`ProviderError::Misconfigured`] where the body is no such list: something else answers at this address.
pub fn parse_models(provider: &'static str, body: &[u8]) -> Result<Vec<String>, ProviderError> {
    #[derive(Deserialize)]
    struct List {
        /// Ollama writes null where it has none.
        data: Option<Vec<Value>>,
    }
    let list = if body.len() <= MOST_MODELS_BODY { serde_json::from_slice::<List>(body).ok() } else { None };
    let Some(list) = list else {
        let detail = "what answers at this address gives no list of models".to_owned();
        return Err(ProviderError::Misconfigured { provider, detail });
    };
    let names = list.data.unwrap_or_default().into_iter().filter_map(|model| match model.get("id") {
        Some(Value::String(name)) if is_name(name, LONGEST_NAME) => Some(name.clone()),
        _ => None,
    });
    Ok(names.take(MOST_MODELS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_order_and_what_is_none_is_left_out() {
        let body =
            br#"{"object":"list","models":[{"name":"x"}],"data":[{"id":"b"},{"id":7},{},"c",null,{"id":""},
            {"id":"a\nb"},{"id":"library/a:1","meta":{"n_ctx":4096}}]}"#;
        assert_eq!(parse_models("llama.cpp", body).expect("a list"), ["b", "library/a:1"]);
        assert!(parse_models("ollama", br#"{"object":"list","data":null}"#).expect("a list").is_empty());
    }

    #[test]
    fn what_is_no_list_is_an_error_that_repeats_nothing() {
        let long = vec![b' '; MOST_MODELS_BODY + 1];
        for body in
            [b"".as_slice(), b"<html>hush</html>", b"[\"hush\"]", br#"{"data":"hush"}"#, b"\xFF", &long]
        {
            let error = parse_models("vllm", body).expect_err("no list");
            assert!(matches!(error, ProviderError::Misconfigured { provider: "vllm", .. }));
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn a_list_without_end_is_cut() {
        let models: Vec<String> = (0..MOST_MODELS + 9).map(|n| format!(r#"{{"id":"m{n}"}}"#)).collect();
        let body = format!(r#"{{"data":[{}]}}"#, models.join(","));
        assert_eq!(parse_models("openai", body.as_bytes()).expect("a list").len(), MOST_MODELS);
    }
}
