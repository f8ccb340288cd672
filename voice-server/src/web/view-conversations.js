// Conversations: the list with its search, and one of them with sound, words, times, notes and cost.

import { at, asked, read, request } from "/api.js";
import { ask, count, duration, field, h, millis, moment, money, select, toast, values, when } from "/dom.js";
import { live } from "/live.js";
import { change, load, news, state, waitingFor } from "/offline.js";
import { conflictOf } from "/view-status.js";
import { waterfall } from "/waterfall.js";

const PAGE = 30;
const SOUND_TRIES = 8; // How often a recording that is being stored is looked for, a second further apart each time.
const seconds = ({ createdAt, endedAt }) => (endedAt ? (new Date(endedAt) - new Date(createdAt)) / 1000 : NaN);
const named = ({ id, clientPhone, metadata }) => clientPhone || metadata?.name || `Call ${id.slice(0, 8)}`;
const statusPill = (status) => h(status === "active" ? "span.pill.good" : "span.pill", status === "active" ? "Live" : "Ended");

export async function conversations(page, { query, user, signal }) {
  const people = select("userId", [["", "Everybody"]], "");
  // On a telephone the rest of the filters is folded away.
  const fewer = h("button.fewer", { type: "button" }, "Filters");
  const extra = (label, control) => h("label.field.extra", label, control);
  const form = h("form.card.filters", { role: "search" },
    field("Search", h("input", { name: "q", type: "search", placeholder: "Words that were said", value: query.q ?? "" })),
    fewer,
    extra("Status", select("status", [["", "All"], ["active", "Live"], ["ended", "Ended"]], query.status)),
    extra("From", h("input", { name: "from", type: "date", value: query.from ?? "" })),
    extra("To", h("input", { name: "to", type: "date", value: query.to ?? "" })),
    extra("Whose", people),
    h("button.main", { type: "submit" }, "Search"));
  const narrowed = ["status", "from", "to", "userId"].some((name) => query[name]);
  const unfold = (open) => {
    form.toggleAttribute("data-open", open);
    fewer.setAttribute("aria-expanded", String(open));
  };
  fewer.onclick = () => unfold(!form.hasAttribute("data-open"));
  unfold(narrowed);
  form.onsubmit = (event) => {
    event.preventDefault();
    location.hash = `#/conversations${asked(values(form))}`;
  };
  const list = h("ul.rows");
  const more = h("button", { type: "button", hidden: true }, "Show more");
  const said = h("p.soft", { role: "status" });
  page.append(h("h1", "Conversations"), form, said, list, h("div.row.center", more));

  const wanted = { ...query, limit: PAGE, from: dayStart(query.from), to: dayEnd(query.to) };
  const row = (one) => {
    const item = { ...one, ...waitingFor(at.conversation(one.id))?.body };
    return h("li", h("a.card.line", { href: `#/conversations/${item.id}` },
      h("span.name", named(item), item.lead && h("span.pill.warn", "Lead")), statusPill(item.status),
      h("span.soft.small", moment(item.createdAt)), h("span.soft.small.number", duration(seconds(item))),
      item.notes && h("span.note.soft.small", item.notes)));
  };
  const first = () => load(at.conversations(wanted), (body) => {
    const { items, nextCursor } = read.list(body);
    list.replaceChildren(...items.map(row));
    said.textContent = items.length ? "" : Object.keys(query).length ? "Nothing was found. Try fewer words or a longer time." : "There are no conversations yet.";
    follow(nextCursor);
  });
  const follow = (cursor) => {
    more.hidden = !cursor;
    more.onclick = async () => {
      more.disabled = true;
      try {
        await load(at.conversations({ ...wanted, cursor }), (body) => {
          const { items, nextCursor } = read.list(body);
          const shown = new Set([...list.querySelectorAll("a")].map((link) => link.hash));
          list.append(...items.map(row).filter((item) => !shown.has(item.firstChild.hash)));
          follow(nextCursor);
        });
      } catch {
        toast("The next ones cannot be read now.", "bad");
      }
      more.disabled = false;
    };
  };
  let soon = 0;
  const again = () => {
    clearTimeout(soon);
    // A reader who has gone further down is not thrown back to the first page.
    soon = setTimeout(() => list.children.length <= PAGE && first().catch(() => {}), 400);
  };
  for (const type of ["conversation.started", "conversation.ended", "conversation.updated", "reset"]) live.addEventListener(type, again, { signal });
  signal.addEventListener("abort", () => clearTimeout(soon));
  await Promise.all([first(), user.role === "admin" ? load(at.users, (body) => fill(people, body, query.userId)).catch(() => {}) : (people.parentElement.hidden = true)]);
}

function fill(people, body, chosen) {
  people.replaceChildren(new Option("Everybody", ""), ...read.list(body).items.map(({ id, name, email }) => new Option(name || email, id)));
  people.value = chosen ?? "";
}

