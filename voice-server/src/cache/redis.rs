//! The cache in Redis, shared by all servers.
//!
//! A value stands with the number of its group; a look reads both at once, and a value under another number is none. A
//! removed key leaves a tomb, which the next value takes over. Values are compared and written by scripts, so that a removal at the same time
//! wins, whatever the order in which connections are served. Every removal is also told on a channel, with the name of who
//! removed, to the servers that keep values in front.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, cmd};
use uuid::Uuid;

use super::contract::{Away, Cache, Entry, Look, MOST_VALUE, Mark, Seen, TOMB};
use super::key::{Area, Group, Key, Place};
use super::link::Link;
use crate::data::Timestamp;

/// Where removals are told.
pub(crate) const CHANNEL: &str = "voice:cache";
/// Whoever shows a ticket is refused where Redis is late, so it may be later than for what can be loaded elsewhere.
const TICKET_DEADLINE: Duration = Duration::from_millis(250);
/// Every other request to Redis ends within this.
const DEADLINE: Duration = Duration::from_millis(50);
/// The sound of a phrase has hundreds of kilobytes, and nobody waits for it.
const PHRASE_DEADLINE: Duration = Duration::from_millis(500);
/// A group's number outlives its values; one that is evicted takes them along.
const GROUP_LIFE: Duration = Duration::from_secs(40 * 86_400);

/// Of a stored value: what it is, the tomb of the last removal, its group's number, when it was true, how long it is fresh
/// and then stale. A tomb has the first two.
const HEAD: usize = 1 + 8 + 8 + 8 + 8 + 8;
/// The script writes the first three.
const OURS: usize = 17;
const KEPT: u8 = 1;
const BURIED: u8 = 2;

/// KEYS: group, key. ARGV: the mark or nothing, a new number, the value without what the script writes, its life, the
/// group's life.
const PUT: &str = r"
local group = redis.call('GET', KEYS[1])
local tomb = string.sub(redis.call('GETRANGE', KEYS[2], 0, 8), 2)
if #tomb ~= 8 then tomb = string.rep('\0', 8) end
if ARGV[1] ~= '' then
  if group ~= string.sub(ARGV[1], 1, 8) or tomb ~= string.sub(ARGV[1], 9, 16) then return 0 end
end
if group then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
else
  group = ARGV[2]
  redis.call('SET', KEYS[1], group, 'PX', ARGV[5])
end
redis.call('SET', KEYS[2], '\1' .. tomb .. group .. ARGV[3], 'PX', ARGV[4])
return 1
";

const TAKE: &str = r"
local held = redis.call('GET', KEYS[2])
if held and string.byte(held, 1) == 1 then redis.call('DEL', KEYS[2]) end
return {redis.call('GET', KEYS[1]), held}
";

/// ARGV: the channel of the value's home, and what it is told. Where nobody listens there nothing is taken.
const TAKE_FROM: &str = r"
local held = redis.call('GET', KEYS[2])
if held and string.byte(held, 1) == 1 then
  if redis.call('PUBLISH', ARGV[1], ARGV[2]) == 0 then
    held = false
  else
    redis.call('DEL', KEYS[2])
  end
end
return {redis.call('GET', KEYS[1]), held}
";

/// KEYS: a set of leases by their ends. ARGV: the lease, how many there may be or -1, its life. By Redis' own clock.
const LEASE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if most >= 0 and redis.call('ZCARD', KEYS[1]) >= most then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
";

const ADD: &str = r"
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum
";

/// The cache in Redis.
#[derive(Debug)]
pub(crate) struct RedisCache {
    /// The way to it.
    pub(crate) link: Arc<Link>,
    /// Told with each removal, so that nobody hears its own.
    pub(crate) origin: Uuid,
    scripts: Scripts,
}

#[derive(Debug)]
struct Scripts {
    put: Script,
    take: Script,
    take_from: Script,
    lease: Script,
    add: Script,
}

