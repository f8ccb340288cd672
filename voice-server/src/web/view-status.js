// What works: the server's parts, the syncs as they report, and the changes of this device that wait or need a decision.

import { at, read, request } from "/api.js";
import { h, moment } from "/dom.js";
import { live } from "/live.js";
import { flush, load, news, settle, waiting } from "/offline.js";

const EVERY_MS = 15_000;
const PARTS = { database: "Database", redis: "Cache (Redis)", elevenlabs: "ElevenLabs", mls: "Listings (MLS)", storage: "Storage", stt: "Speech recognition", llm: "Answers", tts: "Voice" };
const KEPT = 30;
const heard = []; // Reports of this visit, newest first.

for (const type of ["sync", "health"]) {
  live.addEventListener(type, ({ detail }) => {
    heard.unshift(detail);
    heard.length = Math.min(heard.length, KEPT);
  });
}

export async function status(page, { signal }) {
  const [pill, parts] = [h("span.pill"), h("ul.parts")];
  const changes = h("section.card.stack");
  const reports = h("section.card.stack");
  page.append(h("header.row", h("h1", "Status"), pill), h("section.card.stack", h("h2", "Parts of the server"), parts), changes, reports);
  const show = (body, about) => {
    const { status: whole, checks } = read.health(body);
    pill.className = `pill ${whole === "healthy" ? "good" : "bad"}`;
    pill.textContent = whole === "healthy" ? "Everything works" : "Something is down";
    if (!about.fresh) pill.textContent += " (last known)";
    parts.replaceChildren(...Object.entries(checks).map(([name, well]) => h("li", h("span", PARTS[name] ?? name), h(`span.pill.${well ? "good" : "bad"}`, well ? "Works" : "Down"))));
  };
  const refresh = () => load(at.health, show);
  const drawChanges = () => changes.replaceChildren(h("h2", "Changes of this device"), ...(waiting().length ? waiting().map(conflictOf) : [h("p.soft", "Everything is saved on the server.")]));
  const drawReports = () => reports.replaceChildren(h("h2", "Reports"), heard.length ? h("ol.reports", heard.map((event) => h("li", h("span.soft.small", moment(event.at)), h("span", words(event))))) : h("p.soft", "Syncs and providers report here while the console is open."));
  news.addEventListener("changes", drawChanges, { signal });
  live.addEventListener("any", ({ detail }) => ["sync", "health"].includes(detail.type) && (drawReports(), refresh().catch(() => {})), { signal });
  const timer = setInterval(() => refresh().catch(() => {}), EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  drawChanges();
  drawReports();
  await refresh();
}

function words({ type, data = {} }) {
  if (data.text) return data.text;
  const facts = Object.entries(data).filter(([, value]) => typeof value !== "object");
  return `${type === "sync" ? "Sync" : "Health"}: ${facts.map(([name, value]) => `${name} ${value}`).join(", ") || "no details"}`;
}

// A change that waits, was refused, or that somebody else crossed; with what can be done.
export function conflictOf(change) {
  const { path, what, state, why, body, theirs = {}, at: made } = change;
  const head = h("h3", what);
  if (state === "waiting") return h("div.change", head, h("p.soft.small", "Waits for the server since ", moment(made), "."), h("button", { type: "button", onclick: () => flush() }, "Try now"));
  if (state === "refused") {
    return h("div.change.alert", { role: "alert" }, head, h("p", `The server refused it: ${why}.`),
      h("div.row", h("button", { type: "button", onclick: () => settle(path, true) }, "Try again"), h("button.danger", { type: "button", onclick: () => settle(path, false) }, "Discard")));
  }
  const rows = differences(body, theirs).map(([name, ours, other]) => h("tr", h("th", { scope: "row" }, name), h("td", ours), h("td", other)));
  return h("div.change.alert", { role: "alert" }, head, h("p", "Somebody else changed the same meanwhile. Choose which one stays."),
    h("div.wide", h("table", h("thead", h("tr", ["What", "Yours", "Theirs"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", rows))),
    h("div.row", h("button.main", { type: "button", onclick: () => settle(path, true) }, "Keep mine"), h("button", { type: "button", onclick: () => settle(path, false) }, "Take theirs")));
}

// Field by field, settings too; only what differs.
function differences(ours, theirs, prefix = "") {
  const shown = (value) => (value === undefined || value === null || value === "" ? "–" : Array.isArray(value) ? value.join("\n") : value === true ? "yes" : value === false ? "no" : String(value));
  return Object.entries(ours).flatMap(([name, value]) => {
    const other = theirs?.[name];
    if (JSON.stringify(value ?? null) === JSON.stringify(other ?? null)) return [];
    if (value && typeof value === "object" && !Array.isArray(value)) return differences({ ...Object.fromEntries(Object.keys(other ?? {}).map((key) => [key, undefined])), ...value }, other ?? {}, `${prefix}${name} `);
    return [[`${prefix}${name}`, shown(value), shown(other)]];
  });
}
