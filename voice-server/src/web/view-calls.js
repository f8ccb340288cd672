// Live calls: what is said while it is said, and a person's hand on it: take over in text, end.

import { Refusal, at, read, request } from "/api.js";
import { ask, duration, h, toast } from "/dom.js";
import { live } from "/live.js";
import { load, news, reach, state } from "/offline.js";

export async function calls(page, { user, signal }) {
  const [heading, hint] = [h("h2"), h("p.soft")];
  const empty = h("div.card.empty", heading, hint, h("a.button", { href: "/" }, "Try a call yourself"));
  const list = h("div.calls");
  const number = h("span.pill.good", { hidden: true });
  page.append(h("header.row", h("h1", "Live calls"), number), empty, list);
  const cards = new Map();
  const tidy = () => {
    empty.hidden = cards.size > 0;
    heading.textContent = state.reachable ? "Nobody is calling" : "Nobody knows who is calling";
    hint.textContent = state.reachable ? "Calls appear here the moment they begin." : "Live calls cannot be seen without the server.";
    number.hidden = cards.size === 0;
    number.textContent = `${cards.size} now`;
  };
  // Lists and events overtake one another: a list says nothing about a call that began after it was asked for, and a call
  // that has ended does not come back with a list that was asked for before.
  let [asked, shown] = [0, 0];
  const over = new Set();
  const told = new Map();
  const add = (call, mine = asked) => {
    if (over.has(call.id)) return;
    // An event that came after the list was asked for knows better.
    const { since = -1, news } = told.get(call.id) ?? {};
    const now = since >= mine ? { ...call, ...news } : call;
    if (cards.has(call.id)) return cards.get(call.id).goes(now);
    const card = new Card(now, user);
    card.since = asked;
    cards.set(call.id, card);
    list.prepend(card.element);
    card.recall();
  };
  const remove = (id) => {
    cards.get(id)?.element.remove();
    cards.delete(id);
  };
  // Not from what is kept: calls of yesterday are not live.
  const refresh = async () => {
    const mine = ++asked;
    try {
      const { items } = read.list((await request("GET", at.calls)).body);
      reach(true);
      if (mine < shown) return;
      shown = mine;
      for (const [id, card] of cards) if (card.since < mine && !items.some((call) => call.id === id)) remove(id);
      items.forEach((call) => add(call, mine));
      tidy();
    } catch (error) {
      if (error instanceof Refusal && !error.passing) throw error;
      reach(false);
    }
  };
  const on = (type, act) => live.addEventListener(type, ({ detail }) => act(read.subject(detail), detail.data ?? {}, detail), { signal });
  on("conversation.started", (id, data, event) => (add({ id, startedAt: data.startedAt ?? data.createdAt ?? event.at, attended: false }), tidy()));
  on("conversation.ended", (id) => (over.add(id), told.delete(id), remove(id), tidy()));
  on("conversation.updated", (id, { away, attended }) => {
    if (attended === undefined) return;
    told.set(id, { since: asked, news: { away, attended } });
    cards.get(id)?.goes({ away, attended });
  });
  on("transcript", (id, data) => cards.get(id)?.words(data));
  on("turn", (id, data) => cards.get(id)?.turn(data));
  on("reset", () => refresh().catch(() => {}));
  news.addEventListener("reach", tidy, { signal });
  const ticking = setInterval(() => cards.forEach((card) => card.tick()), 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));
  tidy();
  await refresh();
}

class Card {
  constructor({ id, startedAt, attended, away, clientPhone }, user) {
    Object.assign(this, { id, startedAt: new Date(startedAt), lines: new Map() });
    const may = user.role !== "viewer";
    const title = clientPhone || `Call ${id.slice(0, 8)}`;
    this.time = h("span.number.soft");
    this.pill = h("span.pill");
    this.log = h("ol.said", { tabIndex: 0, "aria-label": `What is said in ${title}` });
    this.take = h("button", { type: "button", onclick: () => this.order("attend", { on: !this.on }) });
    const end = h("button.danger", { type: "button", onclick: () => this.end() }, "End call");
    const text = h("input", { name: "text", maxLength: 2000, placeholder: "Say as our voice", "aria-label": `Say as our voice in ${title}`, autocomplete: "off" });
    this.form = h("form.say", text, h("button.main", { type: "submit" }, "Say"));
    this.form.onsubmit = async (event) => {
      event.preventDefault();
      const words = text.value.trim();
      if (words && (await this.order("say", { text: words }))) text.value = "";
    };
    this.element = h("article.card.call", { "aria-label": title },
      h("header.row", h("h2", h("a", { href: `#/conversations/${id}` }, title)), this.time, this.pill),
      this.log, may && this.form, may && h("div.row", this.take, end));
    this.goes({ attended: Boolean(attended), away: Boolean(away) });
    this.tick();
  }

  // Whether a person answers, and whether the caller's line dropped and is waited for; what is not said stays.
  goes({ attended = this.on, away = this.away }) {
    Object.assign(this, { on: attended, away });
    this.pill.className = away ? "pill bad" : this.on ? "pill warn" : "pill good";
    this.pill.textContent = away ? "Line dropped, waiting" : this.on ? "A person answers" : "Answering";
    this.take.textContent = this.on ? "Hand back" : "Take over";
    this.take.setAttribute("aria-pressed", String(this.on));
  }

  tick() {
    this.time.textContent = duration((Date.now() - this.startedAt) / 1000);
  }

  // What was said before this page was opened.
  async recall() {
    await load(at.conversation(this.id), (body) => read.conversation(body).turns.forEach((turn) => this.turn(turn))).catch(() => {});
  }

  // What stays of a turn. Words that were taken back, such as an answer that nobody heard because the caller went on, go.
  turn({ turn, said, reply, heard, interrupted }) {
    const cut = interrupted && reply.startsWith(heard) ? reply.slice(heard.length) : "";
    this.words({ turn, role: "user", text: said, final: true });
    this.words({ turn, role: "assistant", text: cut ? heard : reply, unheard: cut, final: true });
  }

  words({ turn, role, text, unheard = "", final }) {
    const key = `${turn} ${role}`;
    let line = this.lines.get(key);
    if (!text && !unheard) {
      line?.remove();
      return void this.lines.delete(key);
    }
    if (!line) {
      line = h("li");
      this.lines.set(key, line);
      this.log.append(line);
      while (this.log.children.length > 200) this.log.firstChild.remove();
    }
    line.className = `${role === "user" ? "caller" : "answer"}${final ? "" : " partial"}`;
    line.replaceChildren(h("span.who", role === "user" ? "Caller: " : "Answer: "), text, h("span.unheard", unheard));
    this.log.scrollTop = this.log.scrollHeight;
  }

  async order(what, body) {
    try {
      await request("POST", at.call(this.id, what), { body });
      if (what === "attend") this.goes({ attended: body.on });
      return true;
    } catch (error) {
      toast(`That did not reach the call: ${error.message || "the server does not answer"}.`, "bad");
      return false;
    }
  }

  async end() {
    if (await ask("End this call?", "The caller is cut off at once. What was said so far is kept.", "End call", true)) await this.order("end", {});
  }
}