const dayStart = (day) => day && new Date(`${day}T00:00`).toISOString();
function dayEnd(day) {
  if (!day) return undefined;
  const next = new Date(`${day}T00:00`);
  next.setDate(next.getDate() + 1);
  return next.toISOString();
}

export async function conversation(page, { id, user, signal }) {
  const path = at.conversation(id);
  page.append(h("a.back", { href: "#/conversations" }, "← Conversations"));
  const one = new Detail(page, path, user);
  let [asked, shown] = [0, 0];
  const refresh = () => {
    const mine = ++asked;
    // An answer that was overtaken by a later one is old.
    return load(path, (body, about) => mine >= shown && ((shown = mine), one.show(read.conversation(body), about)));
  };
  const mine = ({ detail }) => (detail.type === "reset" || read.subject(detail) === id) && refresh().catch(() => {});
  one.again = refresh;
  for (const type of ["turn", "conversation.ended", "conversation.updated", "reset"]) live.addEventListener(type, mine, { signal });
  news.addEventListener("changes", () => one.settled(refresh), { signal });
  // A player that failed without a server is made anew.
  news.addEventListener("reach", () => state.reachable && one.body && (!one.audio || one.audio.error) && one.sound(one.body), { signal });
  await refresh();
}

class Detail {
  constructor(page, path, user) {
    Object.assign(this, { page, path, may: user.role !== "viewer", dirty: false, tries: 0, zeroMs: 0 });
    this.box = h("div.detail");
    this.trouble = h("div");
    page.append(this.box);
  }

  show(body, { etag }) {
    this.body = body;
    // Whoever types has seen the state from before: what came meanwhile must cross the change, not be overwritten by it.
    if (!this.dirty) this.seen = { body, etag };
    if (!this.built) this.build();
    this.title.textContent = named(body);
    const [booked, phone] = [body.viewingsBooked, body.clientPhone];
    this.facts.replaceChildren(statusPill(body.status), h("span.soft", moment(body.createdAt)), h("span.soft.number", duration(seconds(body))),
      ...(phone ? [h("span.soft", `Call ${body.id.slice(0, 8)}`)] : []), ...(booked > 0 ? [h("span.pill.good", `${booked} ${booked === 1 ? "viewing" : "viewings"} booked`)] : []));
    this.sound(body);
    this.words(body);
    this.costs(read.cost(body.cost));
    this.fillForm();
    this.mark();
  }

  build() {
    this.built = true;
    this.title = h("h1");
    this.facts = h("p.row.facts");
    this.player = h("div.player");
    this.log = h("ol.said.whole");
    this.notes = h("textarea", { name: "notes", maxLength: 10_000, rows: 5, disabled: !this.may });
    this.lead = h("input", { name: "lead", type: "checkbox", disabled: !this.may });
    this.saved = h("p.soft.small", { role: "status" });
    this.form = h("form.card.stack", h("h2", "Notes"), field("What came of it", this.notes), h("label.choice", this.lead, "May become a customer"),
      this.may && h("button.main", { type: "submit" }, "Save"), this.saved);
    this.form.oninput = () => {
      this.dirty = true;
      this.saved.textContent = "";
    };
    this.form.onsubmit = (event) => this.save(event);
    this.cost = h("section.card.stack");
    this.box.append(h("header.stack", this.title, this.facts), this.trouble,
      h("div.columns", h("section.card.stack", h("h2", "What was said"), this.player, this.log), h("div.stack.side", this.form, this.cost)));
  }

  // Typed words are not overwritten by what comes from elsewhere.
  fillForm() {
    if (this.dirty) return;
    this.notes.value = this.body.notes ?? "";
    this.lead.checked = Boolean(this.body.lead);
  }

  async save(event) {
    event.preventDefault();
    const { notes, lead } = values(this.form);
    const { body, etag } = this.seen;
    const changed = { ...(notes !== body.notes && { notes }), ...(lead !== body.lead && { lead }) };
    this.dirty = false;
    if (Object.keys(changed).length === 0) return void (this.saved.textContent = "Nothing has changed.");
    const before = Object.fromEntries(Object.keys(changed).map((name) => [name, body[name]]));
    this.seen = { body: { ...body, ...changed }, etag };
    const came = await change({ path: this.path, body: changed, before, etag, what: `Notes on ${named(body)}` });
    if (came === "sent") this.saved.textContent = `Saved at ${when(new Date())}.`;
  }

  // A change left the queue, or came to a stop in it.
  settled(refresh) {
    if (!this.built) return;
    const had = this.waited;
    this.mark();
    if (had && !this.waited) refresh().catch(() => {});
  }

  mark() {
    const waiting = waitingFor(this.path);
    this.waited = Boolean(waiting);
    this.trouble.replaceChildren(...(waiting && waiting.state !== "waiting" ? [conflictOf(waiting)] : []));
    if (waiting?.state === "waiting") this.saved.textContent = "Kept on this device. It will be sent when the server is back.";
    else if (this.saved.textContent.startsWith("Kept")) this.saved.textContent = waiting ? "" : "Sent.";
  }

