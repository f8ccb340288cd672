//! Organizations, users, refresh tokens and keys.

use sqlx::Row as _;
use sqlx::types::Json;
use uuid::Uuid;

use super::super::super::types::{Id, Moment};
use super::super::super::{
    Accounts, Answer, ApiKey, Cursor, DataError, KeyKind, NewApiKey, NewUser, Organization,
    OrganizationChange, OrganizationSettings, Page, RefreshToken, Role, Rotation, Scope, Timestamp, User,
    UserChange, within,
};
use super::{Database, Row, Work, dialect};
use crate::config::Secret;

/// Organizations and keys in one list at most.
const MOST: i64 = 1_000;
/// Keys whose origins are read at most.
const MOST_KEYS: i64 = 10_000;

/// A SELECT of all that a record holds, with its tail.
macro_rules! of {
    (organization $tail:literal) => {
        concat!("SELECT id, name, settings, created_at, revision FROM organizations ", $tail)
    };
    (user $tail:literal) => {
        concat!(
            "SELECT id, organization_id, email, name, CAST(role AS TEXT) AS role, password_hash, disabled, \
             created_at, revision FROM users ",
            $tail
        )
    };
    (key $tail:literal) => {
        concat!(
            "SELECT id, organization_id, kind, name, hint, origins, max_calls, daily_spend_micros, created_at, \
             revoked_at FROM api_keys ",
            $tail
        )
    };
}

