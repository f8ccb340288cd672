//! The OpenAPI document, generated from the handlers, and a page that shows it.
//!
//! What every answer may be besides its own is added here once: the problems, by status. Callers: `api::routes`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Serialize;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

/// What is said of the whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Voice",
        description = "Conversations, listings, people and figures of the voice platform. Errors are problem documents \
                       (RFC 9457) with a stable `code`. Lists are `{items, nextCursor}`. 401 means exactly that the access \
                       token is missing or expired: refresh it and repeat the request.",
    ),
    components(schemas(ProblemDocument))
)]
struct Whole;

/// An error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemDocument {
    /// Stable, for programs.
    #[schema(example = "invalid_value")]
    code: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// A sentence for people.
    detail: String,
    /// The value that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Joins the error with the server's log.
    correlation_id: Option<String>,
}

/// The document before the handlers are added.
pub(crate) fn base() -> OpenApi {
    let mut document = Whole::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(
        Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An access token, or an organization's secret key (`sk_…`) or publishable key (`pk_…`)",
            ))
            .build(),
    );
    components.add_security_scheme("bearer", bearer);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("voice_session")));
    components.add_security_scheme("cookie", cookie);
    document
}

/// Adds to every operation what any answer may be, and who may ask.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let is_public = PUBLIC.contains(&path.as_str());
        let has_id = path.contains('{');
        for operation in operations(item) {
            let takes_body = operation.request_body.is_some();
            for (status, said) in COMMON {
                let applies = match *status {
                    "401" | "403" => !is_public,
                    "404" => has_id,
                    "413" => takes_body,
                    _ => true,
                };
                if applies && !operation.responses.responses.contains_key(*status) {
                    operation.responses.responses.insert((*status).to_owned(), problem(said));
                }
            }
            // Errors told by their own words are problems too.
            for (status, response) in &mut operation.responses.responses {
                if status.starts_with(['4', '5'])
                    && let RefOr::T(response) = response
                    && response.content.is_empty()
                {
                    *response = with_problem(&response.description);
                }
            }
            if !is_public {
                let any = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
                operation.security = Some(vec![any("bearer"), any("cookie")]);
            }
            tidy(operation);
        }
    }
    document
}

/// Addresses that need no sign-in.
const PUBLIC: [&str; 7] = [
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/auth/setup",
    "/api/v1/recordings/{id}",
    "/health",
    "/api/openapi.json",
];

/// What any answer may be.
const COMMON: &[(&str, &str)] = &[
    ("400", "The request cannot be read, such as malformed JSON"),
    ("401", "The access token is missing or expired: refresh it and repeat the request"),
    ("403", "Signed in, but this is not allowed"),
    ("404", "There is no such thing, or it is another organization's"),
    ("413", "The body is larger than 1 MiB"),
    ("422", "A value is not what it must be; `field` names it"),
    ("429", "Too many requests; see `Retry-After`"),
    ("500", "Something went wrong here; the log has the details"),
    ("503", "Something that is needed does not answer; see `Retry-After`"),
];

fn problem(said: &str) -> RefOr<utoipa::openapi::Response> {
    RefOr::T(with_problem(said))
}

fn with_problem(said: &str) -> utoipa::openapi::Response {
    let schema = RefOr::Ref(Ref::from_schema_name("ProblemDocument"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(said).content("application/problem+json", content).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all =
        [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete, &mut item.head];
    all.into_iter().filter_map(Option::as_mut)
}

/// Gives an operation a name of its own, leaves out what is written for readers of the code, and says that a parameter may
/// be absent, but never `null`: there is no such thing in an address or a header.
fn tidy(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
    if let Some(id) = &mut operation.operation_id {
        *id = format!("{tag}.{id}");
    }
    if let Some(text) = &mut operation.description {
        let shown = text.split("# Errors").next().unwrap_or_default().trim().to_owned();
        *text = shown;
    }
    operation.description.take_if(|text| text.is_empty());
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match &mut parameter.schema {
            Some(RefOr::T(Schema::Object(object))) => {
                if let SchemaType::Array(types) = &mut object.schema_type {
                    types.retain(|one| *one != Type::Null);
                    if let [one] = types.as_slice() {
                        object.schema_type = SchemaType::Type(one.clone());
                    }
                }
            }
            Some(RefOr::T(Schema::OneOf(one_of))) => {
                one_of.items.retain(|item| !matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null)));
            }
            _ => {}
        }
    }
}

/// The document as JSON, written once.
#[derive(Clone)]
pub(crate) struct Document(Arc<str>);

impl Document {
    pub(crate) fn of(document: &OpenApi) -> Self {
        // Nothing in the document can fail to be JSON.
        Self(document.to_json().unwrap_or_default().into())
    }
}

/// `GET /api/openapi.json`.
pub(crate) async fn json(State(document): State<Document>) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], document.0.to_string())
        .into_response()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")], text)
        .into_response()
}

/// `GET /api/docs`: the document for people.
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("docs/index.html"))
}

/// The page's program.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("docs/docs.js"))
}

/// The page's looks.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("docs/docs.css"))
}
