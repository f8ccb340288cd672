// The organization, its people and its keys. The organization's settings may be changed offline; people and keys may not.

import { at, read, request } from "/api.js";
import { ask, field, h, moment, select, toast, values, when } from "/dom.js";
import { change, load, news, waitingFor } from "/offline.js";
import { conflictOf } from "/view-status.js";

const ROLES = [["viewer", "Viewer: reads"], ["agent", "Agent: takes part"], ["admin", "Administrator"]];
const RECORDING = [["", "As the server is set"], ["off", "Never"], ["ask", "After the caller said yes"], ["notice", "Always, and the greeting says so"]];

export async function settings(page, { user, signal }) {
  const may = user.role === "admin";
  page.append(h("h1", "Settings"));
  const parts = [organization(page, may, signal)];
  if (may) parts.push(people(page, user), keys(page));
  await Promise.all(parts);
}

async function organization(page, may, signal) {
  const [trouble, saved] = [h("div"), h("p.soft.small", { role: "status" })];
  const zones = h("datalist", { id: "zones" }, (Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => h("option", { value: zone })));
  const inputs = {
    name: h("input", { name: "name", required: true, maxLength: 200 }),
    disclosure: h("textarea", { name: "disclosure", maxLength: 1000, rows: 3 }),
    recording: select("recording", RECORDING, ""),
    retentionDays: h("input", { name: "retentionDays", type: "number", min: 1, max: 3650, inputMode: "numeric", placeholder: "30" }),
    region: h("input", { name: "region", maxLength: 6, pattern: "[A-Z]{2}(-[A-Z0-9]{1,3})?", title: "A country and its part, such as US-CA", placeholder: "US-CA" }),
    timeZone: h("input", { name: "timeZone", placeholder: "America/Los_Angeles", maxLength: 60 }),
    facts: h("textarea", { name: "facts", rows: 6, placeholder: "One a line: opening hours, what you charge, where to park" }),
  };
  inputs.timeZone.setAttribute("list", "zones");
  const form = h("form.card.stack", h("h2", "Organization"), trouble, h("fieldset.grid", { disabled: !may },
    field("Name", inputs.name), field("Recording", inputs.recording), field("Days recordings are kept", inputs.retentionDays), field("Region", inputs.region), field("Time zone", inputs.timeZone), zones,
    h("div.all", field("Said first in every call", inputs.disclosure)), h("div.all", field("What the answerer may rely on", inputs.facts))),
  may && h("button.main", { type: "submit" }, "Save"), saved);
  page.append(form);

  let [known, mark, dirty] = [{}, null, false];
  const refresh = () => load(at.organization, (body, { etag }) => {
    // Whoever types has seen the state from before: what came meanwhile must cross the change.
    if (dirty) return;
    [known, mark] = [body ?? {}, etag];
    const set = read.settings(known);
    for (const [name, input] of Object.entries(inputs)) input.value = name === "name" ? known.name ?? "" : name === "facts" ? (set.facts ?? []).join("\n") : set[name] ?? "";
  });
  const tell = () => {
    const waiting = waitingFor(at.organization);
    trouble.replaceChildren(...(waiting && waiting.state !== "waiting" ? [conflictOf(waiting)] : []));
    if (waiting?.state === "waiting") saved.textContent = "Kept on this device. It will be sent when the server is back.";
    else if (saved.textContent.startsWith("Kept")) saved.textContent = "";
    if (!waiting) refresh().catch(() => {});
  };
  news.addEventListener("changes", tell, { signal });
  form.oninput = () => ((dirty = true), (saved.textContent = ""));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { name, facts, retentionDays, ...texts } = values(form);
    const set = Object.fromEntries(Object.entries(texts).filter(([, value]) => value));
    if (retentionDays) set.retentionDays = Number(retentionDays);
    set.facts = facts.split("\n").map((fact) => fact.trim()).filter(Boolean);
    dirty = false;
    const came = await change({ path: at.organization, body: { name, settings: set }, before: { name: known.name, settings: known.settings }, etag: mark, what: "Settings of the organization" });
    if (came === "sent") saved.textContent = `Saved at ${when(new Date())}.`;
  };
  tell();
  await refresh();
}

// A section with a table, a form that adds a row, and what went wrong.
function section(page, title, heads, adds, form) {
  const body = h("tbody");
  const problem = h("p.alert", { role: "alert", hidden: true });
  page.append(h("section.card.stack", h("h2", title), h("div.wide", h("table", h("caption.out-of-sight", title),
    h("thead", h("tr", heads.map((name) => h("th", { scope: "col" }, name || h("span.out-of-sight", "What to do"))))), body)), problem, h("details", h("summary", adds), form)));
  return { body, fail: (text) => ((problem.textContent = text), (problem.hidden = !text)) };
}

// Does something that needs the server now.
async function now(fail, act) {
  fail("");
  try {
    await act();
    return true;
  } catch (error) {
    fail(error.status ? `That was refused: ${error.message}.` : "This needs the server, which cannot be reached now.");
    return false;
  }
}

