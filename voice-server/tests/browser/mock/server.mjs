// The pages of `src/web` with a server behind them that the tests steer: the shapes of the REST surface, live events, a
// scripted voice socket, all in memory. What it stands for is tested elsewhere; here it is the pages' turn.
//
//   node server.mjs [PORT]      prints `http://127.0.0.1:PORT/`; ends when its standard input ends
//
// `POST /mock/...` steers: `offline {on}` cuts every connection, `drop` breaks the voice sockets, `forget` ends the calls too, `expire` ends the access
// cookie, `others {path, body}` changes something as somebody else, `call {id}` begins a call, `event {type, data}` sends one,
// `down {part}` makes a part unhealthy, `seen` gives what came in.

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import * as data from "./data.mjs";
import { accept } from "./socket.mjs";
import { Call, calls } from "./voice.mjs";

const WEB = new URL("../../../src/web/", import.meta.url);
const SOUND = readFileSync(new URL("../../../../fixtures/audio/questions/two_questions.wav", import.meta.url));
const KINDS = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
// The pages run under the policy of the program, or a test would not see what it forbids.
const POLICY = readFileSync(new URL("mod.rs", WEB), "utf8").match(/const POLICY: &str = "([^;]*(?:;[^"]*)?)"/)[1].replace(/\\\s+/g, "");
const PASSWORD = "demo-password";

const sessions = new Map();
const seen = { refreshes: 0, patches: [], orders: [], conflicts: 0, tickets: [] };
const listeners = new Set();
const streams = new Set();
let [offline, eventNumber, events] = [false, 0, []];

function tell(type, body) {
  const event = { id: `${Date.now()}-${++eventNumber}`, type, at: new Date().toISOString(), data: body };
  events = [...events, event].slice(-200);
  for (const socket of listeners) socket.send(JSON.stringify(event));
}

const problem = (status, code, detail, field) => [status, { code, title: code, status, detail, field, correlationId: "mock-1" }];
const etag = (thing) => `"${thing.revision}"`;
const cookies = (request) => Object.fromEntries((request.headers.cookie ?? "").split("; ").map((one) => one.split("=")));

function sessionOf(request) {
  const { voice_session: session } = cookies(request);
  const found = sessions.get(session);
  return found && !found.expired ? found : null;
}

function transcript(one) {
  const at = (ms) => new Date(new Date(one.createdAt).getTime() + ms).toISOString();
  return one.turns.flatMap((turn) => [{ role: "user", text: turn.said, heard: turn.said, startedAt: at(turn.startedMs) }, { role: "assistant", text: turn.reply, heard: turn.heard, startedAt: at(turn.replyStartedMs) }]);
}

