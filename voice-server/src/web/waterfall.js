// Where the time of an answer went: one bar, and one line a stage with its place in time. For both pages.

// The stages of an answer in the order in which they happen, and what a reader calls them.
const STAGES = {
  endpoint: "End of turn", stt: "Hearing", context: "Facts", llm: "Thinking", clause: "First words", tts: "Voice",
  engine: "Engine", pacing: "Pacing", client: "Playback",
};

// Fills `bar` and `list` from a ledger of milliseconds by stage.
export function waterfall(bar, list, ledger, totalMs) {
  const known = Object.keys(STAGES);
  const stages = known.concat(Object.keys(ledger).filter((name) => !known.includes(name))).filter((name) => ledger[name] >= 0.5);
  const total = Math.max(totalMs, 1);
  let at = 0;
  const [segments, lines] = [[], []];
  for (const name of stages) {
    const [ms, kind] = [ledger[name], `s${Math.max(0, known.indexOf(name))}`];
    const segment = made("span", kind);
    segment.style.flexGrow = ms;
    segments.push(segment);
    const part = made("span", `span ${kind}`);
    part.style.left = `${(at / total) * 100}%`;
    part.style.width = `${(ms / total) * 100}%`;
    const track = made("span", "track");
    track.setAttribute("aria-hidden", "true");
    track.append(part);
    const line = made("li", kind);
    line.append(made("span", "name", STAGES[name] ?? name), track, made("span", "ms", `${Math.round(ms)} ms`));
    lines.push(line);
    at += ms;
  }
  bar.replaceChildren(...segments);
  list.replaceChildren(...lines);
}

function made(tag, kind, text = "") {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  return element;
}
