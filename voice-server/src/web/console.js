// The console: signs in, goes from view to view by the address behind `#`, tells what is offline or not sent yet.

import { Refusal, Unreachable, at, hasSession, onSignedOut, read, request } from "/api.js";
import { ask, field, h, toast, values, when } from "/dom.js";
import { deafen, listen } from "/live.js";
import { flush, load, news, open, reach, recall, remember, state, waiting, wipe } from "/offline.js";
import { calls } from "/view-calls.js";
import { conversation, conversations } from "/view-conversations.js";
import { performance } from "/view-performance.js";
import { settings } from "/view-settings.js";
import { status } from "/view-status.js";

const VIEWS = { calls, conversations, performance, settings, status };
const TITLES = { calls: "Live calls", conversations: "Conversations", performance: "Performance", settings: "Settings", status: "Status" };
const [view, tabs, banner, out] = ["view", "tabs", "banner", "out"].map((id) => document.getElementById(id));
const others = "BroadcastChannel" in window ? new BroadcastChannel("voice-console") : null;
let [user, leave, lacking] = [null, null, false]; // lacking: the view could not be read without a server

// `#/conversations/ID?q=garden` is a view, perhaps a thing in it, perhaps a query.
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/");
  return { name: name in VIEWS ? name : "calls", id: id && decodeURIComponent(id), query: Object.fromEntries(new URLSearchParams(query)) };
}

function show() {
  if (!user) return;
  const { name, id, query } = address();
  leave?.abort();
  leave = new AbortController();
  lacking = false;
  for (const tab of tabs.children) {
    if (tab.hash === `#/${name}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.title = `${TITLES[name]} · Console`;
  const page = h("div.page");
  view.replaceChildren(page);
  const draw = name === "conversations" && id ? conversation : VIEWS[name];
  // What a view begins ends with `signal`; what it cannot read is said in its place.
  Promise.resolve(draw(page, { id, query, user, signal: leave.signal })).catch((error) => {
    if (leave.signal.aborted && !page.isConnected) return;
    if (page.isConnected) lacking = error instanceof Unreachable;
    page.append(h("p.alert", { role: "alert" }, trouble(error)));
  });
}

function trouble(error) {
  if (error instanceof Unreachable) return "The server cannot be reached, and this has not been opened here before.";
  if (error instanceof Refusal && error.status === 403) return `Your role does not allow this: ${error.message}.`;
  const id = error.correlationId ? ` (${error.correlationId})` : "";
  return `That did not work: ${error.message}${id}`;
}

function tellReach() {
  const unsent = waiting().length;
  const [number, decide] = [`${unsent} ${unsent === 1 ? "change" : "changes"}`, waiting().some((change) => change.state !== "waiting")];
  const words = [];
  if (!state.reachable) words.push(`Offline. You see what was known${state.asOf ? ` at ${when(state.asOf)}` : ""}.`);
  if (unsent && !decide) words.push(`${number} will be sent when the server is back.`);
  if (decide) words.push(`${number} could not be saved: `);
  banner.className = decide ? "banner bad" : "banner";
  banner.replaceChildren(words.join(" "), decide ? h("a", { href: "#/status" }, "decide what to do") : "");
  banner.hidden = !user || (state.reachable && !decide);
}

async function enter(who, known) {
  if (known && known.id !== who.id) await wipe();
  user = who;
  await remember("user", who);
  tabs.hidden = out.hidden = false;
  document.body.dataset.state = "in";
  listen();
  flush();
  show();
  tellReach();
  load(at.organization, (body) => user && (document.getElementById("organization").textContent = body?.name ?? "")).catch(() => {});
}

function lock() {
  leave?.abort();
  deafen();
  user = null;
  tabs.hidden = out.hidden = true;
  document.body.dataset.state = "out";
  document.getElementById("organization").textContent = "";
  tellReach();
  signIn();
}

function signIn() {
  document.title = "Sign in · Console";
  const problem = h("p.alert", { role: "alert", hidden: true });
  const button = h("button.main", { type: "submit" }, "Sign in");
  const email = h("input", { name: "email", type: "email", required: true, autocomplete: "username" });
  const password = h("input", { name: "password", type: "password", required: true, autocomplete: "current-password" });
  const form = h("form.card.sign-in", h("h1", "Sign in"), h("p.soft", "For people who look after calls."), problem,
    field("Email", email), field("Password", password), button);
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      const { body } = await request("POST", at.login, { body: { ...values(form), cookie: true } });
      const [who, known] = [read.user(body), await recall("user")];
      if (known && known.id !== who.id && waiting().length && !(await mayForget(known))) return void request("POST", at.logout, { body: {} });
      reach(true);
      await enter(who, known);
    } catch (error) {
      problem.textContent = refused(error);
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  };
  view.replaceChildren(form);
  email.focus();
}

const mayForget = ({ email }) => ask("Unsent changes", `${email} has changes on this device that were not sent. Signing in as somebody else deletes them.`, "Delete them", true);

function refused(error) {
  if (error instanceof Unreachable) return "The server does not answer. Check the connection, then try again.";
  if (error.code === "invalid_credentials") return "That email and password do not belong together.";
  if (error.status === 429) return "Too many attempts. Wait a moment, then try again.";
  return `Signing in did not work: ${error.message}.`;
}

async function signOut() {
  const unsent = waiting().length;
  const text = `${unsent} ${unsent === 1 ? "change was" : "changes were"} not sent yet. Signing out deletes what is kept on this device, and ${unsent === 1 ? "it" : "them"} too.`;
  if (unsent && !(await ask("Sign out?", text, "Sign out and delete", true))) return;
  try {
    await request("POST", at.logout, { body: {} });
  } catch (error) {
    // The session's cookie can only be taken back by the server.
    if (error instanceof Unreachable) toast("Your data is deleted here, but the server could not be told. Sign out again when it is back.", "bad");
  }
  lock();
  await wipe();
  others?.postMessage("out");
}

onSignedOut(() => user && lock());
others?.addEventListener("message", () => user && lock());
news.addEventListener("reach", tellReach);
news.addEventListener("reach", () => state.reachable && lacking && show());
news.addEventListener("changes", tellReach);
addEventListener("hashchange", () => {
  show();
  view.focus({ preventScroll: true });
  scrollTo(0, 0);
});
out.onclick = signOut;
// Later, since it fetches every file of both pages, and the first paint comes first.
setTimeout(() => navigator.serviceWorker?.register("/sw.js").catch(() => {}), 1000);

await open();
const known = await recall("user");
if (known) {
  await enter(known, known);
  // Rights may have changed since; a session that is over brings the sign-in.
  request("GET", at.profile).then(({ body }) => user && remember("user", Object.assign(user, read.user(body))), () => {});
} else if (hasSession()) {
  // Signed in elsewhere on this server, or what was known has been deleted.
  await request("GET", at.profile).then(({ body }) => enter(read.user(body)), () => {});
  if (!user) signIn();
} else {
  signIn();
}
