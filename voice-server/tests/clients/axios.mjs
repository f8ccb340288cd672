// A stock axios client as the platform's pages have it: a refresh-on-401 interceptor without a mutex.
// Settings come by environment: BASE, EMAIL, PASSWORD, EXPIRED (an access token that is over), MODULES.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { BASE, EMAIL, PASSWORD, EXPIRED, MODULES } = process.env;
const axios = createRequire(`${MODULES}/`)("axios");

// What two tabs of one browser share.
const storage = {};
const counts = { refreshes: 0, logins: 0, unauthorized: 0 };

function tab() {
  const client = axios.create({ baseURL: BASE, timeout: 10000, headers: { "Content-Type": "application/json" }, proxy: false });
  client.interceptors.request.use((config) => {
    if (storage.accessToken) config.headers.Authorization = `Bearer ${storage.accessToken}`;
    return config;
  });
  async function refreshToken() {
    counts.refreshes++;
    const { data } = await axios.post(`${BASE}/api/v1/auth/refresh`, { refreshToken: storage.refreshToken }, { proxy: false });
    storage.accessToken = data.accessToken;
    storage.refreshToken = data.refreshToken;
  }
  client.interceptors.response.use(
    (response) => response,
    async (error) => {
      if (error.response?.status === 401) {
        counts.unauthorized++;
        if (counts.unauthorized > 500) throw new Error("it loops");
        await refreshToken();
        return client.request(error.config);
      }
      return Promise.reject(error);
    },
  );
  return client;
}

const [first, second] = [tab(), tab()];

// A wrong password: one request, one error, no loop.
await assert.rejects(first.post("/api/v1/auth/login", { email: EMAIL, password: "wrong" }), (error) => {
  assert.equal(error.response.status, 400);
  assert.equal(error.response.data.code, "invalid_credentials");
  return true;
});
assert.deepEqual(counts, { refreshes: 0, logins: 0, unauthorized: 0 });

const { data } = await first.post("/api/v1/auth/login", { email: EMAIL, password: PASSWORD });
assert.equal(data.user.email, EMAIL);
storage.accessToken = data.accessToken;
storage.refreshToken = data.refreshToken;

// Something to page through.
for (let i = 0; i < 25; i++) await first.post("/api/v1/conversations", { metadata: { i } });

// The moment of expiry, five times: 20 requests at once from two tabs, all of which were sent with a token that is over.
for (let round = 0; round < 5; round++) {
  storage.accessToken = EXPIRED;
  const before = counts.refreshes;
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 ? first : second).get(i % 3 ? "/api/v1/conversations?limit=5" : "/api/v1/users/profile")),
  );
  assert.ok(answers.every(({ status }) => status === 200));
  assert.ok(counts.refreshes - before >= 1);
}
assert.ok(counts.unauthorized >= 20, `the tokens were over: ${JSON.stringify(counts)}`);

// Still signed in, and everything can be paged.
const seen = new Set();
let cursor;
do {
  const { data: page } = await second.get("/api/v1/conversations", { params: { limit: 7, cursor } });
  page.items.forEach(({ id }) => seen.add(id));
  cursor = page.nextCursor;
} while (cursor);
assert.equal(seen.size, 25);

// After signing out nothing loops either: the refresh is refused with 400, which no interceptor repeats.
await first.post("/api/v1/auth/logout", { refreshToken: storage.refreshToken });
storage.accessToken = EXPIRED;
const refreshes = counts.refreshes;
await assert.rejects(first.get("/api/v1/users/profile"), (error) => error.response.status === 400 && error.response.data.code === "invalid_refresh_token");
assert.equal(counts.refreshes, refreshes + 1);
console.log(`ok ${JSON.stringify(counts)}`);