impl RedisCache {
    /// The cache behind the link.
    pub(crate) fn new(link: Arc<Link>) -> Self {
        let [put, take, take_from, lease, add] = [PUT, TAKE, TAKE_FROM, LEASE, ADD].map(Script::new);
        Self { link, origin: Uuid::new_v4(), scripts: Scripts { put, take, take_from, lease, add } }
    }

    /// Removals that could not be made in time, on a connection that is not open for all yet.
    pub(crate) async fn settle(
        &self,
        mut connection: MultiplexedConnection,
        owed: &[(Place, Option<Entry>)],
    ) -> RedisResult<()> {
        for (place, entry) in owed {
            match (place, entry) {
                (Place::One(key), Some(entry)) => {
                    let _kept: bool = self.keep(&mut connection, key, entry, None).await?;
                }
                (place, _) => bury(&mut connection, place, self.origin).await?,
            }
        }
        Ok(())
    }

    async fn keep(
        &self,
        connection: &mut MultiplexedConnection,
        key: &Key,
        entry: &Entry,
        mark: Option<Seen>,
    ) -> RedisResult<bool> {
        let mark = mark.map(|mark| [mark.group.to_be_bytes(), mark.tomb.to_be_bytes()].concat());
        let life = millis(entry.left());
        if life == 0 {
            return Ok(false);
        }
        let put = self
            .scripts
            .put
            .key(key.group.to_string())
            .key(key.to_string())
            .arg(mark.unwrap_or_default())
            .arg(&number().to_be_bytes()[..])
            .arg(encode(entry))
            .arg(life)
            .arg(millis(GROUP_LIFE))
            .invoke_async::<u8>(connection)
            .await?;
        if put == 1 && key.group.area == Area::Denial {
            // Others remember for a moment that there was none.
            tell(connection, &Place::One(key.clone()), self.origin).await?;
        }
        Ok(put == 1)
    }

    /// Takes a value out whose home keeps it too, and tells that. `None` also where the home listens no more: it may give
    /// the value away itself. [`Away`] also where it was taken and the home may not have been told.
    pub(crate) async fn take_from(&self, home: Uuid, key: &Key) -> Result<Option<Entry>, Away> {
        let notice = notice(&Place::One(key.clone()), self.origin);
        let take = async |mut connection: MultiplexedConnection| {
            let (group, held): (Option<Vec<u8>>, Option<Vec<u8>>) = self
                .scripts
                .take_from
                .key(key.group.to_string())
                .key(key.to_string())
                .arg(home_channel(home))
                .arg(&notice)
                .invoke_async(&mut connection)
                .await?;
            // Redis writes this answer before what it tells the home, and may die between the two. What is asked now is
            // answered after both.
            cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(taken(group, held))
        };
        self.link.run(deadline(key), take).await
    }

    /// Takes or renews a lease; false where there are as many as there may be.
    pub(crate) async fn lease(
        &self,
        key: &Key,
        lease: Uuid,
        most: Option<u32>,
        life: Duration,
    ) -> Result<bool, Away> {
        let ask = async |mut connection: MultiplexedConnection| {
            self.scripts
                .lease
                .key(key.to_string())
                .arg(lease.to_string())
                .arg(most.map_or(-1, i64::from))
                .arg(millis(life))
                .invoke_async(&mut connection)
                .await
        };
        self.link.run(DEADLINE, ask).await
    }

    /// Gives leases back, at most a few hundred at a time.
    pub(crate) async fn give_back(&self, leases: &[(Key, Uuid)]) -> Result<(), Away> {
        let ask = async |mut connection: MultiplexedConnection| {
            let mut pipe = redis::pipe();
            for (key, lease) in leases {
                pipe.cmd("ZREM").arg(key.to_string()).arg(lease.to_string()).ignore();
            }
            pipe.query_async(&mut connection).await
        };
        self.link.run(DEADLINE, ask).await
    }
}

