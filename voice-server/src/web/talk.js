// The talk page: shows one call of `voice-client.js` and lets a person steer it. Works without a microphone by typing.

import { VoiceCall } from "/voice-client.js";
import { waterfall } from "/waterfall.js";

const LINES = "talk.lines"; // What was said, for a page that is reloaded in a call.
const TIMES = "talk.times";
const PREFERENCES = "talk.preferences";
const GAP_MS = 300;
const element = (id) => document.getElementById(id);
const [talk, mute, hold, interrupt, level, log] = ["talk", "mute", "hold", "interrupt", "level", "log"].map(element);
const preferences = { mode: "open", input: "", output: "", ...JSON.parse(localStorage.getItem(PREFERENCES) ?? "{}") };
let [call, lines, invitation] = [null, new Map(), invited()];
let [sounding, quiet] = [false, 0]; // Whether an answer sounds, and what waits to see that it is over.

const say = (text) => (element("status").textContent = text);
// For screen readers: what changes the call. Not what is said in it, which would talk into the microphone.
const announce = (text) => (element("announce").textContent = text);

function complain(text) {
  element("alert").textContent = text;
  element("alert").hidden = !text;
}

// A link may name the conversation and hold its ticket, which is good once and so leaves the address bar.
function invited() {
  const query = new URLSearchParams(location.search);
  const [conversation, ticket] = [query.get("conversation"), query.get("ticket")];
  if (ticket) history.replaceState(null, "", location.pathname);
  return conversation ? { conversation, ticket } : {};
}

// The console's session goes along with a call. One that is over is renewed; one that cannot be is taken away, and the call
// is one without sign-in.
async function renew() {
  if (!document.cookie.includes("voice_csrf=")) return false;
  const { at, request } = await import("/api.js");
  return request("GET", at.profile).catch(() => request("POST", at.logout, { body: {} })).then(() => true, () => false);
}

// Who speaks is greeted, since with the greeting the organization tells that a machine answers and that it records.
async function begin(withMicrophone, resume) {
  complain("");
  if (resume) restoreLines();
  else clearLines();
  const { input, output } = preferences;
  const mine = (call = new VoiceCall({ ...invitation, resume, input, output, microphone: withMicrophone, greeting: withMicrophone, renew }));
  mine.spoken = withMicrophone;
  invitation = {};
  follow(mine);
  show(true);
  try {
    await mine.start();
    if (mine.spoken && preferences.mode === "press") mine.mute(true);
    showMute();
    if (mine.audio.state === "suspended") say("Tap anywhere to hear the answers.");
  } catch (error) {
    // A call that has ended has told why.
    if (call === mine) mine.end(1011, `The sound of this page does not work (${error.message}). Load it again.`);
  }
  return mine;
}

function follow(mine) {
  const on = (type, act) => mine.addEventListener(type, ({ detail }) => call === mine && act(detail));
  on("state", ({ state, text }) => connection(mine, state, text));
  on("transcript", ({ turn, text, final }) => line(`caller${turn}`, "caller", text, "", !final));
  on("reply", ({ turn, text }) => line(`answer${turn}`, "answer", text));
  // While the connection is gone, that is what the page says.
  const tell = (text) => mine.state === "open" && say(text);
  on("speech_started", () => tell("Listening…"));
  on("speech_ended", () => tell("Thinking…"));
  on("turn", (turn) => finished(mine, turn));
  on("notice", ({ code, text }) => (code === "disclosure" ? line("disclosure", "answer", text) : tell(text)));
  on("error", ({ text }) => complain(text));
  on("level", ({ input }) => loudness(Math.sqrt(input)));
  on("sound", ({ sounding: now }) => {
    // The turn is over at the server before its last sound is over here; a gap between two sounds is no end.
    if (!now && sounding) return void (quiet ||= setTimeout(() => call === mine && (sounds(false), tell(yourTurn(mine))), GAP_MS));
    sounds(now);
    if (now) tell("Answering…");
  });
  on("microphone", ({ error }) => {
    mute.disabled = Boolean(error) || preferences.mode === "press";
    hold.hidden = Boolean(error) || preferences.mode !== "press";
    mine.spoken = !error;
    if (error) complain(microphoneTrouble(error));
    else devices();
    tell(yourTurn(mine));
  });
}

// A button that somebody's keyboard is on stays, or the keyboard would be nowhere.
function sounds(now) {
  clearTimeout(quiet);
  [sounding, quiet] = [now, 0];
  interrupt.disabled = !now && document.activeElement !== interrupt;
}

