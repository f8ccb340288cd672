//! How listings are found: which index a search walks, and for how long.
//!
//! Rare words are looked up in their index, and a circle that holds not too many is gathered, unless a short walk finds the page;
//! what is found so is put in order. Else a page is looked for in the order that is asked, along an index which holds that order and the conditions, and mostly
//! found after a few hundred entries. Each order has a part for each shelf ([`facts::shelves`]), prices also one for each sub-type on
//! it; the parts that can hold what is asked for are walked together. Where it is not found so, candidates are gathered by price or
//! bedrooms, if they are few. Where nothing of it is rare by itself, the walk goes on, as far as [`WALKS`] says; then the
//! page ends early, with a cursor from where it goes on. So a search takes bounded time, and a list that is read to its
//! end holds everything once.

use std::fmt::Write as _;

use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::facts;
use super::super::super::{Circle, DataError, PropertyCursor, PropertyFilter, PropertySort};
use super::{Db, Work, dialect};

/// Tests have few listings, and come to every end with them.
const fn scaled(entries: i64) -> i64 {
    if cfg!(test) { entries / 200 } else { entries }
}

/// Entries that are walked one time after the other. Of words the first is left out, since it is known by then how frequent
/// they are.
const WALKS: [i64; 3] = [scaled(3_000), scaled(12_000), scaled(48_000)];
/// Candidates that are gathered at most: by words, each of which is looked up; in a circle; by price or bedrooms.
const MOST_WITH_WORDS: i64 = scaled(4_000);
const MOST_IN_CIRCLE: i64 = scaled(30_000);
const MOST_IN_RANGE: i64 = scaled(10_000);
/// Listings that are looked at to learn how frequent words are, and how many of them have rare ones at most.
const SAMPLE: i64 = 300;
const MOST_OF_SAMPLE: i64 = 2;
/// A begun word has at least so many letters; a shorter one is a whole word, since it begins too many.
const BEGUN_FROM: usize = 3;
/// Regions that the index of words is asked for at most; a circle over more of them leaves out little.
const MOST_REGIONS: usize = 12;
/// The first circle of a search for the nearest, in kilometres.
const FIRST_RING: f64 = 1.0;

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Numbers of listings, in order.
    pub(super) numbers: Vec<i64>,
    pub(super) next: Option<PropertyCursor>,
}

/// Where a search gets its candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Words,
    Around(Circle),
    Price,
    Beds,
}

/// One search.
#[derive(Debug)]
pub(super) struct Search<'f> {
    organization: Uuid,
    filter: &'f PropertyFilter,
    /// Words of the filter, folded.
    words: Vec<String>,
    begun: bool,
    /// The parts of each order that are walked.
    shelves: Vec<i64>,
    sort: PropertySort,
    after: Option<PropertyCursor>,
    limit: usize,
}

impl<'f> Search<'f> {
    pub(super) fn new(
        organization: Uuid,
        filter: &'f PropertyFilter,
        sort: PropertySort,
        after: Option<PropertyCursor>,
        limit: u32,
    ) -> Self {
        let words: Vec<String> = filter.words.iter().flat_map(|word| facts::words(word)).collect();
        let begun = words.last().is_some_and(|word| word.len() >= BEGUN_FROM);
        let shelves = facts::shelves(&filter.statuses, &filter.kinds);
        Self { organization, filter, words, begun, shelves, sort, after, limit: limit as usize }
    }

    /// Looks for one page.
    pub(super) async fn find(&self, work: &mut Work) -> Result<Found, DataError> {
        if self.sort == PropertySort::Nearest {
            return self.nearest(work).await;
        }
        if self.are_words_rare(work).await?
            && let Some(gathered) = self.gather(work, Source::Words, MOST_WITH_WORDS).await?
        {
            return Ok(self.page(gathered));
        }
        if let Some(circle) = self.filter.circle {
            // One with many listings that pass is full of what is asked for, and then this finds it sooner.
            if self.words.is_empty() && self.are_places_on_the_way() {
                let found = self.walk(work, self.after, WALKS[0], self.limit + 1).await?;
                if found.len() > self.limit {
                    return Ok(self.page(found));
                }
            }
            if let Some(gathered) = self.gather(work, Source::Around(circle), MOST_IN_CIRCLE).await? {
                return Ok(self.page(gathered));
            }
        }
        let (mut found, mut end) = (Vec::new(), self.after);
        let walks = if self.words.is_empty() { &WALKS[..] } else { &WALKS[1..] };
        for (at, budget) in walks.iter().copied().enumerate() {
            if at == 1 {
                for source in self.ranges() {
                    if let Some(gathered) = self.gather(work, source, MOST_IN_RANGE).await? {
                        return Ok(self.page(gathered));
                    }
                }
            }
            found.extend(self.walk(work, end, budget, self.limit + 1 - found.len()).await?);
            if found.len() > self.limit {
                return Ok(self.page(found));
            }
            end = self.end_of_walk(work, end, budget).await?;
            if end.is_none() {
                return Ok(self.page(found));
            }
        }
        Ok(Found { numbers: found.iter().map(|entry| entry.number).collect(), next: end })
    }