impl Accounts for Database {
    fn organization(&self, id: Uuid) -> Answer<'_, Option<Organization>> {
        within(async move {
            let mut work = self.read(Scope::Of(id)).await?;
            organization(&mut work, id).await
        })
    }

    fn organizations(&self) -> Answer<'_, Vec<Organization>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(of!(organization "ORDER BY name, id LIMIT $1")).bind(MOST);
            query.fetch_all(work.on()).await?.iter().map(organization_of).collect()
        })
    }

    fn add_organization(&self, id: Uuid, name: String, at: Timestamp) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(id)).await?;
            let query = work.query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)");
            query.bind(Id(id)).bind(name).bind(Moment(at)).execute(work.on()).await?;
            work.commit().await
        })
    }

    fn change_organization(
        &self,
        id: Uuid,
        change: OrganizationChange,
        revision: Option<i64>,
    ) -> Answer<'_, Organization> {
        within(async move {
            let mut work = self.write(Scope::Of(id)).await?;
            let query = work.query(
                "UPDATE organizations SET name = coalesce($2, name), settings = coalesce($3, settings),
                     revision = revision + 1
                 WHERE id = $1 AND ($4 IS NULL OR revision = $4)",
            );
            let query = query.bind(Id(id)).bind(change.name).bind(change.settings.map(Json)).bind(revision);
            let changed = query.execute(work.on()).await?.rows_affected();
            let now = organization(&mut work, id).await?.ok_or(DataError::NotFound)?;
            if changed == 0 {
                return Err(DataError::Changed);
            }
            work.commit().await?;
            Ok(now)
        })
    }

    fn add_user(&self, new: NewUser) -> Answer<'_, User> {
        within(async move {
            let mut work = self.write(Scope::Of(new.organization_id)).await?;
            let query = work.query(
                "INSERT INTO users (id, organization_id, email, name, role, password_hash, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            );
            let query = query
                .bind(Id(new.id))
                .bind(Id(new.organization_id))
                .bind(new.email.to_lowercase())
                .bind(new.name)
                .bind(new.role.as_str())
                .bind(new.password_hash.as_ref().map(|hash| hash.expose().to_owned()))
                .bind(Moment(new.created_at));
            query.execute(work.on()).await?;
            let user = user(&mut work, new.organization_id, new.id).await?.ok_or(DataError::NotFound)?;
            work.commit().await?;
            Ok(user)
        })
    }

    fn user(&self, organization: Uuid, id: Uuid) -> Answer<'_, Option<User>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            user(&mut work, organization, id).await
        })
    }

    fn users(&self, organization: Uuid, cursor: Option<Cursor>, limit: u32) -> Answer<'_, Page<User>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let cursor = cursor.unwrap_or(Cursor::NEWEST);
            let query = work.query(of!(user
                "WHERE organization_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"));
            let query = query
                .bind(Id(organization))
                .bind(Moment(cursor.created_at))
                .bind(Id(cursor.id))
                .bind(i64::from(limit) + 1);
            let rows = query.fetch_all(work.on()).await?;
            let items = rows.iter().map(user_of).collect::<Result<Vec<_>, _>>()?;
            Ok(Page::of(items, limit, |user| Cursor { created_at: user.created_at, id: user.id }))
        })
    }

    fn user_by_email(&self, email: String) -> Answer<'_, Option<User>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(of!(user "WHERE email = $1")).bind(email.to_lowercase());
            query.fetch_optional(work.on()).await?.as_ref().map(user_of).transpose()
        })
    }

    fn user_by_id(&self, id: Uuid) -> Answer<'_, Option<User>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(of!(user "WHERE id = $1")).bind(Id(id));
            query.fetch_optional(work.on()).await?.as_ref().map(user_of).transpose()
        })
    }

    fn count_users(&self) -> Answer<'_, i64> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query("SELECT count(*) AS found FROM users");
            Ok(query.fetch_one(work.on()).await?.try_get("found")?)
        })
    }

    fn change_user(
        &self,
        organization: Uuid,
        id: Uuid,
        change: UserChange,
        revision: Option<i64>,
    ) -> Answer<'_, User> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let before = user(&mut work, organization, id).await?.ok_or(DataError::NotFound)?;
            if revision.is_some_and(|revision| revision != before.revision) {
                return Err(DataError::Changed);
            }
            let ends_sign_ins = change.password_hash.is_some() || change.disabled == Some(true);
            let query = work.query(
                "UPDATE users SET name = coalesce($3, name), role = $4, disabled = coalesce($5, disabled),
                     password_hash = coalesce($6, password_hash), revision = revision + 1
                 WHERE id = $1 AND organization_id = $2 AND revision = $7",
            );
            let query = query
                .bind(Id(id))
                .bind(Id(organization))
                .bind(change.name)
                .bind(change.role.unwrap_or(before.role).as_str())
                .bind(change.disabled)
                .bind(change.password_hash.as_ref().map(|hash| hash.expose().to_owned()))
                .bind(before.revision);
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::Changed);
            }
            if ends_sign_ins {
                let query = work.query(
                    "UPDATE refresh_tokens SET revoked_at = $3
                     WHERE user_id = $1 AND organization_id = $2 AND revoked_at IS NULL",
                );
                let query = query.bind(Id(id)).bind(Id(organization)).bind(Moment(Timestamp::now()));
                query.execute(work.on()).await?;
            }
            let now = user(&mut work, organization, id).await?.ok_or(DataError::NotFound)?;
            if is_admin(&before) && !is_admin(&now) && !change.may_end_admins {
                has_admin(&mut work, organization).await?;
            }
            work.commit().await?;
            Ok(now)
        })
    }

    fn remove_user(&self, organization: Uuid, id: Uuid) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            // The key would let go of them by itself, but not tell whoever read them before.
            let query = work.query(
                "UPDATE conversations SET user_id = NULL, revision = revision + 1
                 WHERE organization_id = $1 AND user_id = $2",
            );
            query.bind(Id(organization)).bind(Id(id)).execute(work.on()).await?;
            // Refresh tokens go with it.
            let query = work.query(
                "DELETE FROM users WHERE id = $1 AND organization_id = $2
                 RETURNING CAST(role AS TEXT) AS role, disabled",
            );
            let query = query.bind(Id(id)).bind(Id(organization));
            let gone = query.fetch_optional(work.on()).await?.ok_or(DataError::NotFound)?;
            if gone.try_get::<String, _>("role")? == Role::Admin.as_str()
                && !gone.try_get::<bool, _>("disabled")?
            {
                has_admin(&mut work, organization).await?;
            }
            work.commit().await
        })
    }

    fn add_refresh_token(&self, token: RefreshToken) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(token.organization_id)).await?;
            add_refresh_token(&mut work, &token).await?;
            work.commit().await
        })
    }

    fn rotate_refresh_token(
        &self,
        hash: String,
        successor: String,
        now: Timestamp,
        expires_at: Timestamp,
        grace_ms: u64,
    ) -> Answer<'_, Rotation> {
        within(async move {
            // Whose token it is becomes known only by reading it.
            let mut work = self.write(Scope::System).await?;
            // Two that come at once must not both find it fresh.
            let query = work.query(dialect::TOKEN_TO_ROTATE);
            let Some(row) = query.bind(hash.clone()).fetch_optional(work.on()).await? else {
                return Ok(Rotation::Unusable);
            };
            let found = Found::of(&row)?;
            if found.revoked || found.disabled || found.expires_at <= now {
                return Ok(Rotation::Unusable);
            }
            match found.rotated_at {
                Some(rotated_at) if now > rotated_at.plus_millis(grace_ms) => {
                    revoke(&mut work, found.family, now).await?;
                    work.commit().await?;
                    return Ok(Rotation::Reused { family: found.family });
                }
                // A moment ago: its successor is stored, and is the same because it is made from this one.
                Some(_) => {}
                None => {
                    let query = work.query("UPDATE refresh_tokens SET rotated_at = $2 WHERE hash = $1");
                    query.bind(hash).bind(Moment(now)).execute(work.on()).await?;
                    let token = RefreshToken {
                        hash: successor,
                        organization_id: found.organization_id,
                        user_id: found.user_id,
                        family: found.family,
                        created_at: now,
                        expires_at,
                    };
                    add_refresh_token(&mut work, &token).await?;
                    work.commit().await?;
                }
            }
            let Found { user_id, organization_id, family, .. } = found;
            Ok(Rotation::Rotated { user_id, organization_id, family })
        })
    }

    fn revoke_family(&self, hash: String, now: Timestamp) -> Answer<'_, Option<Uuid>> {
        within(async move {
            let mut work = self.write(Scope::System).await?;
            let query = work.query("SELECT family FROM refresh_tokens WHERE hash = $1").bind(hash);
            let Some(row) = query.fetch_optional(work.on()).await? else { return Ok(None) };
            let Id(family) = row.try_get("family")?;
            revoke(&mut work, family, now).await?;
            work.commit().await?;
            Ok(Some(family))
        })
    }

    fn add_key(&self, new: NewApiKey) -> Answer<'_, ()> {
        within(async move {
            let key = new.key;
            let mut work = self.write(Scope::Of(key.organization_id)).await?;
            let query = work.query(
                "INSERT INTO api_keys (id, organization_id, kind, name, hash, hint, origins, max_calls,
                                       daily_spend_micros, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            );
            let query = query
                .bind(Id(key.id))
                .bind(Id(key.organization_id))
                .bind(key.kind.as_str())
                .bind(key.name)
                .bind(new.hash)
                .bind(key.hint)
                .bind(Json(key.origins))
                .bind(key.max_calls)
                .bind(key.daily_spend_micros)
                .bind(Moment(key.created_at));
            query.execute(work.on()).await?;
            work.commit().await
        })
    }

    fn keys(&self, organization: Uuid) -> Answer<'_, Vec<ApiKey>> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let query = work
                .query(of!(key "WHERE organization_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"))
                .bind(Id(organization))
                .bind(MOST);
            query.fetch_all(work.on()).await?.iter().map(key_of).collect()
        })
    }

    fn publishable_origins(&self) -> Answer<'_, Vec<String>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(
                "SELECT origins FROM api_keys WHERE kind = $1 AND revoked_at IS NULL
                 ORDER BY created_at DESC, id DESC LIMIT $2",
            );
            let query = query.bind(KeyKind::Publishable.as_str()).bind(MOST_KEYS);
            let mut found = Vec::new();
            for row in query.fetch_all(work.on()).await? {
                let Json(origins): Json<Vec<String>> = row.try_get("origins")?;
                found.extend(origins);
            }
            Ok(found)
        })
    }

    fn key_by_hash(&self, hash: String) -> Answer<'_, Option<ApiKey>> {
        within(async move {
            let mut work = self.read(Scope::System).await?;
            let query = work.query(of!(key "WHERE hash = $1 AND revoked_at IS NULL")).bind(hash);
            query.fetch_optional(work.on()).await?.as_ref().map(key_of).transpose()
        })
    }

    fn revoke_key(&self, organization: Uuid, id: Uuid, now: Timestamp) -> Answer<'_, ()> {
        within(async move {
            let mut work = self.write(Scope::Of(organization)).await?;
            let query = work.query(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE id = $1 AND organization_id = $2",
            );
            let query = query.bind(Id(id)).bind(Id(organization)).bind(Moment(now));
            if query.execute(work.on()).await?.rows_affected() == 0 {
                return Err(DataError::NotFound);
            }
            work.commit().await
        })
    }

    fn spent_by_key(&self, organization: Uuid, key: Uuid, since: Timestamp) -> Answer<'_, i64> {
        within(async move {
            let mut work = self.read(Scope::Of(organization)).await?;
            let query = work.query(
                "SELECT CAST(coalesce(sum(cost_micros), 0) AS BIGINT) AS spent FROM conversations
                 WHERE key_id = $1 AND organization_id = $2 AND created_at >= $3",
            );
            let query = query.bind(Id(key)).bind(Id(organization)).bind(Moment(since));
            Ok(query.fetch_one(work.on()).await?.try_get("spent")?)
        })
    }
}

