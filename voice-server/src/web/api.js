// What the server's REST looks like to the console: addresses, the names of fields, who is signed in. The shapes live here
// and nowhere else. The session is a cookie that scripts cannot read; a second one holds what proves that a change is ours.

const ROOT = "/api/v1";
const LIMIT_MS = 12_000;

// A refusal of the server: its code, its sentence, the field it is about.
export class Refusal extends Error {
  constructor(status, { code = "", detail = "", title = "", field = "", correlationId = "" } = {}) {
    super(detail || title || `the server answered ${status}`);
    Object.assign(this, { status, code, field, correlationId });
  }
  // Whether trying again later may help.
  get passing() { return this.status >= 500 || this.status === 429; }
}

// No answer came.
export class Unreachable extends Error {}

// Who wants to know that nobody is signed in any more.
let signedOut = () => {};
export const onSignedOut = (act) => (signedOut = act);

export const at = {
  login: `${ROOT}/auth/login`, logout: `${ROOT}/auth/logout`, refresh: `${ROOT}/auth/refresh`, profile: `${ROOT}/users/profile`,
  conversations: (query = {}) => `${ROOT}/conversations${asked(query)}`,
  conversation: (id) => `${ROOT}/conversations/${encodeURIComponent(id)}`,
  calls: `${ROOT}/calls`,
  call: (id, order) => `${ROOT}/calls/${encodeURIComponent(id)}/${order}`,
  performance: (id, query) => `${ROOT}/agents/${encodeURIComponent(id)}/performance${asked(query)}`,
  users: `${ROOT}/users`,
  user: (id) => `${ROOT}/users/${encodeURIComponent(id)}`,
  organization: `${ROOT}/organization`,
  keys: `${ROOT}/keys`,
  key: (id) => `${ROOT}/keys/${encodeURIComponent(id)}`,
  health: "/health",
  events: (lastId) => `${location.origin.replace(/^http/, "ws")}${ROOT}/events${asked({ lastEventId: lastId })}`,
};

// What the pages read of an answer; whatever a server leaves out becomes empty, never an error in a view.
export const read = {
  list: (body) => ({ items: body?.items ?? [], nextCursor: body?.nextCursor ?? null }),
  user: (body) => body?.user ?? body,
  conversation: (body) => ({ transcript: [], turns: [], recordings: [], consents: [], cost: null, notes: "", lead: false, metadata: {}, ...body }),
  cost: (cost) => (cost ? { totalUsd: cost.totalUsd ?? 0, items: cost.items ?? [] } : null),
  settings: (body) => ({ disclosure: "", recording: "", retentionDays: "", region: "", timeZone: "", facts: [], ...body?.settings }),
  health: (body) => ({ status: body?.status ?? "unknown", checks: body?.checks ?? {} }),
  // The conversation that an event is about.
  subject: ({ data = {} }) => data.conversationId ?? data.conversation?.id ?? data.conversation ?? data.id,
};

// The query of an address; what is empty is left out.
export function asked(query) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

function cookie(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

// Whether a session was begun here, be it over by now: scripts cannot see the session itself.
export const hasSession = () => cookie("voice_csrf") !== "";

async function send(method, path, { body, ifMatch, ifNoneMatch, key } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = cookie("voice_csrf");
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (ifNoneMatch) headers["If-None-Match"] = ifNoneMatch;
  if (method === "POST") headers["Idempotency-Key"] = key ?? freshKey();
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return await fetch(path, { method, headers, body: text, credentials: "same-origin", signal: AbortSignal.timeout(LIMIT_MS) });
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

// One refresh at a time in all tabs, and one for all requests of this tab that found the session expired together.
let refreshedAt = -1;
async function refresh(sentAt) {
  const act = async () => {
    if (refreshedAt > sentAt) return true;
    const answer = await send("POST", at.refresh, { body: {} });
    const { ok } = answer;
    await answer.text().catch(() => {}); // An answer that nobody reads holds its connection.
    if (ok) refreshedAt = performance.now();
    return ok;
  };
  return navigator.locks ? navigator.locks.request("voice-refresh", act) : act();
}

// One request; gives `{status, body, etag}`. A 401 is answered by one refresh and one more try.
export async function request(method, path, options = {}) {
  const once = { ...options, key: options.key ?? freshKey() };
  const sentAt = performance.now();
  let answer = await send(method, path, once);
  if (answer.status === 401 && path !== at.login) {
    if (await refresh(sentAt)) answer = await send(method, path, once);
    if (answer.status === 401) signedOut();
  }
  const etag = answer.headers.get("ETag");
  if (answer.status === 304) return { status: 304, etag };
  const body = await answer.json().catch(() => null);
  // Health tells of trouble by 503 and says in the body which.
  if (!answer.ok && !(path === at.health && body?.checks)) throw new Refusal(answer.status, body ?? {});
  return { status: answer.status, body, etag };
}

// A key under which the server does a repeated POST once; `crypto.randomUUID` exists on secure pages only.
export function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
