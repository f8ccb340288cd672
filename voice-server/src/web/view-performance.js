// What came of the calls of one agent in a period: sums, and two charts by day.

import { at, read } from "/api.js";
import { count, field, h, hours, millis, select, values } from "/dom.js";
import { bars, lines } from "/charts.js";
import { load } from "/offline.js";

const DAY_MS = 86_400_000;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const dayOf = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

export async function performance(page, { query, user }) {
  page.append(h("h1", "Performance"));
  if (user.role !== "admin") return void page.append(h("p.card", "Only administrators see this. Ask one of yours to look."));
  const who = select("agent", [[user.id, user.name || user.email]], user.id);
  const period = { from: query.from || dayOf(new Date(Date.now() - 29 * DAY_MS)), to: query.to || dayOf(new Date()) };
  const [from, to] = ["from", "to"].map((name) => h("input", { name, type: "date", required: true, value: period[name] }));
  const form = h("form.card.filters", field("Agent", who), field("From", from), field("To", to), h("button.main", { type: "submit" }, "Show"),
    h("div.row.presets", [["7 days", 7], ["30 days", 30], ["90 days", 90]].map(([words, days]) => h("button.plain", { type: "button", onclick: () => preset(days) }, words))));
  const go = () => {
    const { agent, ...rest } = values(form);
    const target = `#/performance?${new URLSearchParams({ agent, ...rest })}`;
    if (location.hash === target) draw();
    else location.hash = target;
  };
  const preset = (days) => {
    from.value = dayOf(new Date(Date.now() - (days - 1) * DAY_MS));
    to.value = dayOf(new Date());
    go();
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    go();
  };
  const result = h("div.stack", { "aria-live": "polite" });
  page.append(form, result);
  const draw = () => load(at.performance(query.agent || user.id, { ...period, tz: zone }), (body) => result.replaceChildren(...report(body ?? {}, period)));
  await Promise.all([draw(), load(at.users, (body) => {
    who.replaceChildren(...read.list(body).items.map(({ id, name, email }) => new Option(name || email, id)));
    who.value = query.agent || user.id;
  }).catch(() => {})]);
}

function report(body, period) {
  const tile = (words, value) => h("div.card.tile", h("dt", words), h("dd.number", value));
  const tiles = h("dl.tiles", tile("Calls", count(body.calls)), tile("Talking", hours(body.talkSeconds)), tile("Usual answer (p50)", millis(body.responseMsP50)),
    tile("Slow answer (p95)", millis(body.responseMsP95)), tile("Interruptions", count(body.interruptions)), tile("Leads", count(body.leads)), tile("Viewings booked", count(body.viewingsBooked)));
  const days = everyDay(body.days ?? [], period);
  const names = days.map(({ date }) => short.format(new Date(`${date}T00:00Z`)));
  const legend = h("p.legend.small", h("span.line0", "p50"), h("span.line1", "p95"));
  const table = h("details.card", h("summary", "The figures by day"), h("div.wide", h("table",
    h("thead", h("tr", ["Day", "Calls", "p50", "p95"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", days.filter(({ calls }) => calls).map((day) => h("tr", h("th", { scope: "row" }, day.date), h("td.number", count(day.calls)), h("td.number", millis(day.responseMsP50)), h("td.number", millis(day.responseMsP95))))))));
  return [tiles, h("div.columns.even",
    h("section.card.stack", h("h2", "Calls a day"), bars("Calls a day", names, days.map(({ calls }) => calls ?? 0))),
    h("section.card.stack", h("h2", "Time to the first sound of an answer, ms"), legend,
      lines("Milliseconds to the first sound of an answer by day, p50 and p95", names, [
        { name: "p50", values: days.map((day) => day.responseMsP50 ?? NaN) }, { name: "p95", values: days.map((day) => day.responseMsP95 ?? NaN) }], "ms"))),
  table];
}

// A day without calls is a day too. A period of years would make lines nobody can read: it shows the days there are.
function everyDay(days, { from, to }) {
  const known = new Map(days.map((day) => [day.date, day]));
  const [first, last] = [Date.parse(`${from}T00:00Z`), Date.parse(`${to}T00:00Z`)];
  const number = (last - first) / DAY_MS + 1;
  if (!(number > 0 && number <= 400)) return days;
  const dates = Array.from({ length: number }, (_, i) => new Date(first + i * DAY_MS).toISOString().slice(0, 10));
  return dates.map((date) => known.get(date) ?? { date, calls: 0 });
}