/// A refresh token as it was found.
struct Found {
    organization_id: Uuid,
    user_id: Uuid,
    family: Uuid,
    expires_at: Timestamp,
    rotated_at: Option<Timestamp>,
    revoked: bool,
    disabled: bool,
}

impl Found {
    fn of(row: &Row) -> Result<Self, DataError> {
        Ok(Self {
            organization_id: id_of(row, "organization_id")?,
            user_id: id_of(row, "user_id")?,
            family: id_of(row, "family")?,
            expires_at: moment_of(row, "expires_at")?,
            rotated_at: maybe_moment_of(row, "rotated_at")?,
            revoked: maybe_moment_of(row, "revoked_at")?.is_some(),
            disabled: row.try_get("disabled")?,
        })
    }
}

fn is_admin(user: &User) -> bool {
    user.role == Role::Admin && !user.disabled
}

/// Whether an admin is left after one was taken away: two who take each other's rights at once do so one after the other.
async fn has_admin(work: &mut Work, organization: Uuid) -> Result<(), DataError> {
    let query = work.query(dialect::LOCK_ORGANIZATION).bind(Id(organization));
    query.fetch_optional(work.on()).await?;
    let query = work.query(
        "SELECT count(*) AS found FROM users WHERE organization_id = $1 AND role = 'admin' AND NOT disabled",
    );
    let found: i64 = query.bind(Id(organization)).fetch_one(work.on()).await?.try_get("found")?;
    if found == 0 { Err(DataError::LastAdmin) } else { Ok(()) }
}

