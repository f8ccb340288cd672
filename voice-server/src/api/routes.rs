//! Every route of the REST surface with its description.

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::openapi::{self, Document};
use super::{
    agents, auth, calls, conversations, health, keys, metrics, organization, properties, recordings, users,
};
use crate::app::App;

/// What is described and what is served are one list.
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::set_up))
        .routes(routes!(auth::ticket))
        .routes(routes!(auth::profile))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::change, users::remove))
        .routes(routes!(organization::one, organization::change))
        .routes(routes!(keys::list, keys::make))
        .routes(routes!(keys::revoke))
        .routes(routes!(conversations::list, conversations::open))
        .routes(routes!(conversations::one, conversations::change))
        .routes(routes!(conversations::write))
        .routes(routes!(calls::list))
        .routes(routes!(calls::end))
        .routes(routes!(calls::say))
        .routes(routes!(calls::attend))
        .routes(routes!(properties::list))
        .routes(routes!(properties::one))
        .routes(routes!(agents::performance))
        .routes(routes!(recordings::one))
        .routes(routes!(recordings::erase))
        .routes(routes!(health::report))
}

/// The routes, with the document that describes them.
pub(crate) fn routes() -> Router<App> {
    let (router, document) = described().split_for_parts();
    let document = Document::of(&openapi::complete(document));
    let docs = Router::new()
        .route("/api/openapi.json", get(openapi::json))
        .with_state(document)
        .route("/api/docs", get(openapi::page))
        .route("/api/docs/docs.js", get(openapi::script))
        .route("/api/docs/docs.css", get(openapi::style));
    router
        .merge(docs)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::report))
}
