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
        ("[srving]\n", "srving"),
        ("[extra]\n[serving]\n", "extra"),
    ] {
        let error = from_toml(text).expect_err(text).to_string();
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn every_setting_refuses_a_malformed_value_by_its_name() {
    for key in KEYS {
        let wrong = match key.kind {
            Kind::Folder | Kind::File | Kind::Text | Kind::Secret | Kind::Secrets => continue,
            Kind::LogFilter => "a=b=c",
            Kind::Keys(_) => "c2hvcnQ=",
            Kind::FolderOrUrl => "ftp://example.com",
            _ => "not this!",
        };
        let error = from_env(&[(key.env, wrong)]).expect_err(key.env).to_string();
        assert!(error.contains(key.env), "{error}");
        assert!(!error.contains(wrong), "the value is shown: {error}");
    }
}

#[test]
fn a_list_without_any_provider_of_this_version_is_refused_by_its_name() {
    for (name, list, has) in [
        ("VOICE_STT", "deepgram,openai", "local"),
        ("VOICE_LLM", "openai", "concierge"),
        ("VOICE_TTS", "elevenlabs", "local"),
    ] {
        let error = from_env(&[(name, list)]).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(has), "{error}");
    }
    let error = from_toml("[providers]\ntts = ['elevenlabs']\n").expect_err("none").to_string();
    assert!(error.contains("providers.tts"), "{error}");
}

#[test]
fn what_of_a_list_is_not_there_is_told() {
    let config = from_env(&[("VOICE_STT", "deepgram,local"), ("VOICE_LLM", "concierge")]).expect("sound");
    let [note] = config.notes.as_slice() else { panic!("{:?}", config.notes) };
    assert!(
        note.contains("VOICE_STT") && note.contains("deepgram") && note.contains("local serves"),
        "{note}"
    );
}

#[test]
fn a_server_of_ones_own_may_hear_and_answer_without_a_key() {
    let base = ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    let lists = [("VOICE_STT", "openai"), ("VOICE_LLM", "openai")];
    let config = from_env(&[base, lists[0], lists[1], ("OPENAI_STT_MODEL", "small")]).expect("sound");
    assert_eq!((config.order(Stage::Stt), config.order(Stage::Llm)), (vec!["openai"], vec!["openai"]));
    assert!(config.notes.is_empty(), "{:?}", config.notes);
    assert_eq!((config.openai.stt_model.as_deref(), config.openai.model), (Some("small"), None));
    let error = from_env(&lists[..1]).expect_err("neither key nor address").to_string();
    assert!(error.contains("openai, which needs OPENAI_API_KEY or OPENAI_BASE_URL"), "{error}");
}

#[test]
fn a_language_that_the_local_models_do_not_speak_is_told() {
    for (language, told) in [("en", false), ("en-GB", false), ("EN", false), ("de", true), ("eng", true)] {
        let config = from_env(&[("VOICE_LANGUAGE", language)]).expect("sound");
        assert_eq!(config.notes.iter().any(|note| note.contains("VOICE_LANGUAGE")), told, "{language}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_refused_by_its_name() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let odd = || OsString::from_vec(vec![0xff]);
    for (name, refused) in
        [("VOICE_BIND", true), ("DATABASE_URL", true), ("VOICE_NEW", true), ("EDITOR", false)]
    {
        match sources::texts([(OsString::from(name), odd())]) {
            Ok(texts) => assert!(!refused && texts.is_empty(), "{name}"),
            Err(error) => assert!(refused && error.to_string().contains(name), "{error}"),
        }
    }
    let name = OsString::from_vec(b"VOICE_\xff".to_vec());
    assert!(matches!(sources::texts([(name, odd())]), Err(ConfigError::UnknownVariable { .. })));
    let flags = Flags { data: Some(PathBuf::from(odd())), ..Flags::default() };
    let error = Config::from_sources(&flags, [], []).expect_err("no text").to_string();
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn an_address_needs_a_real_host() {
    for (value, sound) in [
        ("http://:", false),
        ("http://:80", false),
        ("http://", false),
        ("http://u:p@:80/x", false),
        ("http://host:", false),
        ("http://host:0", false),
        ("http://host:+1", false),
        ("http://host:70000", false),
        ("http://-", false),
        ("http://[::1", false),
        ("http://[host]", false),
        ("http://[::1]x", false),
        ("http://h?q", true),
        ("https://u:p@api.example.com:8443/v1", true),
        ("http://[::1]:80/", true),
        ("http://127.0.0.1", true),
    ] {
        assert_eq!(from_env(&[("MLS_BASE_URL", value)]).is_ok(), sound, "{value}");
    }
    assert!(from_env(&[("DATABASE_URL", "postgres://u:p@a:5432,b:5432/d")]).is_ok());
    assert!(from_env(&[("VOICE_ALLOWED_ORIGINS", "http://:80")]).is_err());
    assert!(from_env(&[("VOICE_MODELS_URL", "file:///srv/weights")]).is_ok());
    assert!(from_env(&[("VOICE_MODELS_URL", "https://:")]).is_err());
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
        ("VOICE_AUTH_SECRET", "a secret that is long enough for it", false),
        ("OPENAI_API_KEY", "k", true),
        ("REDIS_URL", "redis://h", true),
    ] {
        assert_eq!(from_env(&[(name, value)]).expect(name).is_unconfigured(), unconfigured, "{name}");
    }
}

#[test]
fn what_is_given_and_not_used_is_told() {
    let config = from_env(&[("TWILIO_FROM", "+1"), ("VOICE_LANGUAGE", "en")]).expect("sound");
    assert_eq!(config.unused, ["TWILIO_FROM"]);
}

#[test]
fn debug_output_holds_no_secret() {
    let secret = "hush, and that for thirty-two letters";
    let config = from_env(&[("VOICE_AUTH_SECRET", secret), ("DATABASE_URL", "postgres://u:hush@h/d")]);
    assert!(!format!("{:?}", config.expect("sound")).contains("hush"));
}

#[test]
fn origins_are_bare_and_compared_in_lower_case() {
    let config = from_env(&[("VOICE_ALLOWED_ORIGINS", "https://Example.com, http://a.b:81")]).expect("sound");
    assert_eq!(config.allowed_origins, ["https://example.com", "http://a.b:81"]);
    for wrong in ["https://example.com/", "https://example.com/x", "example.com", "*", "ftp://a"] {
        assert!(from_env(&[("VOICE_ALLOWED_ORIGINS", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn a_secret_that_is_too_short_to_sign_with_is_refused_by_name_with_what_to_do_and_not_shown() {
    for name in ["VOICE_AUTH_SECRET", "SUPABASE_JWT_SECRET"] {
        for short in ["hush", &"x".repeat(31)] {
            let error = from_env(&[(name, short)]).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("32") && error.contains("openssl"), "{error}");
            assert!(!error.contains(short), "{error}");
        }
        assert!(from_env(&[(name, &"x".repeat(32))]).is_ok(), "{name}");
        assert!(from_env(&[(name, " ")]).is_ok(), "{name} is unset");
    }
    // What signed before, however short, still counts while it is listed.
    assert!(from_env(&[("VOICE_AUTH_PREVIOUS_SECRETS", "hush")]).is_ok());
}