/// Where the home of values that may be taken once is told what was taken elsewhere.
pub(crate) fn home_channel(home: Uuid) -> String {
    format!("{CHANNEL}:{home}")
}

fn taken(group: Option<Vec<u8>>, held: Option<Vec<u8>>) -> Option<Entry> {
    let group = group.and_then(|group| eight(&group, 0)).map_or(0, u64::from_be_bytes);
    decode(group, held.unwrap_or_default()).entry
}

/// Removes in one round trip and tells all servers.
async fn bury(connection: &mut MultiplexedConnection, place: &Place, origin: Uuid) -> RedisResult<()> {
    let token = number().to_be_bytes();
    let (value, life) = match place {
        Place::One(_) => ([&[BURIED][..], &token].concat(), TOMB),
        Place::All(_) => (token.to_vec(), GROUP_LIFE),
    };
    redis::pipe()
        .cmd("SET")
        .arg(place.to_string())
        .arg(value)
        .arg("PX")
        .arg(millis(life))
        .ignore()
        .cmd("PUBLISH")
        .arg(CHANNEL)
        .arg(notice(place, origin))
        .ignore()
        .query_async(connection)
        .await
}

async fn tell(connection: &mut MultiplexedConnection, place: &Place, origin: Uuid) -> RedisResult<()> {
    cmd("PUBLISH").arg(CHANNEL).arg(notice(place, origin)).query_async(connection).await
}

fn notice(place: &Place, origin: Uuid) -> String {
    format!("{origin} {place}")
}

/// Who removed what; `None` for what is no notice of ours.
pub(crate) fn parse_notice(notice: &[u8]) -> Option<(Uuid, Place)> {
    let (origin, place) = std::str::from_utf8(notice).ok()?.split_once(' ')?;
    Some((origin.parse().ok()?, Place::parse(place)?))
}

/// A number that no other server takes either. Zero stands for none.
fn number() -> u64 {
    (Uuid::new_v4().as_u64_pair().1).max(1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

/// Without what the script writes.
fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD - OURS + entry.value.len());
    bytes.extend_from_slice(&entry.at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&millis(entry.fresh_for).to_be_bytes());
    bytes.extend_from_slice(&millis(entry.stale_for).to_be_bytes());
    bytes.extend_from_slice(&entry.value);
    bytes
}

fn eight(bytes: &[u8], at: usize) -> Option<[u8; 8]> {
    bytes.get(at..at + 8)?.try_into().ok()
}

/// What stands under a key, seen with its group's number.
fn decode(group: u64, held: Vec<u8>) -> Look {
    let mut seen = Seen { group, tomb: 0 };
    let mut found = None;
    if matches!(held.first(), Some(&(BURIED | KEPT))) {
        seen.tomb = eight(&held, 1).map_or(0, u64::from_be_bytes);
    }
    if held.first() == Some(&KEPT) {
        found = entry(group, held);
    }
    Look { entry: found, mark: Mark { near: Seen::default(), far: Some(seen) } }
}

fn entry(group: u64, held: Vec<u8>) -> Option<Entry> {
    let of = u64::from_be_bytes(eight(&held, 9)?);
    let entry = Entry {
        at: Timestamp::from_millis(i64::from_be_bytes(eight(&held, 17)?)),
        fresh_for: Duration::from_millis(u64::from_be_bytes(eight(&held, 25)?)),
        stale_for: Duration::from_millis(u64::from_be_bytes(eight(&held, 33)?)),
        value: Bytes::from(held).slice(HEAD..),
    };
    (of == group && !entry.left().is_zero()).then_some(entry)
}

fn deadline(key: &Key) -> Duration {
    match key.group.area {
        Area::Phrase => PHRASE_DEADLINE,
        Area::Ticket => TICKET_DEADLINE,
        _ => DEADLINE,
    }
}

