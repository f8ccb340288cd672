// Keeps the files of both pages, so that they open without a network. The server's answer always comes first; what is
// kept is of one version and only the fallback. Data is none of its business: the console keeps that itself.

const VERSION = "%VERSION%"; // The server puts the hash of all files here.
const WAIT_MS = 2500; // A network that answers nothing is as bad as none.
const SHELL = [
  "/", "/base.css", "/charts.js", "/console", "/console.css", "/console.js", "/api.js", "/dom.js", "/icon.svg", "/live.js", "/offline.js",
  "/talk.css", "/talk.js", "/view-calls.js", "/view-conversations.js", "/view-performance.js", "/view-settings.js", "/view-status.js",
  "/voice-client.js", "/waterfall.js", "/worklet.js",
];

self.addEventListener("install", (event) => {
  const fill = async () => (await caches.open(VERSION)).addAll(SHELL.map((path) => new Request(path, { cache: "reload" })));
  event.waitUntil(fill().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const others = async () => (await caches.keys()).filter((name) => name !== VERSION);
  const sweep = async () => Promise.all((await others()).map((name) => caches.delete(name)));
  event.waitUntil(sweep().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method === "GET" && origin === location.origin && SHELL.includes(pathname)) event.respondWith(answer(event.request, pathname));
});

async function answer(request, pathname) {
  try {
    return await fetch(request, { signal: AbortSignal.timeout(WAIT_MS) });
  } catch (error) {
    const kept = await caches.open(VERSION).then((cache) => cache.match(pathname));
    if (kept) return kept;
    throw error;
  }
}