    /// The page from one entry more than it holds, where there is a further page.
    fn page(&self, mut found: Vec<PropertyCursor>) -> Found {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().copied().filter(|_| more);
        Found { numbers: found.iter().map(|entry| entry.number).collect(), next }
    }

    /// What the order is by, and whether it goes down.
    fn key(&self) -> (&'static str, bool) {
        match self.sort {
            PropertySort::Oldest => ("listed", false),
            PropertySort::Newest => ("listed", true),
            PropertySort::Cheapest => ("price", false),
            PropertySort::Dearest => ("price", true),
            PropertySort::FewestBeds => ("beds", false),
            PropertySort::MostBeds => ("beds", true),
            PropertySort::Nearest => ("square", false),
        }
    }

    /// The index by `key`, and the conditions on what stands before it, one for each part that is walked.
    fn parts(&self, key: &str) -> (String, Vec<String>) {
        let (index, first) = match &self.filter.city {
            Some(city) => {
                (format!("facts_place_{key}"), format!("place = {}", facts::place(self.organization, city)))
            }
            None => (format!("facts_{key}"), format!("owner = {}", facts::owner(self.organization))),
        };
        let shelved = |first: &str| -> Vec<String> {
            self.shelves.iter().map(|shelf| format!("{first} AND shelf = {shelf}")).collect()
        };
        match facts::forms(&self.filter.kinds) {
            Some(forms) if key == "price" && self.filter.city.is_none() => {
                let of = |form| shelved(&format!("{first} AND sub_kind = {form}"));
                ("facts_form_price".to_owned(), forms.into_iter().flat_map(of).collect())
            }
            _ => (index, shelved(&first)),
        }
    }

    /// Whether the index that is walked holds where a listing lies; else each entry's row would be read for that.
    fn are_places_on_the_way(&self) -> bool {
        self.filter.city.is_none() && self.key().0 != "beds"
    }

    /// The columns that conditions need. What no index of the walk holds is only read where it is asked for.
    fn columns(&self, table: &str) -> String {
        let mut columns = String::new();
        for column in ["number", "listed", "price", "beds", "half_baths", "status", "kind", "sub_kind"] {
            let comma = if column == "number" { "" } else { ", " };
            let _ = write!(columns, "{comma}{table}{column}");
        }
        if self.filter.circle.is_some() {
            for column in ["x", "y", "z"] {
                let _ = write!(columns, ", CAST({table}{column} AS BIGINT) AS {column}");
            }
        }
        columns
    }

    /// Entries of the order after `after` that pass, at most `most`, of the next `budget` entries.
    async fn walk(
        &self,
        work: &mut Work,
        after: Option<PropertyCursor>,
        budget: i64,
        most: usize,
    ) -> Result<Vec<PropertyCursor>, DataError> {
        let (key, down) = self.key();
        // The outer statement keeps the inner one's order, and stops it when it has enough.
        let mut query = QueryBuilder::<Db>::new("SELECT CAST(c.");
        query.push(key).push(" AS BIGINT) AS sort_key, c.number FROM (");
        query.push(self.in_order(key, down, &self.columns(""), after, budget)).push(") c WHERE 1 = 1");
        self.push_conditions(&mut query);
        query.push(" LIMIT ").push(most);
        entries(work, query).await
    }

    /// The last of the next `budget` entries; `None` where there are fewer.
    async fn end_of_walk(
        &self,
        work: &mut Work,
        after: Option<PropertyCursor>,
        budget: i64,
    ) -> Result<Option<PropertyCursor>, DataError> {
        let (key, down) = self.key();
        let mut query = QueryBuilder::<Db>::new("SELECT CAST(c.");
        query.push(key).push(" AS BIGINT) AS sort_key, c.number FROM (");
        query.push(self.in_order(key, down, &format!("{key}, number"), after, budget));
        query.push(") c LIMIT 1 OFFSET ").push(budget - 1);
        Ok(entries(work, query).await?.first().copied())
    }