impl Cache for RedisCache {
    fn look<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Look, Away>> {
        Box::pin(self.link.run(deadline(key), async |mut connection: MultiplexedConnection| {
            let (name, group_name) = (key.to_string(), key.group.to_string());
            let (mut group, held): (Option<Vec<u8>>, Option<Vec<u8>>) =
                cmd("MGET").arg(&group_name).arg(&name).query_async(&mut connection).await?;
            if group.is_none() {
                // A group that nobody used for long gets its number now, for the value that follows.
                let mut pipe = redis::pipe();
                pipe.cmd("SET").arg(&group_name).arg(&number().to_be_bytes()[..]).arg("NX");
                pipe.arg("PX").arg(millis(GROUP_LIFE)).ignore().cmd("GET").arg(&group_name);
                (group,) = pipe.query_async(&mut connection).await?;
            }
            let group = group.and_then(|group| eight(&group, 0)).map_or(0, u64::from_be_bytes);
            Ok(decode(group, held.unwrap_or_default()))
        }))
    }

    fn put<'c>(
        &'c self,
        key: &'c Key,
        entry: Entry,
        mark: Option<Mark>,
    ) -> BoxFuture<'c, Result<bool, Away>> {
        Box::pin(async move {
            if entry.value.len() > MOST_VALUE || entry.left().is_zero() {
                return Ok(false);
            }
            let put = async |mut connection: MultiplexedConnection| {
                self.keep(&mut connection, key, &entry, mark.and_then(|mark| mark.far)).await
            };
            self.link.run(deadline(key), put).await
        })
    }

    fn take<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<Option<Entry>, Away>> {
        Box::pin(self.link.run(deadline(key), async |mut connection: MultiplexedConnection| {
            let (group, held): (Option<Vec<u8>>, Option<Vec<u8>>) = self
                .scripts
                .take
                .key(key.group.to_string())
                .key(key.to_string())
                .invoke_async(&mut connection)
                .await?;
            Ok(taken(group, held))
        }))
    }

    fn remove<'c>(&'c self, key: &'c Key) -> BoxFuture<'c, Result<(), Away>> {
        Box::pin(self.link.run(DEADLINE, async |mut connection: MultiplexedConnection| {
            bury(&mut connection, &Place::One(key.clone()), self.origin).await
        }))
    }

    fn remove_group(&self, group: Group) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(self.link.run(DEADLINE, async move |mut connection: MultiplexedConnection| {
            bury(&mut connection, &Place::All(group), self.origin).await
        }))
    }

    fn add<'c>(&'c self, key: &'c Key, by: u32, within: Duration) -> BoxFuture<'c, Result<u64, Away>> {
        Box::pin(self.link.run(DEADLINE, async move |mut connection: MultiplexedConnection| {
            self.scripts
                .add
                .key(key.to_string())
                .arg(by)
                .arg(millis(within))
                .invoke_async(&mut connection)
                .await
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_redis_is_read_without_harm() {
        let life = Duration::from_secs(60);
        let kept = Entry::new(Bytes::from_static(b"value"), life, life);
        let bytes = [&[KEPT][..], &5_u64.to_be_bytes(), &7_u64.to_be_bytes(), &encode(&kept)].concat();
        assert_eq!(decode(7, bytes.clone()).entry, Some(kept));
        assert_eq!(decode(8, bytes.clone()).entry, None, "another number of the group");
        for n in 0..HEAD {
            assert_eq!(decode(7, bytes[..n].to_vec()).entry, None, "{n} bytes");
        }
        for n in 0..bytes.len() * 8 {
            let mut odd = bytes.clone();
            odd[n / 8] ^= 1 << (n % 8);
            let _ = decode(7, odd);
        }
        assert_eq!(
            decode(7, [&[BURIED][..], &9_u64.to_be_bytes()].concat()).mark.far.map(|seen| seen.tomb),
            Some(9)
        );
        assert_eq!(parse_notice(b"nonsense \xff"), None);
    }
}