function page(items, query) {
  const [start, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit") ?? 20)];
  return { items: items.slice(start, start + limit), nextCursor: start + limit < items.length ? String(start + limit) : null };
}

function conversations(query) {
  const q = (query.get("q") ?? "").toLowerCase();
  const fits = (one) => (!q || JSON.stringify([one.turns, one.notes, one.clientPhone]).toLowerCase().includes(q))
    && (!query.get("status") || one.status === query.get("status")) && (!query.get("userId") || one.userId === query.get("userId"))
    && (!query.get("from") || one.createdAt >= query.get("from")) && (!query.get("to") || one.createdAt < query.get("to"));
  return page(data.conversations.filter(fits).map(({ turns, recordings, ...rest }) => rest), query);
}

function patch(thing, body, ifMatch) {
  if (ifMatch !== etag(thing)) {
    seen.conflicts++;
    return problem(412, "changed_meanwhile", "somebody else changed it meanwhile");
  }
  Object.assign(thing, body, { revision: thing.revision + 1 });
  seen.patches.push(body);
  return [200, thing, { ETag: etag(thing) }];
}

// The answer to a request as `[status, body, headers]`.
function answer(request, url, body) {
  const [, , , what, id, order] = url.pathname.split("/");
  const { method } = request;
  if (url.pathname === "/health") return [data.health.status === "healthy" ? 200 : 503, data.health];
  if (what === "auth") return signing(request, id, body);
  const session = sessionOf(request);
  if (!session) return problem(401, "token_expired", "sign in");
  if (method !== "GET" && request.headers["x-csrf-token"] !== session.csrf) return problem(403, "forbidden", "the X-CSRF-Token is missing or wrong");
  const admin = session.user.role === "admin";
  if (what === "users" && id === "profile") return [200, session.user];
  if (what === "conversations" && !id) return [200, conversations(url.searchParams)];
  if (what === "conversations") {
    const one = data.conversations.find((conversation) => conversation.id === id);
    if (!one) return problem(404, "not_found", "there is no such conversation");
    if (method === "PATCH") return patch(one, body, request.headers["if-match"]);
    return [200, { ...one, transcript: transcript(one) }, { ETag: etag(one) }];
  }
  if (what === "calls" && !id) return [200, { items: [...calls.values()].map((call) => ({ id: call.id, startedAt: call.startedAt, attended: Boolean(call.attended) })), nextCursor: null }];
  if (what === "calls") {
    const call = calls.get(id);
    if (!call) return problem(404, "not_found", "there is no such call");
    seen.orders.push({ order, ...body });
    if (order === "attend") call.attended = body.on;
    if (order === "say") tell("transcript", { conversation: id, turn: ++call.turn, role: "assistant", text: body.text, final: true });
    if (order === "end") {
      call.socket?.close(1000);
      ended(id);
    }
    return [204, null];
  }
  if (what === "organization") return method === "PATCH" ? patch(data.organization, body, request.headers["if-match"]) : [200, data.organization, { ETag: etag(data.organization) }];
  if (!admin) return problem(403, "forbidden", "this needs the role admin");
  if (what === "agents") return [200, data.performance(url.searchParams.get("from").slice(0, 10), url.searchParams.get("to").slice(0, 10))];
  if (what === "users" && method === "POST") {
    if (data.users.some(({ email }) => email === body.email)) return problem(422, "invalid_value", "email is taken", "email");
    const { password, ...user } = body;
    data.users.push({ id: `33333333-3333-4333-8333-${String(data.users.length).padStart(12, "0")}`, organizationId: data.ids.organization, disabled: false, ...user });
    return [201, data.users.at(-1)];
  }
  if (what === "users" && method === "PATCH") return [200, Object.assign(data.users.find((user) => user.id === id), body)];
  if (what === "users") return [200, page(data.users, url.searchParams)];
  if (what === "keys" && method === "POST") {
    const key = { id: `k${data.keys.length + 1}`, hint: "pk_5d1e", createdAt: new Date().toISOString(), revokedAt: null, ...body };
    data.keys.push(key);
    return [201, { ...key, key: `pk_5d1e${randomBytes(12).toString("hex")}` }];
  }
  if (what === "keys" && method === "DELETE") {
    data.keys.find((key) => key.id === id).revokedAt = new Date().toISOString();
    return [204, null];
  }
  if (what === "keys") return [200, page(data.keys, url.searchParams)];
  return problem(404, "not_found", "there is no such address");
}

function signing(request, what, body) {
  const old = sessions.get(cookies(request).voice_session);
  if (what === "login") {
    const user = data.users.find(({ email }) => email === body.email);
    if (!user || body.password !== PASSWORD) return problem(400, "invalid_credentials", "wrong email or password");
    const [session, csrf] = [randomBytes(8).toString("hex"), randomBytes(8).toString("hex")];
    sessions.set(session, { user, csrf, expired: false });
    const set = [`voice_session=${session}; HttpOnly; SameSite=Strict; Path=/`, `voice_csrf=${csrf}; SameSite=Strict; Path=/`];
    return [200, { accessToken: "a", refreshToken: "r", user }, { "Set-Cookie": set }];
  }
  if (what === "refresh") {
    seen.refreshes++;
    if (!old) return problem(400, "invalid_refresh_token", "sign in again");
    old.expired = false;
    return [200, { accessToken: "a", refreshToken: "r", user: old.user }];
  }
  sessions.delete(cookies(request).voice_session);
  return [204, null, { "Set-Cookie": ["voice_session=; Max-Age=0; Path=/", "voice_csrf=; Max-Age=0; Path=/"] }];
}

function steer(what, body, own) {
  if (what === "offline") {
    offline = body.on;
    if (offline) for (const stream of streams) if (stream !== own) stream.destroy();
  }
  if (what === "drop") for (const call of calls.values()) call.socket?.break();
  if (what === "forget") {
    const gone = [...calls.values()];
    calls.clear();
    for (const call of gone) call.socket?.break();
  }
  if (what === "expire") for (const session of sessions.values()) session.expired = true;
  if (what === "sign-out") sessions.clear();
  if (what === "others") {
    const thing = body.path === "organization" ? data.organization : data.conversations.find(({ id }) => id === body.path);
    Object.assign(thing, body.body, { revision: thing.revision + 1 });
  }
  if (what === "call") {
    begun(new Call(body.id, tell));
    tell("conversation.started", { conversation: body.id });
  }
  if (what === "event") tell(body.type, body.data);
  if (what === "down") {
    data.health.checks[body.part] = false;
    data.health.status = "unhealthy";
    tell("health", { text: `${body.part} is down` });
  }
  if (what === "seen") return { ...seen, conversation: data.conversations.find(({ id }) => id === data.ids.long), organization: data.organization, calls: [...calls.values()].map(({ socket, sent, tell: _, ...rest }) => ({ ...rest, connected: Boolean(socket) })) };
  return {};
}

function file(path) {
  const name = { "/": "index.html", "/console": "console.html" }[path] ?? path.slice(1);
  if (!/^[a-z-]+\.(html|js|css|svg)$/.test(name)) return null;
  try {
    const text = readFileSync(new URL(name, WEB), "utf8");
    return [text.replace("%VERSION%", createHash("sha1").update(text).digest("hex")), KINDS[name.split(".").pop()]];
  } catch {
    return null;
  }
}

function begun(call) {
  data.conversations.unshift(data.liveConversation(call.id, call.startedAt));
  return call;
}

function ended(id) {
  calls.delete(id);
  const one = data.conversations.find((conversation) => conversation.id === id);
  if (one) Object.assign(one, { status: "ended", endedAt: new Date().toISOString(), revision: one.revision + 1 });
  tell("conversation.ended", { conversation: id });
}

function ranged(request, response) {
  const found = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [first, last] = found ? [Number(found[1]), found[2] ? Number(found[2]) : SOUND.length - 1] : [0, SOUND.length - 1];
  const head = { "Content-Type": "audio/wav", "Accept-Ranges": "bytes", "Content-Length": last - first + 1 };
  if (found) head["Content-Range"] = `bytes ${first}-${last}/${SOUND.length}`;
  response.writeHead(found ? 206 : 200, head).end(SOUND.subarray(first, last + 1));
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (offline && !url.pathname.startsWith("/mock/")) return request.socket.destroy();
  let text = "";
  for await (const part of request) text += part;
  const body = text ? JSON.parse(text) : {};
  // A later order must not find its connection cut.
  if (url.pathname.startsWith("/mock/")) response.setHeader("Connection", "close");
  if (url.pathname.startsWith("/mock/")) return response.end(JSON.stringify(steer(url.pathname.slice(6), body, request.socket)));
  if (url.pathname.startsWith("/api/v1/recordings/")) return ranged(request, response);
  const found = file(url.pathname);
  if (found) {
    const head = { "Content-Type": found[1], "Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*" };
    return response.writeHead(200, head).end(found[0]);
  }
  const [status, result, headers = {}] = answer(request, url, body);
  if (status === 200 && headers.ETag && request.headers["if-none-match"] === headers.ETag) return response.writeHead(304, headers).end();
  const kind = status >= 400 && url.pathname !== "/health" ? "application/problem+json" : "application/json";
  response.writeHead(status, { "Content-Type": kind, "Cache-Control": "no-store", ...headers }).end(result === null ? "" : JSON.stringify(result));
});

