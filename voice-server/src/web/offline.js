// What the console knows without a server, in IndexedDB: the last answer of each address, and the changes that were made
// but not taken yet. A change is kept until the server has it or a person has decided; nothing is dropped in silence.

import { Refusal, Unreachable, freshKey, request } from "/api.js";

const NAME = "voice-console";
const KEPT_ANSWERS = 400;
const RETRY_MS = 15_000;
const ROUND = 100; // Changes sent at a stretch; one that somebody keeps crossing must not go on for ever.

export const news = new EventTarget(); // `reach`, `changes`
export const state = { reachable: true, asOf: null };
let [base, pending, flushing, timer, wiped] = [null, new Map(), false, 0, 0];

const done = (order) => new Promise((resolve, reject) => {
  order.onsuccess = () => resolve(order.result);
  order.onerror = () => reject(order.error);
});

async function table(name, mode = "readonly") {
  base ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => {
      for (const [table, keyPath] of [["answers", "path"], ["changes", "path"], ["about", "name"]]) {
        opening.result.createObjectStore(table, { keyPath });
      }
    };
    opening.onsuccess = () => {
      // Another tab signs out: let go, so that the data can be deleted.
      opening.result.onversionchange = () => {
        opening.result.close();
        base = null;
      };
      resolve(opening.result);
    };
    opening.onerror = () => reject(opening.error);
  });
  return (await base).transaction(name, mode).objectStore(name);
}

// Where a browser gives no storage, everything works but the memory of it.
async function quietly(act, otherwise) {
  try {
    return await act();
  } catch (error) {
    console.warn(`local storage: ${error.message}`);
    return otherwise;
  }
}

export const remember = (name, value) => quietly(async () => done((await table("about", "readwrite")).put({ name, value })));
export const recall = (name) => quietly(async () => (await done((await table("about")).get(name)))?.value);

// Reads the waiting changes of an earlier visit.
export async function open() {
  const kept = await quietly(async () => done((await table("changes")).getAll()), []);
  pending = new Map(kept.map((change) => [change.path, change]));
  tell("changes");
}

// Forgets everything: at sign-out, and when somebody else signs in.
export async function wipe() {
  pending = new Map();
  wiped++;
  const before = base;
  base = null;
  (await before?.catch(() => null))?.close();
  await quietly(() => done(indexedDB.deleteDatabase(NAME)));
  tell("changes");
}

function tell(what) {
  news.dispatchEvent(new Event(what));
}

export function reach(reachable, asOf) {
  const came = reachable && !state.reachable;
  const changed = reachable !== state.reachable || (asOf && asOf !== state.asOf);
  Object.assign(state, { reachable, asOf: reachable ? null : asOf ?? state.asOf });
  if (changed) tell("reach");
  if (came) flush();
}

// `since` is how often everything had been wiped when the question was asked: what comes after a sign-out is not kept.
async function keep(path, body, etag, since) {
  if (since !== wiped) return;
  await quietly(async () => {
    const answers = await table("answers", "readwrite");
    await done(answers.put({ path, body, etag, at: new Date().toISOString() }));
    const number = await done(answers.count());
    if (number <= KEPT_ANSWERS) return;
    const all = await done(answers.getAll());
    all.sort((a, b) => a.at.localeCompare(b.at)).slice(0, number - KEPT_ANSWERS + 50).forEach((old) => answers.delete(old.path));
  });
}

// Shows what is known at once, then what the server says if that is something else. `show(body, about)` may thus be
// called twice; `about` has `etag`, `at` and whether the answer is `fresh`. Throws where nothing is known.
export async function load(path, show) {
  const since = wiped;
  const kept = await quietly(async () => done((await table("answers")).get(path)));
  if (kept) show(withPending(path, kept.body), { etag: kept.etag, at: kept.at, fresh: false });
  try {
    const answer = await request("GET", path, { ifNoneMatch: kept?.etag });
    reach(true);
    if (answer.status === 304) return;
    await keep(path, answer.body, answer.etag, since);
    const same = kept && kept.etag === answer.etag && JSON.stringify(kept.body) === JSON.stringify(answer.body);
    if (!same) show(withPending(path, answer.body), { etag: answer.etag, at: new Date().toISOString(), fresh: true });
  } catch (error) {
    const gone = error instanceof Unreachable || error.passing;
    if (gone) reach(false, kept?.at);
    if (!gone || !kept) throw error;
  }
}