    /// The statement for the next `budget` entries of the order after `after`, of all parts together.
    fn in_order(
        &self,
        key: &str,
        down: bool,
        columns: &str,
        after: Option<PropertyCursor>,
        budget: i64,
    ) -> String {
        let (index, parts) = self.parts(key);
        let by_index = dialect::by_index(&index);
        let [low, high] = self.range(key);
        let mut bounds = String::new();
        // A cursor is a bound by itself; a second one on its side could be taken for it and make the walk begin again.
        if let Some(low) = low.filter(|_| down || after.is_none()) {
            let _ = write!(bounds, " AND {key} >= {low}");
        }
        if let Some(high) = high.filter(|_| !down || after.is_none()) {
            let _ = write!(bounds, " AND {key} <= {high}");
        }
        if let Some(after) = after {
            let sign = if down { "<" } else { ">" };
            let _ = write!(bounds, " AND ({key}, number) {sign} ({}, {})", after.key, after.number);
        }
        let turn = if down { " DESC" } else { "" };
        let end = format!(" ORDER BY {key}{turn}, number{turn} LIMIT {budget}");
        let part = |part| format!("SELECT {columns} FROM property_facts{by_index} WHERE {part}{bounds}");
        dialect::merged(parts.into_iter().map(part).collect(), &end)
    }

    /// What the filter says of a column, from and to.
    fn range(&self, key: &str) -> [Option<i64>; 2] {
        let Self { filter, .. } = self;
        match key {
            // What says no price has -1, and is not cheaper than anything.
            "price" => [filter.min_price.or(filter.max_price.map(|_| 0)), filter.max_price],
            "beds" => [filter.min_beds, None],
            _ => [None, None],
        }
    }

    fn push_conditions(&self, query: &mut QueryBuilder<Db>) {
        self.push_numbers(query);
        self.push_words(query);
    }

    /// The conditions on everything but words.
    fn push_numbers(&self, query: &mut QueryBuilder<Db>) {
        let Self { filter, .. } = self;
        for key in ["price", "beds"] {
            for (bound, sign) in self.range(key).into_iter().zip([" >= ", " <= "]) {
                if let Some(bound) = bound {
                    query.push(" AND c.").push(key).push(sign).push(bound);
                }
            }
        }
        if let Some(least) = filter.min_half_baths {
            query.push(" AND c.half_baths >= ").push(least);
        }
        if !filter.statuses.is_empty() {
            query.push(" AND c.status IN (").push(list_of(&filter.statuses)).push(")");
        }
        if !filter.kinds.is_empty() {
            let kinds = list_of(&filter.kinds);
            query.push(" AND (c.kind IN (").push(&kinds).push(") OR c.sub_kind IN (").push(&kinds).push("))");
        }
        if let Some(circle) = filter.circle {
            push_square(query, " AND ", circle);
            query.push(" <= ").push(facts::square_of_km(circle.radius_km));
            // A listing without a place lies in the middle of the globe.
            query.push(" AND (c.x <> 0 OR c.y <> 0 OR c.z <> 0)");
        }
    }

    fn push_words(&self, query: &mut QueryBuilder<Db>) {
        if !self.words.is_empty() {
            // A subquery of one value, so that no database makes a join of it; it is worked out last.
            query.push(" AND (SELECT 1 = 1");
            for (at, word) in self.words.iter().enumerate() {
                let whole = !(self.begun && at + 1 == self.words.len());
                query.push(" AND ").push(dialect::PLACE_IN).push("(w.words, ' ").push(word);
                query.push(if whole { " ') > 0" } else { "') > 0" });
            }
            query.push(" FROM property_facts w WHERE w.number = c.number)");
        }
    }

    /// Other orders in which what is asked for stands together.
    fn ranges(&self) -> Vec<Source> {
        let Self { filter, .. } = self;
        let (key, _) = self.key();
        let priced = filter.min_price.is_some() || filter.max_price.is_some();
        let price = (priced && key != "price").then_some(Source::Price);
        let beds = (filter.min_beds.is_some() && key != "beds").then_some(Source::Beds);
        price.into_iter().chain(beds).collect()
    }

    /// Whether few of some listings have the words, whatever else is asked: of frequent words even counting takes long.
    async fn are_words_rare(&self, work: &mut Work) -> Result<bool, DataError> {
        if self.words.is_empty() {
            return Ok(false);
        }
        let mut query = QueryBuilder::<Db>::new("SELECT count(*) AS with_words FROM (");
        query.push(self.in_order("listed", true, "listed, number", None, SAMPLE)).push(") c WHERE 1 = 1");
        self.push_words(&mut query);
        let row = work.row(query).await?;
        Ok(row.try_get::<i64, _>("with_words")? <= MOST_OF_SAMPLE)
    }