server.on("connection", (stream) => {
  streams.add(stream);
  stream.on("close", () => streams.delete(stream));
});

server.on("upgrade", (request, stream) => {
  const url = new URL(request.url, "http://localhost");
  if (offline) return stream.destroy();
  if (url.pathname === "/api/v1/events") {
    if (!sessionOf(request)) return stream.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    const socket = accept(request, stream, null, { message() {}, close: () => listeners.delete(socket) });
    const last = url.searchParams.get("lastEventId");
    for (const event of events.slice(last ? events.findIndex(({ id }) => id === last) + 1 : events.length)) socket.send(JSON.stringify(event));
    listeners.add(socket);
    return;
  }
  const id = url.pathname.split("/")[2];
  if (url.searchParams.has("ticket")) seen.tickets.push(url.searchParams.get("ticket"));
  let [call, resuming] = [null, false];
  const socket = accept(request, stream, "voice.v1", {
    message(message) {
      if (typeof message === "string") {
        const order = JSON.parse(message);
        if (!call && order.type === "resume") {
          resuming = true;
          call = calls.get(id);
          if (call?.token !== order.token) return socket.close(call ? 4401 : 4404);
          call.attach(socket);
          return call.resume(order.lastSeq);
        }
        begin();
        call.handle(order);
      } else {
        begin();
        call.frames = (call.frames ?? 0) + 1;
      }
    },
    close(clean) {
      if (!call || call.socket !== socket) return;
      call.socket = null;
      if (!clean) return;
      ended(id);
    },
  });
  const begin = () => {
    if (call) return;
    call = begun(new Call(id, tell));
    call.attach(socket);
    call.open();
    tell("conversation.started", { conversation: id });
  };
  // A call opens with the first message, or a moment after the upgrade.
  setTimeout(() => stream.writable && !resuming && begin(), 150);
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit(0)).resume();