// A change that is not taken yet lies over what the server said.
function withPending(path, body) {
  const change = pending.get(path);
  return change && body ? { ...body, ...change.body } : body;
}

export const waiting = () => [...pending.values()];
export const waitingFor = (path) => pending.get(path);

// Changes something, now or when the server is back. `before` has the old values of the fields, by which it is known
// later whether somebody else changed the same ones.
export async function change({ path, body, before, etag, what }) {
  const earlier = pending.get(path);
  const merged = {
    path, what, key: freshKey(), state: "waiting", at: new Date().toISOString(),
    body: { ...earlier?.body, ...body }, before: { ...before, ...earlier?.before }, etag: earlier?.etag ?? etag,
    edition: (earlier?.edition ?? 0) + 1,
  };
  await put(merged);
  await flush();
  return pending.get(path)?.state ?? "sent";
}

async function put(change) {
  pending.set(change.path, change);
  await quietly(async () => done((await table("changes", "readwrite")).put(change)));
  tell("changes");
}

async function drop(path) {
  pending.delete(path);
  await quietly(async () => done((await table("changes", "readwrite")).delete(path)));
  tell("changes");
}

// Sends what waits, one after the other, in one tab only.
export async function flush() {
  clearTimeout(timer);
  if (flushing) return;
  flushing = true;
  let wait = 1000;
  const act = async () => {
    for (let tries = 0; tries < ROUND; tries++) {
      const next = waiting().find((change) => change.state === "waiting");
      if (!next) return;
      if (!(await deliver(next.path))) return void (wait = RETRY_MS);
    }
  };
  try {
    await (navigator.locks ? navigator.locks.request("voice-changes", act) : act());
  } finally {
    flushing = false;
  }
  if (waiting().some((change) => change.state === "waiting")) timer = setTimeout(flush, wait);
}

// Gives false where the server cannot be reached, so that the rest waits too.
async function deliver(path) {
  const change = pending.get(path);
  if (!change) return true;
  const { edition, body, etag } = change;
  const since = wiped;
  try {
    const answer = await request("PATCH", path, { body, ifMatch: etag });
    reach(true);
    if (answer.body) await keep(path, answer.body, answer.etag, since);
    const now = pending.get(path);
    // Somebody went on typing meanwhile: what is left is sent against the new state.
    if (now && now.edition !== edition) await put({ ...now, etag: answer.etag, before: { ...now.before, ...body } });
    else await drop(path);
    return true;
  } catch (error) {
    if (error instanceof Unreachable || error.passing || error.status === 401) {
      if (error.status !== 401) reach(false);
      return false;
    }
    if (error.status === 412) return conflict(path);
    if (pending.has(path)) await put({ ...pending.get(path), state: "refused", why: error.message });
    return true;
  }
}

// Somebody else was first. Where they touched other fields, ours go on top; else a person decides.
async function conflict(path) {
  const since = wiped;
  try {
    const theirs = await request("GET", path);
    await keep(path, theirs.body, theirs.etag, since);
    const change = pending.get(path);
    if (!change) return true;
    const touched = Object.keys(change.body).filter((name) => !equal(theirs.body[name], change.before[name]) && !equal(theirs.body[name], change.body[name]));
    if (touched.length === 0) await put({ ...change, etag: theirs.etag, before: pick(theirs.body, change.body) });
    else await put({ ...change, state: "conflict", theirs: pick(theirs.body, change.body), etag: theirs.etag });
    return true;
  } catch (error) {
    if (error instanceof Refusal && !error.passing && pending.has(path)) await put({ ...pending.get(path), state: "refused", why: error.message });
    else reach(false);
    return false;
  }
}

const pick = (from, like) => Object.fromEntries(Object.keys(like).map((name) => [name, from[name]]));
const equal = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

// A person decided about a change that the server did not take.
export async function settle(path, mine) {
  const change = pending.get(path);
  if (!change) return;
  if (!mine) return drop(path);
  await put({ ...change, state: "waiting", before: change.theirs ?? change.before, theirs: undefined, why: undefined });
  await flush();
}

addEventListener("online", () => flush());