function connection(mine, state, text) {
  const shown = { connecting: ["Connecting…", "warn"], open: ["Connected", "good"], reconnecting: ["Reconnecting…", "warn"], ended: ["Not connected", ""] };
  const [words, kind] = shown[state];
  element("link").textContent = words;
  element("link").className = `pill ${kind}`;
  if (state === "ended") return over(mine, text);
  announce(text || words);
  if (state === "open") say(text || yourTurn(mine));
  else say(text || words);
}

function over(mine, text) {
  call = null;
  show(false);
  if (text) complain(text);
  else say("The call has ended. Press the button for another one, or type a question.");
  announce("The call has ended.");
}

function yourTurn(mine) {
  if (!mine.spoken) return "Type a question.";
  if (preferences.mode !== "press" && mine.muted) return "You are muted.";
  return preferences.mode === "press" ? "Hold the button or the space key and speak." : "Speak whenever you like.";
}

function finished(mine, { turn, said, reply, heard, interrupted, ledger, totalMs }) {
  if (said) line(`caller${turn}`, "caller", said);
  const cut = reply && interrupted && reply.startsWith(heard);
  if (cut) line(`answer${turn}`, "answer", heard, reply.slice(heard.length));
  if (mine.state === "open") say(yourTurn(mine));
  if (!mine.spoken && reply) announce(`Answer: ${reply}`);
  if (said) times({ ledger, totalMs });
}

// Where the time of the last answer went. A reloaded page shows it again.
function times(kept) {
  const { ledger, totalMs } = kept;
  sessionStorage.setItem(TIMES, JSON.stringify(kept));
  element("chip").hidden = false;
  element("chip").textContent = `${Math.round(totalMs)} ms`;
  element("chip").setAttribute("aria-label", `Answered in ${Math.round(totalMs)} ms, details`);
  const spoken = ledger.endpoint > 0;
  const [figure, rest] = [document.createElement("b"), spoken ? " from your last sound to its first" : " from your question to its first sound"];
  figure.textContent = `${Math.round(totalMs)} ms`;
  element("total").replaceChildren(figure, rest);
  waterfall(element("bar"), element("stages"), ledger, totalMs);
}

function line(key, who, text, unheard = "", partial = false) {
  lines.set(key, { who, text, unheard, partial });
  drawLine(key);
  sessionStorage.setItem(LINES, JSON.stringify([...lines].slice(-200)));
}

function drawLine(key) {
  const { who, text, unheard, partial } = lines.get(key);
  element("examples").hidden = true;
  let item = document.getElementById(key);
  if (!item) {
    item = log.appendChild(document.createElement("li"));
    item.id = key;
  }
  item.className = partial ? `${who} partial` : who;
  item.replaceChildren(span("who", who === "caller" ? "You: " : "Answer: "), text, span("unheard", unheard));
  element("scroll").scrollTop = element("scroll").scrollHeight;
}

function clearLines() {
  lines = new Map();
  log.replaceChildren();
  sessionStorage.removeItem(LINES);
  sessionStorage.removeItem(TIMES);
}

function restoreLines() {
  lines = new Map(JSON.parse(sessionStorage.getItem(LINES) ?? "[]"));
  log.replaceChildren();
  [...lines.keys()].forEach(drawLine);
  const kept = JSON.parse(sessionStorage.getItem(TIMES) ?? "null");
  if (kept) times(kept);
}

function span(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

function microphoneTrouble({ name, message }) {
  return {
    NotAllowedError: "The microphone is not allowed. Allow it in the browser's address bar and start again, or type.",
    NotFoundError: "No microphone was found. Plug one in and start again, or type.",
    OverconstrainedError: "That microphone is not there any more. Choose another one, or type.",
    NotReadableError: "Another program is using the microphone. Close it and start again, or type.",
    InsecureError: "The browser gives the microphone to secure pages only: open this page at localhost or by https, or type.",
  }[name] ?? `The microphone does not work (${message}). You can type.`;
}

function loudness(value) {
  level.value = value;
  talk.style.setProperty("--loud", value.toFixed(2));
}

function show(active) {
  element("talk-label").textContent = active ? "Hang up" : "Start talking";
  talk.setAttribute("aria-pressed", String(active));
  document.body.dataset.state = active ? "call" : "idle";
  if (active) return;
  loudness(0);
  sounds(false);
  for (const button of [mute, interrupt]) button.disabled = true;
  mute.setAttribute("aria-pressed", "false");
  hold.hidden = true;
  say("Press the button and speak, or type a question.");
}

// Names of devices are told to pages that have had the microphone only.
async function devices() {
  const found = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind] of [["input", "audioinput"], ["output", "audiooutput"]]) {
    const options = found.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default");
    const usual = new Option("As the browser chooses", "");
    element(id).replaceChildren(usual, ...options.map(({ label, deviceId }) => new Option(label || "Unnamed", deviceId)));
    element(id).value = preferences[id];
    if (element(id).selectedIndex < 0) element(id).value = "";
  }
}

