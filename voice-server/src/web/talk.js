// The talk page: one call at a time over `voice.v1` (docs/PROTOCOL.md). Works without a microphone by typing.

const OUT_RATE = 24000;
// The stages of an answer in the order in which they happen.
const STAGES = ["endpoint", "stt", "context", "llm", "clause", "tts", "engine", "pacing", "client"];
const element = (id) => document.getElementById(id);
const [talk, mute, level, log, bar] = [element("talk"), element("mute"), element("level"), element("log"), element("bar")];
let call = null;

function say(text) {
  element("status").textContent = text;
}

function complain(text) {
  element("alert").textContent = text;
  element("alert").hidden = !text;
}

class Call {
  constructor() {
    this.lines = new Map();
    this.muted = false;
    this.opened = false;
  }

  // Opens the socket first, so that a server that is gone is told apart from a microphone that is missing.
  async start(withMicrophone) {
    this.audio = new AudioContext({ latencyHint: "interactive" });
    const ready = Promise.all([this.audio.resume(), this.audio.audioWorklet.addModule("/worklet.js")]);
    await this.connect();
    await ready;
    this.player = new AudioWorkletNode(this.audio, "playback", {
      numberOfInputs: 0, outputChannelCount: [1], processorOptions: { rate: OUT_RATE },
    });
    this.player.port.onmessage = ({ data }) => this.send({ type: "position", ...data });
    this.player.connect(this.audio.destination);
    if (withMicrophone) await this.listen();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = `in=pcm16&rate=16000&out=pcm16&out_rate=${OUT_RATE}`;
    const address = `${location.host}/voice/${freshId()}?${query}`;
    this.socket = new WebSocket(`${scheme}://${address}`, "voice.v1");
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.heard(JSON.parse(data)) : this.sound(data));
    return new Promise((resolve, reject) => {
      this.socket.onopen = () => {
        this.opened = true;
        resolve();
      };
      this.socket.onclose = async ({ code, reason }) => {
        const trouble = this.opened ? ended(code, reason) : await refusal(`${location.protocol}//${address}`);
        this.over(trouble);
        reject(new Error("closed"));
      };
    });
  }

  async listen() {
    if (!navigator.mediaDevices) throw named("InsecureError");
    const wishes = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    this.microphone = await navigator.mediaDevices.getUserMedia({ audio: wishes });
    if (this.finished) return this.stop();
    this.microphone.getAudioTracks()[0].onended = () => complain("The microphone was taken away. You can go on by typing.");
    const capture = new AudioWorkletNode(this.audio, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }) => {
      level.value = this.muted ? 0 : Math.sqrt(data.peak);
      if (!this.muted && this.socket.readyState === WebSocket.OPEN) this.socket.send(data.frame);
    };
    this.audio.createMediaStreamSource(this.microphone).connect(capture);
    mute.disabled = false;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Binary: sequence and reply number as u32, then samples.
  sound(data) {
    const reply = new DataView(data).getUint32(4);
    if (reply !== this.sounding) {
      this.sounding = reply;
      say("Answering…");
    }
    this.player?.port.postMessage({ reply, sound: data.slice(8) });
  }

  heard(message) {
    switch (message.type) {
      case "transcript": return this.show(`caller${message.turn}`, "caller", message.text, "", !message.final);
      case "reply": return this.show(`answer${message.turn}`, "answer", message.text);
      case "speech_started": return say("Listening…");
      case "speech_ended": return say("Thinking…");
      case "clear": return this.player?.port.postMessage({ clear: message.reply });
      case "turn": return this.turn(message);
      case "notice": return say(message.text);
      case "error": return complain(message.text);
    }
  }

  turn({ turn, said, reply, heard, interrupted, ledger, totalMs }) {
    if (said) this.show(`caller${turn}`, "caller", said);
    if (reply && interrupted && reply.startsWith(heard)) this.show(`answer${turn}`, "answer", heard, reply.slice(heard.length));
    say(this.microphone ? "Your turn." : "Type the next question.");
    if (said) waterfall(ledger, totalMs);
  }

  show(key, who, text, unheard = "", partial = false) {
    let line = this.lines.get(key);
    if (!line) {
      line = log.appendChild(document.createElement("li"));
      this.lines.set(key, line);
    }
    line.className = partial ? `${who} partial` : who;
    line.replaceChildren(span("who", who === "caller" ? "You: " : "Answer: "), text, span("unheard", unheard));
    log.scrollTop = log.scrollHeight;
  }

  hangUp() {
    this.socket?.close(1000);
    this.stop();
  }

  stop() {
    this.finished = true;
    this.microphone?.getTracks().forEach((track) => track.stop());
    if (this.audio && this.audio.state !== "closed") this.audio.close();
  }

  over(trouble) {
    this.stop();
    if (call !== this) return;
    call = null;
    show(false);
    if (trouble) complain(trouble);
  }
}