async fn add_refresh_token(work: &mut Work, token: &RefreshToken) -> Result<(), DataError> {
    let query = work.query(
        "INSERT INTO refresh_tokens (hash, organization_id, user_id, family, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    );
    let query = query
        .bind(token.hash.clone())
        .bind(Id(token.organization_id))
        .bind(Id(token.user_id))
        .bind(Id(token.family))
        .bind(Moment(token.created_at))
        .bind(Moment(token.expires_at));
    query.execute(work.on()).await?;
    Ok(())
}

async fn revoke(work: &mut Work, family: Uuid, now: Timestamp) -> Result<(), DataError> {
    let query =
        work.query("UPDATE refresh_tokens SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL");
    query.bind(Id(family)).bind(Moment(now)).execute(work.on()).await?;
    Ok(())
}

async fn organization(work: &mut Work, id: Uuid) -> Result<Option<Organization>, DataError> {
    let query = work.query(of!(organization "WHERE id = $1")).bind(Id(id));
    query.fetch_optional(work.on()).await?.as_ref().map(organization_of).transpose()
}

async fn user(work: &mut Work, organization: Uuid, id: Uuid) -> Result<Option<User>, DataError> {
    let query = work.query(of!(user "WHERE id = $1 AND organization_id = $2"));
    let query = query.bind(Id(id)).bind(Id(organization));
    query.fetch_optional(work.on()).await?.as_ref().map(user_of).transpose()
}

fn organization_of(row: &Row) -> Result<Organization, DataError> {
    let Json(settings): Json<OrganizationSettings> = row.try_get("settings")?;
    Ok(Organization {
        id: id_of(row, "id")?,
        name: row.try_get("name")?,
        settings,
        created_at: moment_of(row, "created_at")?,
        revision: row.try_get("revision")?,
    })
}

fn user_of(row: &Row) -> Result<User, DataError> {
    let role: String = row.try_get("role")?;
    Ok(User {
        id: id_of(row, "id")?,
        organization_id: id_of(row, "organization_id")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        role: Role::parse(&role).ok_or_else(|| DataError::Corrupt(format!("role {role:?}")))?,
        disabled: row.try_get("disabled")?,
        created_at: moment_of(row, "created_at")?,
        revision: row.try_get("revision")?,
        password_hash: row.try_get::<Option<String>, _>("password_hash")?.map(|hash| Secret::new(&hash)),
    })
}

fn key_of(row: &Row) -> Result<ApiKey, DataError> {
    let kind: String = row.try_get("kind")?;
    let Json(origins) = row.try_get("origins")?;
    Ok(ApiKey {
        id: id_of(row, "id")?,
        organization_id: id_of(row, "organization_id")?,
        kind: KeyKind::parse(&kind).ok_or_else(|| DataError::Corrupt(format!("kind {kind:?}")))?,
        name: row.try_get("name")?,
        hint: row.try_get("hint")?,
        origins,
        max_calls: row.try_get("max_calls")?,
        daily_spend_micros: row.try_get("daily_spend_micros")?,
        created_at: moment_of(row, "created_at")?,
        revoked_at: maybe_moment_of(row, "revoked_at")?,
    })
}

pub(super) fn id_of(row: &Row, column: &str) -> Result<Uuid, DataError> {
    let Id(id) = row.try_get(column)?;
    Ok(id)
}

pub(super) fn moment_of(row: &Row, column: &str) -> Result<Timestamp, DataError> {
    let Moment(moment) = row.try_get(column)?;
    Ok(moment)
}

pub(super) fn maybe_moment_of(row: &Row, column: &str) -> Result<Option<Timestamp>, DataError> {
    Ok(row.try_get::<Option<Moment>, _>(column)?.map(|Moment(moment)| moment))
}