  sound({ recordings, consents, status, createdAt }) {
    const [recording] = recordings;
    if (!recording || new Date(recording.expiresAt) < Date.now()) return void this.noSound(recording, consents, status);
    // The link of a recording is signed anew with each answer; a player that plays keeps the one it has.
    if (this.audio?.dataset.recording === recording.id && !this.audio.error) return;
    this.audio = h("audio", { controls: true, preload: "metadata", src: recording.url, "data-recording": recording.id });
    // A recording begins with its first sound, the places of what was said count from the begin of the call.
    this.zeroMs = Math.max(0, new Date(recording.startedAt ?? createdAt) - new Date(createdAt));
    this.audio.setAttribute("aria-label", "Recording of the call");
    this.audio.onerror = () => (state.reachable ? this.player.append(h("p.soft.small", "The recording cannot be played now.")) : this.noSound(recording, consents, status));
    this.audio.ontimeupdate = () => this.follow(this.audio.currentTime * 1000 + this.zeroMs);
    this.player.replaceChildren(this.audio);
  }

  // A recording is stored some seconds after its call. What is shown without a server has a link that is over.
  noSound(recording, consents, status) {
    this.audio = null;
    const agreed = consents.some(({ kind, given }) => kind === "recording" && given);
    const text = recording ? "The recording can be played when the server is back."
      : status === "active" ? (agreed ? "This call is being recorded." : "This call is not recorded so far.")
      : agreed && this.tries < SOUND_TRIES ? "The recording is being stored…" : "There is no recording of this call.";
    this.player.replaceChildren(h("p.soft.small", text));
    if (!text.includes("stored")) return;
    clearTimeout(this.later);
    this.later = setTimeout(() => this.page.isConnected && this.again().catch(() => {}), 1000 * ++this.tries);
  }

  // The line that is being heard.
  follow(ms) {
    const lines = [...this.log.querySelectorAll("li[data-ms]")];
    const now = lines.findLast((line) => Number(line.dataset.ms) <= ms);
    for (const line of lines) line.classList.toggle("now", line === now && !this.audio.paused);
  }

  seek(ms) {
    if (!this.audio) return;
    this.audio.currentTime = Math.max(0, ms - this.zeroMs) / 1000;
    this.audio.play().catch(() => {});
  }

  words({ turns, transcript, createdAt }) {
    const line = (who, ms, content, byPerson) => {
      const place = duration(ms / 1000);
      const name = who === "caller" ? "Caller" : byPerson ? "Answer by a person" : "Answer";
      const time = this.audio ? h("button.plain.place", { type: "button", onclick: () => this.seek(ms), "aria-label": `Play from ${place}` }, place) : h("span.place.soft.small", place);
      return h("li", { className: who, "data-ms": ms }, h("div.row", h("span.who", name), time), h("p", content));
    };
    const lines = turns.flatMap((turn) => [
      turn.said && line("caller", turn.startedMs, turn.said),
      turn.reply && this.withTimes(line("answer", turn.replyStartedMs, heard(turn), turn.byPerson), turn),
    ]);
    // A server that gives no turns gives a transcript.
    const plain = () => transcript.map(({ role, text, startedAt, byPerson }) => line(role === "user" ? "caller" : "answer", new Date(startedAt) - new Date(createdAt), text, byPerson));
    this.log.replaceChildren(...(turns.length ? lines : plain()).filter(Boolean));
    if (!this.log.children.length) this.log.append(h("li.soft", "Nothing was said."));
  }

  withTimes(item, { turn, ledger, totalMs, interrupted, said }) {
    if (interrupted) item.append(h("p.soft.small", "The caller interrupted here."));
    if (!said || !ledger || !Object.keys(ledger).length) return item;
    const [bar, list] = [h("div.bar", { "aria-hidden": "true" }), h("ol.steps")];
    waterfall(bar, list, ledger, totalMs);
    item.append(h("details.times", h("summary", `Answered in ${millis(totalMs)}`), bar, list));
    item.id = `turn${turn}`;
    return item;
  }

  costs(cost) {
    this.cost.replaceChildren(h("h2", "Cost"), ...(cost ? [
      h("p.figure.number", money(cost.totalUsd)),
      cost.items.length === 0 && h("p.soft.small", "No provider was used that charges; models of this machine cost nothing."),
      cost.items.length > 0 && h("table", h("caption.out-of-sight", "What the providers cost"), h("thead", h("tr", ["Provider", "What", "Quantity", "Cost"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", cost.items.map((item) => h("tr", h("td", item.provider), h("td", item.what), h("td.number", `${count(item.quantity)} ${item.unit ?? ""}`), h("td.number", money(item.usd)))))),
    ] : [h("p.soft.small", "Known when the call has ended.")]).filter(Boolean));
  }
}

// The words of a reply; what the caller did not hear is struck through.
function heard({ reply, heard: part, interrupted }) {
  if (!interrupted || !reply.startsWith(part)) return reply;
  return [part, h("span.unheard", reply.slice(part.length))];
}
