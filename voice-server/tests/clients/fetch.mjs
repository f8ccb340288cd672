// A stock fetch client with its own refresh: settings as axios.mjs has them.
import assert from "node:assert/strict";

const { BASE, EMAIL, PASSWORD, EXPIRED } = process.env;
const session = {};

async function call(path, options = {}) {
  const once = () => fetch(BASE + path, {
    ...options,
    headers: { "Content-Type": "application/json", ...(session.accessToken && { Authorization: `Bearer ${session.accessToken}` }) },
  });
  let response = await once();
  if (response.status === 401) {
    const refreshed = await fetch(`${BASE}/api/v1/auth/refresh`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refreshToken: session.refreshToken }),
    });
    assert.equal(refreshed.status, 200);
    Object.assign(session, await refreshed.json());
    response = await once();
  }
  return response;
}

const wrong = await call("/api/v1/auth/login", { method: "POST", body: JSON.stringify({ email: EMAIL, password: "wrong" }) });
assert.equal(wrong.status, 400);
assert.equal((await wrong.json()).code, "invalid_credentials");
const login = await call("/api/v1/auth/login", { method: "POST", body: JSON.stringify({ email: EMAIL, password: PASSWORD }) });
Object.assign(session, await login.json());
for (let i = 0; i < 12; i++) assert.equal((await call("/api/v1/conversations", { method: "POST", body: "{}" })).status, 201);
session.accessToken = EXPIRED;
const answers = await Promise.all(Array.from({ length: 20 }, () => call("/api/v1/conversations?limit=3")));
assert.ok(answers.every(({ status }) => status === 200));
let [cursor, count] = [null, 0];
do {
  const page = await (await call(`/api/v1/conversations?limit=5${cursor ? `&cursor=${cursor}` : ""}`)).json();
  count += page.items.length;
  cursor = page.nextCursor;
} while (cursor);
assert.ok(count >= 12);
const unknown = await call("/api/v1/conversations/00000000-0000-4000-8000-00000000ffff");
assert.equal(unknown.status, 404);
assert.equal(unknown.headers.get("content-type"), "application/problem+json");
console.log("ok");