async function people(page, me) {
  const form = h("form.grid.adding", field("Name", h("input", { name: "name", required: true, maxLength: 200, autocomplete: "off" })),
    field("Email", h("input", { name: "email", type: "email", required: true, autocomplete: "off" })), field("Role", select("role", ROLES, "agent")),
    field("First password", h("input", { name: "password", type: "password", required: true, minLength: 10, maxLength: 256, autocomplete: "new-password" })), h("button.main", { type: "submit" }, "Add"));
  const { body, fail } = section(page, "People", ["Name", "Email", "Role", ""], "Add somebody", form);
  const refresh = () => load(at.users, (answer) => body.replaceChildren(...read.list(answer).items.map(row)));
  const alter = (user, what) => now(fail, () => request("PATCH", at.user(user.id), { body: what })).then(refresh).catch(() => {});
  const row = (user) => {
    const role = select("role", ROLES.map(([key, words]) => [key, words.split(":")[0]]), user.role);
    role.setAttribute("aria-label", `Role of ${user.name || user.email}`);
    role.onchange = () => alter(user, { role: role.value });
    const own = user.id === me.id;
    role.disabled = own;
    const bar = h("button.plain", { type: "button", disabled: own, onclick: () => alter(user, { disabled: !user.disabled }) }, user.disabled ? "Let in again" : "Bar");
    bar.setAttribute("aria-label", `${bar.textContent}: ${user.name || user.email}`);
    const remove = h("button.plain", { type: "button", disabled: own, "aria-label": `Delete ${user.name || user.email}`, onclick: async () => {
      if (!(await ask("Delete this person?", `${user.name || user.email} is signed out at once. Conversations stay, without a name to them.`, "Delete", true))) return;
      await now(fail, () => request("DELETE", at.user(user.id)));
      await refresh().catch(() => {});
    } }, "Delete");
    return h("tr", h("th", { scope: "row" }, user.name, user.disabled && h("span.pill.bad", "Barred"), own && h("span.soft.small", " (you)")), h("td", user.email), h("td", role), h("td", bar, remove));
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!(await now(fail, () => request("POST", at.users, { body: values(form) })))) return;
    form.reset();
    toast("Added.");
    await refresh().catch(() => {});
  };
  await refresh();
}

async function keys(page) {
  const shown = h("div");
  const kind = select("kind", [["publishable", "Publishable: for a web page"], ["secret", "Secret: from server to server"]], "publishable");
  const origins = field("Origins of the pages, one a line", h("textarea", { name: "origins", rows: 2, placeholder: "https://www.example.com" }));
  const form = h("form.grid.adding", field("Name", h("input", { name: "name", required: true, maxLength: 100, autocomplete: "off" })), field("Kind", kind), origins,
    field("Calls at the same time", h("input", { name: "maxCalls", type: "number", min: 1, inputMode: "numeric" })),
    field("Dollars a day", h("input", { name: "dailySpend", type: "number", min: 0, step: "0.01", inputMode: "decimal" })), h("button.main", { type: "submit" }, "Make"));
  const { body, fail } = section(page, "Keys", ["Name", "Key", "Made", ""], "Make a key", form);
  form.parentElement.before(shown);
  kind.onchange = () => (origins.hidden = kind.value !== "publishable");
  const none = () => h("tr", h("td.soft", { colSpan: 4 }, "No keys yet."));
  const refresh = () => load(at.keys, (answer) => {
    const rows = read.list(answer).items.filter((key) => !key.revokedAt).map(row);
    body.replaceChildren(...(rows.length ? rows : [none()]));
  });
  const row = (key) => {
    const revoke = h("button.plain", { type: "button", "aria-label": `Revoke ${key.name}`, onclick: async () => {
      if (!(await ask("Revoke this key?", `Whatever uses “${key.name}” stops working at once.`, "Revoke", true))) return;
      await now(fail, () => request("DELETE", at.key(key.id)));
      await refresh().catch(() => {});
    } }, "Revoke");
    return h("tr", h("th", { scope: "row" }, key.name), h("td", h("code", `${key.hint ?? ""}…`)), h("td", moment(key.createdAt)), h("td", revoke));
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { name, kind: sort, origins: pages, maxCalls, dailySpend } = values(form);
    const wanted = { name, kind: sort };
    if (sort === "publishable") wanted.origins = pages.split(/\s+/).filter(Boolean);
    if (maxCalls) wanted.maxCalls = Number(maxCalls);
    if (dailySpend) wanted.dailySpendMicros = Math.round(Number(dailySpend) * 1e6);
    let made;
    if (!(await now(fail, async () => (made = (await request("POST", at.keys, { body: wanted })).body)))) return;
    form.reset();
    // The server keeps no key: this is the only time that it can be read. It is not kept here either.
    const secret = h("input.code", { readOnly: true, value: made?.key ?? made?.secret ?? "", "aria-label": "The new key" });
    shown.replaceChildren(h("div.alert.good", { role: "alert" }, h("p", "Copy this key now. It is shown only once."), h("div.row", secret,
      h("button", { type: "button", onclick: () => navigator.clipboard?.writeText(secret.value).then(() => toast("Copied.")) }, "Copy"))));
    secret.select();
    await refresh().catch(() => {});
  };
  await refresh();
}