    /// Entries after the search's cursor out of all candidates of a source; `None` where these are more than `most`. They are
    /// counted and put in order by one statement.
    async fn gather(
        &self,
        work: &mut Work,
        source: Source,
        most: i64,
    ) -> Result<Option<Vec<PropertyCursor>>, DataError> {
        let mut query = QueryBuilder::<Db>::new("WITH ");
        if source == Source::Words {
            // Each one's row is read, so they are counted by the index of words before.
            query.push("v AS MATERIALIZED (SELECT ").push(dialect::WORDS_NUMBER);
            query.push(" AS number FROM property_words WHERE ").push(self.has_words());
            query.push(" LIMIT ").push(most + 1);
            query.push("), n AS MATERIALIZED (SELECT count(*) AS candidates FROM v)");
        } else {
            query.push("n AS MATERIALIZED (SELECT count(*) AS candidates FROM (");
            query.push(self.source(source, false, most + 1, "")).push(") s)");
        }
        query.push(" SELECT n.candidates, e.* FROM n LEFT JOIN (");
        let gate = format!(" AND (SELECT candidates FROM n) <= {most}");
        self.push_ordered(&mut query, source, most, &gate);
        let turn = if self.key().1 { " DESC" } else { "" };
        query.push(") e ON 1 = 1 ORDER BY e.sort_key").push(turn).push(", e.number").push(turn);
        let rows = work.rows(query).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<i64, _>("candidates")? > most {
                return Ok(None);
            }
            if let Some(key) = row.try_get("sort_key")? {
                found.push(PropertyCursor { key, number: row.try_get("number")? });
            }
        }
        Ok(Some(found))
    }

    /// The same of all candidates, however many.
    async fn gathered(&self, work: &mut Work, source: Source) -> Result<Vec<PropertyCursor>, DataError> {
        let mut query = QueryBuilder::<Db>::new("");
        self.push_ordered(&mut query, source, i64::from(u32::MAX), "");
        entries(work, query).await
    }

    /// Those of a source that pass, in order behind the cursor, one more than the page holds; none where `gate` does not hold, which
    /// looks at no candidate.
    fn push_ordered(&self, query: &mut QueryBuilder<Db>, source: Source, most: i64, gate: &str) {
        let candidates = self.source(source, true, most, gate);
        let (key, down) = self.key();
        let turn = if down { " DESC" } else { "" };
        // Each candidate's text is read for its words, so that comes last, in order, until the page is full.
        let are_words_last = source != Source::Words && !self.words.is_empty();
        query.push("SELECT CAST(c.").push(key).push(" AS BIGINT) AS sort_key, c.number FROM (");
        if are_words_last {
            query.push("SELECT c.").push(key).push(", c.number FROM (");
        }
        query.push("SELECT c.*");
        if let (PropertySort::Nearest, Some(circle)) = (self.sort, self.filter.circle) {
            push_square(query, ", ", circle);
            query.push(" AS square");
        }
        query.push(" FROM (").push(candidates).push(") c) c WHERE 1 = 1");
        if matches!(source, Source::Price | Source::Beds) {
            query.push(gate);
        }
        if let (Source::Words | Source::Around(_), Some(city)) = (source, &self.filter.city) {
            query.push(" AND c.place = ").push(facts::place(self.organization, city));
        }
        self.push_numbers(query);
        if let Some(after) = self.after {
            query.push(" AND (c.").push(key).push(", c.number) ").push(if down { "<" } else { ">" });
            query.push(" (").push(after.key).push(", ").push(after.number).push(")");
        }
        query.push(" ORDER BY c.").push(key).push(turn).push(", c.number").push(turn);
        if are_words_last {
            // The limit keeps the databases from asking for words before they put in order.
            query.push(" LIMIT ").push(i64::from(u32::MAX)).push(") c WHERE 1 = 1");
            self.push_words(query);
        }
        query.push(" LIMIT ").push(self.limit + 1);
    }

    /// The statement for at most `most` listings of a source, with the columns that conditions need or to be counted. What
    /// else is asked stays outside: guessing from it, Postgres takes other ways. Those with the words are `v`, and `n` says
    /// how many these are. An order takes no `gate` into itself.
    fn source(&self, source: Source, has_columns: bool, most: i64, gate: &str) -> String {
        let owner = facts::owner(self.organization);
        // Here the city is a condition more.
        let place = if self.filter.city.is_some() { ", f.place" } else { "" };
        let columns =
            if has_columns { format!("{}{place}", self.columns("f.")) } else { "f.number".to_owned() };
        let key = match source {
            Source::Words => {
                return format!(
                    "SELECT {columns} FROM v CROSS JOIN property_facts f WHERE f.number = v.number AND f.owner = {owner}{gate}
                     LIMIT {most}"
                );
            }
            Source::Around(circle) => {
                let mut cells = String::new();
                for (first, last) in facts::cells_around(circle) {
                    for shelf in &self.shelves {
                        let comma = if cells.is_empty() { "" } else { ", " };
                        let _ = write!(cells, "{comma}({shelf}, {first}, {last})");
                    }
                }
                return format!(
                    "SELECT {columns} FROM (VALUES {cells}) r CROSS JOIN property_facts f{} WHERE f.owner = {owner}
                     AND f.shelf = r.column1 AND f.cell >= r.column2 AND f.cell <= r.column3{gate} LIMIT {most}",
                    dialect::by_index("facts_cell")
                );
            }
            Source::Price => "price",
            Source::Beds => "beds",
        };
        let columns = if has_columns { self.columns("") } else { format!("{key}, number") };
        self.in_order(key, false, &columns, None, most)
    }

    /// The condition on the index of words.
    fn has_words(&self) -> String {
        let mark = facts::word_mark(self.organization);
        let words: Vec<String> = self.words.iter().map(|word| format!("{mark}{word}")).collect();
        if !dialect::WORDS_HAVE_WHEREABOUTS {
            return dialect::has_words(&words, self.begun);
        }
        let mut places = Vec::new();
        if let Some(city) = &self.filter.city {
            places.push(vec![facts::place_word(facts::place(self.organization, city))]);
        }
        if self.shelves.len() < facts::SHELVES {
            places.push(self.shelves.iter().copied().map(facts::shelf_word).collect());
        }
        let regions = self.filter.circle.map(facts::regions_around).unwrap_or_default();
        if (1..=MOST_REGIONS).contains(&regions.len()) {
            places.push(regions.into_iter().map(facts::region_word).collect());
        }
        for place in places.iter_mut().flatten() {
            place.insert_str(0, &mark);
        }
        dialect::has_words_at(&words, self.begun, &places)
    }

    /// The nearest: in circles that grow until one holds the page.
    async fn nearest(&self, work: &mut Work) -> Result<Found, DataError> {
        let Some(circle) = self.filter.circle else { return Ok(Found::default()) };
        if self.are_words_rare(work).await?
            && let Some(gathered) = self.gather(work, Source::Words, MOST_WITH_WORDS).await?
        {
            return Ok(self.page(gathered));
        }
        let reached = self.after.map_or(0.0, |after| facts::km_of_square(after.key.max(0)));
        let mut radius_km = FIRST_RING.max(reached * 1.25);
        loop {
            let ring = Circle { radius_km: radius_km.min(circle.radius_km), ..circle };
            let narrower = PropertyFilter { circle: Some(ring), ..self.filter.clone() };
            let (words, shelves) = (self.words.clone(), self.shelves.clone());
            let search = Search { filter: &narrower, words, shelves, ..*self };
            let found = search.gathered(work, Source::Around(ring)).await?;
            if found.len() > self.limit || ring.radius_km >= circle.radius_km {
                return Ok(self.page(found));
            }
            // Twice as wide is four times as many.
            radius_km *= if found.len() * 4 > self.limit { 2.0 } else { 4.0 };
        }
    }
}

/// The square of the straight line to the middle of a circle.
fn push_square(query: &mut QueryBuilder<Db>, before: &str, circle: Circle) {
    let middle = facts::on_globe(circle.latitude, circle.longitude);
    query.push(before).push("(");
    for (at, (axis, middle)) in ["x", "y", "z"].iter().zip(middle).enumerate() {
        query.push(if at == 0 { "" } else { " + " });
        query.push(format_args!("(c.{axis} - ({middle})) * (c.{axis} - ({middle}))"));
    }
    query.push(")");
}

fn list_of(words: &[String]) -> String {
    words.iter().map(|word| facts::few(word).to_string()).collect::<Vec<_>>().join(", ")
}

async fn entries(work: &mut Work, query: QueryBuilder<Db>) -> Result<Vec<PropertyCursor>, DataError> {
    let rows = work.rows(query).await?;
    rows.iter()
        .map(|row| Ok(PropertyCursor { key: row.try_get("sort_key")?, number: row.try_get("number")? }))
        .collect()
}
