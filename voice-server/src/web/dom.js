// Makes elements and words for people. No markup from strings, so nothing a caller said can become code.

// `h("p.soft", { onclick }, "text", child)`: classes behind dots, properties, then children; empty ones are left out.
export function h(name, ...rest) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  const given = rest[0] && typeof rest[0] === "object" && !(rest[0] instanceof Node) && !Array.isArray(rest[0]);
  for (const [key, value] of Object.entries(given ? rest.shift() : {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key in element && !key.includes("-") && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...rest.flat(9).filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return element;
}

// A field with its label above it.
export const field = (label, control) => h("label.field", label, control);

// One of several values. `options` has pairs of value and words.
export function select(name, options, value) {
  const made = h("select", { name }, options.map(([key, words]) => new Option(words, key)));
  made.value = value ?? options[0]?.[0] ?? "";
  return made;
}

// What a form says, by name. A tick box is true or false, the rest is text without blanks around it.
export function values(form) {
  const named = [...form.elements].filter(({ name }) => name);
  return Object.fromEntries(named.map(({ name, type, checked, value }) => [name, type === "checkbox" ? checked : value.trim()]));
}

// A question with two answers. Resolves to true or false; Escape is no.
export function ask(title, text, yes, danger = false) {
  return new Promise((resolve) => {
    const answer = (what) => () => dialog.close(what);
    const dialog = h("dialog.card", { "aria-label": title, onclose: () => done() },
      h("h2", title), h("p", text),
      h("div.row.end", h("button", { type: "button", onclick: answer("") }, "Cancel"),
        h(danger ? "button.danger" : "button.main", { type: "button", onclick: answer("yes") }, yes)));
    const done = () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A sentence at the edge of the page that goes away by itself.
export function toast(text, kind = "") {
  const box = document.getElementById("toasts");
  const note = h("p.toast", { className: `toast ${kind}` }, text);
  box.append(note);
  setTimeout(() => note.remove(), 6000);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const withYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// A moment, as short as it stays clear.
export function when(text) {
  const [time, now] = [new Date(text), new Date()];
  if (Number.isNaN(time.getTime())) return "";
  if (time.toDateString() === now.toDateString()) return clock.format(time);
  return (time.getFullYear() === now.getFullYear() ? full : withYear).format(time);
}

// A moment for programs and people.
export const moment = (text) => h("time", { dateTime: text ?? "" }, when(text));

// Seconds as `1:05` or `1:02:03`.
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

// Seconds as `3 h 12 min`, for sums.
export function hours(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const money = (usd) => (Number.isFinite(usd) ? `$${usd.toFixed(usd > 0 && usd < 0.1 ? 4 : 2)}` : "–");
export const count = (n) => (Number.isFinite(n) ? n.toLocaleString() : "–");
export const millis = (n) => (Number.isFinite(n) ? `${Math.round(n)} ms` : "–");