// A browser does not say why a socket was refused; the server answers a plain request of the same address with it.
async function refusal(address) {
  try {
    const headers = { "X-Page-Origin": location.origin };
    const answer = await fetch(address, { headers, signal: AbortSignal.timeout(5000) });
    if (answer.status === 426) return "The call could not be opened. Try again in a moment.";
    return `The server refuses the call: ${(await answer.json()).detail}.`;
  } catch {
    return "The server does not answer. Check that it runs, then try again.";
  }
}

function ended(code, reason) {
  return {
    1000: "", 1005: "",
    1006: "The connection broke. Check that the server runs, then start again.",
    1011: "Something went wrong on the server. Start again; its log has the details.",
    1013: `The server cannot take the call: ${reason || "call again in a moment"}.`,
    4408: "The call ended because nobody spoke.",
  }[code] ?? `The call ended: ${reason || code}.`;
}

function microphoneTrouble({ name, message }) {
  return {
    NotAllowedError: "The microphone is not allowed. Allow it in the browser's address bar and start again, or type.",
    NotFoundError: "No microphone was found. Plug one in and start again, or type.",
    NotReadableError: "Another program is using the microphone. Close it and start again, or type.",
    InsecureError: "The browser gives the microphone to secure pages only: open this page at localhost or by https, or type.",
  }[name] ?? `The microphone does not work (${message}). You can type.`;
}

function waterfall(ledger, totalMs) {
  const stages = STAGES.filter((name) => name in ledger).map((name) => [name, ledger[name]]);
  element("total").textContent = `${Math.round(totalMs)} ms from your last sound to its first`;
  bar.replaceChildren(...stages.map(([, ms], i) => {
    const part = span(`s${i}`, "");
    part.style.flexGrow = ms;
    return part;
  }));
  element("stages").replaceChildren(...stages.filter(([, ms]) => ms >= 0.5).map(([name, ms]) => {
    const line = document.createElement("li");
    line.className = `s${stages.findIndex(([other]) => other === name)}`;
    line.textContent = `${name} ${Math.round(ms)} ms`;
    return line;
  }));
}

function span(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

function named(name) {
  return Object.assign(new Error(name), { name });
}

// A UUID of version 4; crypto.randomUUID exists on secure pages only.
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((b, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + b.toString(16).padStart(2, "0")).join("");
}

function show(active) {
  talk.textContent = active ? "Hang up" : "Start talking";
  talk.setAttribute("aria-pressed", String(active));
  document.body.dataset.state = active ? "call" : "idle";
  if (!active) {
    level.value = 0;
    mute.disabled = true;
    mute.setAttribute("aria-pressed", "false");
    say("Press the button and speak, or type a question.");
  }
}

async function begin(withMicrophone) {
  complain("");
  log.replaceChildren();
  const mine = (call = new Call());
  show(true);
  say("Connecting…");
  try {
    await mine.start(withMicrophone);
    if (call === mine) say(withMicrophone ? "Speak." : "Type a question.");
  } catch (error) {
    // A socket that closed has said so itself; what is left is the microphone, and typing goes on without it.
    if (call === mine && mine.opened) {
      complain(microphoneTrouble(error));
      say("Type a question.");
    }
  }
  return mine;
}

talk.onclick = () => {
  if (!call) return begin(true);
  call.hangUp();
  call.over("");
};

mute.onclick = () => {
  call.muted = !call.muted;
  mute.setAttribute("aria-pressed", String(call.muted));
  call.send({ type: "mute", on: call.muted });
};

element("form").onsubmit = async (event) => {
  event.preventDefault();
  const text = element("words").value.trim();
  if (!text) return;
  element("words").value = "";
  const mine = call ?? (await begin(false));
  mine.send({ type: "text", text });
};

show(false);
