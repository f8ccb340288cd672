//! Settings from their sources: precedence, refusals by name, silence about secrets.

use std::io::Write as _;

use super::keys::{KEYS, Kind};
use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_env(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_sources(&Flags::default(), [], pairs(environment))
}

/// A file that is gone when the value is dropped.
struct Written(PathBuf);

impl Written {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("voice-config-{}.toml", Uuid::new_v4()));
        let mut file = std::fs::File::create(&path).expect("a temporary file");
        file.write_all(text.as_bytes()).expect("written");
        Self(path)
    }

    fn flags(&self) -> Flags {
        Flags { config: Some(self.0.clone()), ..Flags::default() }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn from_toml(text: &str) -> Result<Config, ConfigError> {
    Config::from_sources(&Written::new(text).flags(), [], [])
}

#[test]
fn without_anything_the_defaults_hold_and_the_server_is_unconfigured() {
    let config = from_env(&[]).expect("defaults");
    assert_eq!(config.bind.to_string(), "127.0.0.1:8000");
    assert!(config.is_unconfigured());
}

#[test]
fn flags_win_over_environment_over_dotenv_over_file() {
    let file = Written::new("[serving]\nbind = '127.0.0.1:1'\nlanguage = 'fr'\nmax_calls = 7\ndata = 'a'\n");
    let flags = Flags { bind: Some("127.0.0.1:4".into()), ..file.flags() };
    let dotenv = pairs(&[("VOICE_BIND", "127.0.0.1:2"), ("VOICE_LANGUAGE", "de"), ("VOICE_DATA", "b")]);
    let env = pairs(&[("VOICE_BIND", "127.0.0.1:3"), ("VOICE_DATA", "c")]);
    let config = Config::from_sources(&flags, dotenv, env).expect("sound");
    assert_eq!(
        (config.bind.port(), config.data, config.language.as_str(), config.max_calls),
        (4, PathBuf::from("c"), "de", 7)
    );
}

#[test]
fn an_unknown_voice_variable_stops_the_start_by_its_name_and_others_do_not() {
    let error = from_env(&[("VOICE_BNID", "127.0.0.1:1")]).expect_err("unknown").to_string();
    assert!(error.contains("VOICE_BNID") && error.contains("did you mean VOICE_BIND?"), "{error}");
    assert!(from_env(&[("VOICES", "x"), ("ELEVENLABS_WHATEVER", "x"), ("PATH", "/")]).is_ok());
}

#[test]
fn an_unknown_variable_in_dotenv_stops_the_start_too() {
    let found = Config::from_sources(&Flags::default(), pairs(&[("VOICE_NEW", "1")]), []);
    assert!(matches!(found, Err(ConfigError::UnknownVariable { name, .. }) if name == "VOICE_NEW"));
}

#[test]
fn unknown_toml_keys_and_sections_stop_the_start_by_their_names() {
    for (text, name) in [
        ("[serving]\nbindd = '127.0.0.1:1'\n", "serving.bindd"),
        ("bind = '127.0.0.1:1'\n", "bind"),
        ("[srving]\nbind = '127.0.0.1:1'\n", "srving.bind"),
    ] {
        let error = from_toml(text).expect_err(text).to_string();
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn every_setting_refuses_a_malformed_value_by_its_name() {
    for key in KEYS {
        let wrong = match key.kind {
            Kind::Folder | Kind::Text | Kind::Secret => continue,
            Kind::LogFilter => "a=b=c",
            Kind::FolderOrUrl => "ftp://example.com",
            _ => "not this!",
        };
        let error = from_env(&[(key.env, wrong)]).expect_err(key.env).to_string();
        assert!(error.contains(key.env), "{error}");
        assert!(!error.contains(wrong), "the value is shown: {error}");
    }
}

#[test]
fn a_toml_value_of_the_wrong_type_is_malformed() {
    for text in ["[serving]\nbind = 1.5\n", "[serving]\nbind = {a = 1}\n", "[providers]\nstt = [1]\n"] {
        assert!(matches!(from_toml(text), Err(ConfigError::Malformed { .. })), "{text}");
    }
}

#[test]
fn broken_toml_tells_the_line_and_not_its_words() {
    let error = from_toml("[openai]\n\napi_key = sk-secret\n").expect_err("no TOML").to_string();
    assert!(error.contains("line 3") && !error.contains("sk-secret"), "{error}");
}

#[test]
fn lists_come_as_arrays_or_with_commas() {
    let from_file = from_toml("[providers]\nstt = ['deepgram', 'local']\n").expect("sound");
    let from_variable = from_env(&[("VOICE_STT", "deepgram, local")]).expect("sound");
    assert_eq!(from_file.stt, Some(vec!["deepgram", "local"]));
    assert_eq!(from_variable.stt, from_file.stt);
    assert!(from_env(&[("VOICE_STT", "local,local")]).is_err(), "a provider twice");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = from_env(&[("VOICE_BIND", ""), ("VOICE_AUTH_SECRET", "  ")]).expect("sound");
    assert!(config.is_unconfigured());
}

#[test]
fn a_database_or_an_auth_secret_configures_and_a_provider_key_does_not() {
    for (name, value, unconfigured) in [
        ("SUPABASE_CONNECTION_STRING", "postgres://u:p@h/d", false),
        ("DATABASE_URL", "postgres://u:p@h/d", false),
        ("VOICE_AUTH_SECRET", "s", false),
        ("OPENAI_API_KEY", "k", true),
        ("REDIS_URL", "redis://h", true),
    ] {
        assert_eq!(from_env(&[(name, value)]).expect(name).is_unconfigured(), unconfigured, "{name}");
    }
}

#[test]
fn what_is_given_and_not_used_is_told() {
    let config = from_env(&[("OPENAI_API_KEY", "k"), ("VOICE_LANGUAGE", "en")]).expect("sound");
    assert_eq!(config.unused, ["OPENAI_API_KEY"]);
}

#[test]
fn debug_output_holds_no_secret() {
    let config = from_env(&[("VOICE_AUTH_SECRET", "hush"), ("DATABASE_URL", "postgres://u:hush@h/d")]);
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn origins_are_bare_and_compared_in_lower_case() {
    let config = from_env(&[("VOICE_ALLOWED_ORIGINS", "https://Example.com, http://a.b:81")]).expect("sound");
    assert_eq!(config.allowed_origins, ["https://example.com", "http://a.b:81"]);
    for wrong in ["https://example.com/", "https://example.com/x", "example.com", "*", "ftp://a"] {
        assert!(from_env(&[("VOICE_ALLOWED_ORIGINS", wrong)]).is_err(), "{wrong}");
    }
}
