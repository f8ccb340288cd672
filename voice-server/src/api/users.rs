//! `/api/v1/users`: who may sign in, for admins to manage.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asked::Asked;
use super::auth::not_checked;
use super::fields::Fields;
use super::once::{Once, once};
use super::{List, id_of, revision};
use crate::app::App;
use crate::auth::{Identity, Right, email};
use crate::config::Secret;
use crate::data::{Cursor, DataError, NewUser, Role, Timestamp, User, UserChange};
use crate::http::Problem;

/// Characters of a name at most.
const NAME_LIMIT: usize = 200;

/// The organization's users, newest first.
///
/// # Errors
/// The request may not read, a value of the query is malformed, or the database fails.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    params(
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of the page before"),
        ("limit" = Option<u32>, Query, description = "Entries on one page", minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "A page, newest first", body = List<User>)),
)]
pub async fn list(State(app): State<App>, who: Identity, parts: Parts) -> Result<Json<List<User>>, Problem> {
    who.may(Right::ReadUsers)?;
    let asked = Asked::of(&parts)?;
    let page = app.store.users(who.organization, asked.cursor()?, asked.limit()?).await?;
    Ok(Json(List { items: page.items, next_cursor: page.next.map(Cursor::encode) }))
}

/// What is needed to add a user.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Adding {
    /// Address by which the user signs in.
    #[schema(example = "ann@example.com")]
    email: String,
    /// For people.
    name: Option<String>,
    /// What the user may do. Default: `agent`.
    role: Option<Role>,
    /// At least 10 bytes.
    password: String,
}

/// Adds a user.
///
/// # Errors
/// The request may not, a field is malformed, the address is taken, or the database fails.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeated, it gives the first answer again")),
    request_body = Adding,
    responses(
        (status = 201, description = "Added", body = User),
        (status = 409, description = "The address is taken, or a request with this `Idempotency-Key` is being worked on"),
    ),
)]
pub async fn add(State(app): State<App>, who: Identity, parts: Parts, body: Bytes) -> Result<Once, Problem> {
    who.may(Right::ManageUsers)?;
    let mut fields = Fields::parse(&body)?;
    let address = fields.needed("email")?;
    let address = email::parse(&address)
        .ok_or_else(|| Problem::bad_value("email", "email must be an address such as ann@example.com"))?;
    let name = name(&mut fields)?.unwrap_or_default();
    let role = role(&mut fields)?.unwrap_or(Role::Agent);
    let password = fields.needed("password")?;
    once(&app, &who, &parts, &body, async {
        let hash = app.auth.passwords.hash(&password).await.map_err(not_checked)?;
        let new = NewUser {
            id: Uuid::new_v4(),
            organization_id: who.organization,
            email: address,
            name,
            role,
            password_hash: Some(Secret::new(&hash)),
            created_at: Timestamp::now(),
        };
        let user = app.store.add_user(new).await.map_err(|error| match error {
            DataError::Exists => {
                Problem::new(StatusCode::CONFLICT, "email_taken", "a user with this email exists")
            }
            other => other.into(),
        })?;
        Ok((StatusCode::CREATED, json!(user)))
    })
    .await
}

/// What is to be changed of a user; absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described; the fields are read one by one, each fault by its name")]
pub(crate) struct Changing {
    /// Another name.
    name: Option<String>,
    /// Another role. It holds at once: access tokens of before are refused, and refreshing gives one of the new role.
    role: Option<Role>,
    /// Whether signing in is refused. Ends all of the user's sign-ins.
    disabled: Option<bool>,
    /// Another password. Ends all of the user's sign-ins.
    password: Option<String>,
}

/// Changes a user.
///
/// # Errors
/// The request may not, a field is malformed, somebody else changed it meanwhile, or the database fails.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(
        ("id" = Uuid, Path, description = "The user"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the change was made from"),
    ),
    request_body = Changing,
    responses(
        (status = 200, description = "As the user is now", body = User),
        (status = 404, description = "There is none, or it is another organization's"),
        (status = 409, description = "It would leave the organization without an admin, or takes one's own admin rights away"),
        (status = 412, description = "Somebody else changed it meanwhile"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    who.may(Right::ManageUsers)?;
    let unknown = || Problem::not_found("there is no such user");
    let id = id_of(id).ok_or_else(unknown)?;
    let mut fields = Fields::parse(&body)?;
    let (name, role, disabled) = (name(&mut fields)?, role(&mut fields)?, fields.maybe_switch("disabled")?);
    let password = fields.text("password")?;
    fields.nothing_else()?;
    if who.user == Some(id) && (disabled == Some(true) || role.is_some_and(|role| role != Role::Admin)) {
        return Err(last_admin("nobody can take his own admin rights away; let another admin do it"));
    }
    let password_hash = match password {
        Some(password) => Some(Secret::new(&app.auth.passwords.hash(&password).await.map_err(not_checked)?)),
        None => None,
    };
    let expected = revision::expected(&parts.headers)?;
    let before = app.store.user(who.organization, id).await?.ok_or_else(unknown)?;
    let takes_away = password_hash.is_some()
        || role.is_some_and(|role| role != before.role)
        || disabled.is_some_and(|disabled| disabled != before.disabled);
    // Supabase's tokens say who is an admin.
    let may_end_admins = app.auth.supabase.is_some();
    let change = UserChange { name, role, disabled, password_hash, may_end_admins };
    let user = app.store.change_user(who.organization, id, change, expected).await;
    let user = user.map_err(|error| match error {
        DataError::NotFound => unknown(),
        other => other.into(),
    })?;
    if takes_away {
        // Access tokens of before say another role, or that there is a sign-in.
        app.auth.denials.deny_before(user.id, user.revision).await;
    }
    Ok(revision::with_revision(&user, user.revision))
}

/// Deletes a user. Every sign-in of the user ends at once; conversations stay, as nobody's.
///
/// # Errors
/// The request may not, there is no such user, it is oneself, or the database fails.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = Uuid, Path, description = "The user")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "There is none, or it is another organization's"),
        (status = 409, description = "It is oneself, or the last admin; or users also come by Supabase's tokens, which would make them \
                                      again: bar them"),
    ),
)]
pub async fn remove(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    who: Identity,
) -> Result<StatusCode, Problem> {
    who.may(Right::ManageUsers)?;
    let unknown = || Problem::not_found("there is no such user");
    let id = id_of(id).ok_or_else(unknown)?;
    if who.user == Some(id) {
        return Err(last_admin("nobody can delete himself; let another admin do it"));
    }
    if app.auth.supabase.is_some() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "comes_back",
            "a token of Supabase would make the user again; bar the user here with `disabled`, and delete there",
        ));
    }
    app.store.remove_user(who.organization, id).await.map_err(|error| match error {
        DataError::NotFound => unknown(),
        other => other.into(),
    })?;
    // No revision comes after it.
    app.auth.denials.deny_before(id, i64::MAX).await;
    Ok(StatusCode::NO_CONTENT)
}

fn last_admin(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "last_admin", detail)
}

fn name(fields: &mut Fields) -> Result<Option<String>, Problem> {
    let name = fields.text("name")?;
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_LIMIT || name.contains('\0')) {
        return Err(Problem::bad_value("name", format!("name must have at most {NAME_LIMIT} characters")));
    }
    Ok(name)
}

fn role(fields: &mut Fields) -> Result<Option<Role>, Problem> {
    let Some(word) = fields.text("role")? else { return Ok(None) };
    let bad = || Problem::bad_value("role", "role must be admin, agent or viewer");
    Role::parse(&word).map(Some).ok_or_else(bad)
}