function prefer(name, value) {
  preferences[name] = value;
  localStorage.setItem(PREFERENCES, JSON.stringify(preferences));
}

function hush(on) {
  call?.mute(on);
  showMute();
}

// Where a press opens the microphone, it is closed otherwise, and there is nothing to mute.
function showMute() {
  mute.setAttribute("aria-pressed", String(preferences.mode !== "press" && Boolean(call?.muted)));
}

// Press to talk: pressing also interrupts, since whoever presses wants to be heard.
function press(down) {
  if (hold.hidden || hold.ariaPressed === String(down)) return;
  hold.setAttribute("aria-pressed", String(down));
  if (down && sounding) call?.interrupt();
  hush(!down);
  // Whether anything was said, the server tells.
  if (call?.state === "open") say(down ? "Listening…" : yourTurn(call));
}

talk.onclick = () => (call ? call.hangUp() : begin(true));
mute.onclick = () => {
  hush(!call.muted);
  if (call.state === "open" && !sounding) say(yourTurn(call));
};
interrupt.onclick = ({ detail }) => {
  if (sounding) call?.interrupt();
  if (detail) interrupt.blur(); // By pointer.
};
interrupt.onblur = () => setTimeout(() => (interrupt.disabled ||= !sounding));
hold.onpointerdown = (event) => {
  hold.setPointerCapture(event.pointerId);
  press(true);
};
hold.onpointerup = hold.onpointercancel = () => press(false);
hold.onblur = () => press(false);

// The space key talks wherever it does not type or press something else.
const typing = (target) => target.closest("input, select, textarea, button:not(#hold), a");
document.addEventListener("keydown", (event) => {
  if (event.code !== "Space" || typing(event.target) || hold.hidden) return;
  event.preventDefault();
  press(true);
});
document.addEventListener("keyup", (event) => {
  if (event.code !== "Space" || typing(event.target) || hold.hidden) return;
  event.preventDefault();
  press(false);
});
document.addEventListener("pointerdown", () => call?.audio?.resume());

for (const mode of document.getElementsByName("mode")) {
  mode.checked = mode.value === preferences.mode;
  mode.onchange = () => {
    prefer("mode", mode.value);
    hold.hidden = !call?.spoken || mode.value !== "press";
    mute.disabled = !call?.spoken || mode.value === "press";
    if (call?.spoken) {
      hush(mode.value === "press");
      say(yourTurn(call));
    }
  };
}
element("input").onchange = ({ target }) => {
  prefer("input", target.value);
  if (call?.spoken) call.useInput(target.value);
};
element("output").onchange = ({ target }) => {
  prefer("output", target.value);
  call?.useOutput(target.value).catch((error) => complain(`That loudspeaker cannot be used (${error.message}).`));
};
element("output-field").hidden = !("setSinkId" in AudioContext.prototype);
navigator.mediaDevices?.addEventListener?.("devicechange", devices);

async function type(text) {
  const mine = call ?? (await begin(false));
  if (call !== mine) return void (element("words").value ||= text);
  complain("");
  mine.say(text);
  if (mine.state === "reconnecting") say("Your question goes out when the connection is back.");
}

element("form").onsubmit = (event) => {
  event.preventDefault();
  const text = element("words").value.trim();
  element("words").value = "";
  if (text) type(text);
};
for (const example of document.querySelectorAll(".example")) example.onclick = () => type(example.textContent);

// A keyboard that opens on a telephone must not hide what was said last.
new ResizeObserver(() => (element("scroll").scrollTop = element("scroll").scrollHeight)).observe(element("scroll"));

show(false);
const saved = VoiceCall.saved();
if (saved) begin(saved.microphone, saved);
// Later, since it fetches every file of both pages, and the first paint comes first.
setTimeout(() => navigator.serviceWorker?.register("/sw.js").catch(() => {}), 1000);
