// The reference client of `voice.v1` (docs/PROTOCOL.md): one call, its microphone, its sound, its events. Any page may
// import it, also from another origin that the server lists in VOICE_ALLOWED_ORIGINS:
//
//   import { VoiceCall } from "https://voice.example/voice-client.js";
//   const call = new VoiceCall({ conversation, ticket });          // both from POST /api/v1/conversations; or neither
//   call.addEventListener("transcript", ({ detail }) => show(detail.turn, detail.text, detail.final));
//   call.addEventListener("state", ({ detail }) => status(detail.state, detail.text));
//   await call.start();                                            // in a click, or the browser keeps the sound back
//   call.say("typed words"); call.interrupt(); call.mute(true); call.hangUp();
//
// Options: `server` (default: where this file came from), `conversation`, `ticket`, `microphone` (default true), `input` and
// `output` (device ids), `greeting`, `resume` (what `VoiceCall.saved()` gave after a reload), `renew` (a function that is
// asked once where the caller's sign-in is over; it resolves to whether calling again makes sense).
// Events: each message of the server under its type; `state` {state: connecting|open|reconnecting|ended, code, text};
// `level` {input} and `sound` {reply, playedMs, peak, sounding} ten times a second and more; `microphone` {error} when it fails.
// A call outlives a dropped network and a reloaded page for 60 s: the client comes back by itself and misses nothing.

const RATE_IN = 16000;
const RATE_OUT = 24000;
const KEPT_MS = 60_000; // The server keeps a dropped call as long.
const STALLED = 2 * RATE_IN * 2; // Bytes that wait in the socket when nothing has been sent for 2 s.
const KEY = "voice.call";
const GONE = {
  1000: "", 1005: "",
  1006: "The connection broke. Check that the server runs, then start again.",
  1011: "Something went wrong on the server. Start again; its log has the details.",
  4401: "The call could not be continued. Start a new one.",
  4404: "The call is over. Start a new one.",
  4408: "The call ended because nobody spoke.",
  4409: "The call goes on in another window.",
};

export class VoiceCall extends EventTarget {
  constructor({ server = new URL(import.meta.url).origin, conversation, ticket, resume, ...options } = {}) {
    super();
    Object.assign(this, { server, ticket, options, id: resume?.id ?? conversation ?? freshId(), muted: resume?.muted ?? false, state: "new" });
    Object.assign(this, { token: resume?.token, lastSeq: resume?.lastSeq ?? 0, position: resume?.position, unplayed: [], unsaid: [], tries: 0 });
    this.resuming = Boolean(resume);
  }

  // The call that this tab had when it was reloaded, if it can still be continued.
  static saved() {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return saved && Date.now() - saved.at < KEPT_MS ? saved : null;
  }

  // Opens the socket first, so that a server that is gone is told apart from a microphone that is missing. Rejects
  // where the call could not be opened; a microphone that fails is told by an event, and typing goes on without it.
  async start() {
    this.audio = new AudioContext({ latencyHint: "interactive" });
    this.audio.resume(); // Not awaited: without a gesture it waits for one, and the call needs no sound to go on.
    const ready = this.audio.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    this.watch = new AbortController();
    addEventListener("offline", () => this.token && this.state === "open" && this.drop(), { signal: this.watch.signal });
    addEventListener("online", () => this.state === "reconnecting" && this.connect(), { signal: this.watch.signal });
    addEventListener("pagehide", () => this.save(), { signal: this.watch.signal });
    const opened = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.droppedAt = Date.now();
    this.connect();
    await Promise.all([opened, ready]);
    const processorOptions = { rate: RATE_OUT };
    this.player = new AudioWorkletNode(this.audio, "playback", { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
    this.player.port.onmessage = ({ data }) => this.played(data);
    if (this.position) this.player.port.postMessage({ from: this.position });
    for (const sound of this.early ?? []) this.player.port.postMessage(sound);
    this.player.connect(this.audio.destination);
    if (this.options.output) await this.useOutput(this.options.output).catch(() => {});
    if (this.options.microphone !== false) await this.useInput(this.options.input);
    return this;
  }

  // What is typed while the connection is away goes out when it is back.
  say(text) { this.state === "open" ? this.send({ type: "text", text }) : this.unsaid.push(text); }
  interrupt() { this.send({ type: "interrupt" }); }
  mute(on) { this.muted = on; this.send({ type: "mute", on }); }
  hangUp() { this.end(1000, ""); }

  // Listens to another microphone; without an id to the browser's usual one.
  async useInput(deviceId) {
    try {
      if (!navigator.mediaDevices) throw Object.assign(new Error("not a secure page"), { name: "InsecureError" });
      const wishes = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      if (deviceId) wishes.deviceId = { exact: deviceId };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: wishes });
      this.stream?.getTracks().forEach((track) => track.stop());
      this.source?.disconnect();
      this.stream = stream;
      if (this.state === "ended") return this.stop();
      stream.getAudioTracks()[0].onended = () => this.tell("microphone", { error: new Error("it was taken away") });
      this.capture ??= this.listener();
      this.source = this.audio.createMediaStreamSource(stream);
      this.source.connect(this.capture);
      this.tell("microphone", {});
    } catch (error) {
      this.tell("microphone", { error });
    }
  }

  // Plays on another loudspeaker, where the browser lets a page choose.
  async useOutput(deviceId) { await this.audio?.setSinkId?.(deviceId); }

  listener() {
    const capture = new AudioWorkletNode(this.audio, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }) => {
      this.tell("level", { input: this.muted || this.state !== "open" ? 0 : data.peak });
      if (this.muted || this.state !== "open" || this.socket.readyState !== WebSocket.OPEN) return;
      // A dead network says nothing; what piles up in the socket does.
      if (this.token && this.socket.bufferedAmount > STALLED) return this.drop();
      this.socket.send(data.frame);
    };
    return capture;
  }

  address(scheme) {
    const query = new URLSearchParams({ in: "pcm16", rate: RATE_IN, out: "pcm16", out_rate: RATE_OUT });
    if (this.options.greeting) query.set("greeting", "1");
    if (this.ticket && !this.resuming) query.set("ticket", this.ticket);
    return `${this.server.replace(/^http/, scheme)}/voice/${this.id}?${query}`;
  }

  connect() {
    clearTimeout(this.timer);
    this.change(this.tries || this.resuming ? "reconnecting" : "connecting");
    this.detach();
    const socket = (this.socket = new WebSocket(this.address("ws"), "voice.v1"));
    socket.binaryType = "arraybuffer";
    this.timer = setTimeout(() => this.closed(socket, 1006), 8000);
    socket.onopen = () => this.resuming && this.resume(socket);
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.heard(JSON.parse(data)) : this.sound(data));
    socket.onclose = ({ code, reason }) => this.closed(socket, code, reason);
  }

  // A server that has nothing to repeat says nothing; one that refuses closes at once.
  resume(socket) {
    this.send({ type: "resume", token: this.token, lastSeq: this.lastSeq });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => socket === this.socket && this.alive(), 1500);
  }

  detach() {
    if (this.socket) this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
  }

  // The first message shows that the call is open, or open again.
  alive(seq) {
    if (seq) this.lastSeq = Math.max(this.lastSeq, seq);
    if (this.state === "open") return;
    clearTimeout(this.timer);
    this.tries = 0;
    this.change("open", undefined, this.resuming ? "Connected again." : "");
    if (this.resuming && this.position) this.send({ type: "position", ...this.position });
    // The microphone may have been opened or closed meanwhile.
    if (this.muted || this.resuming) this.send({ type: "mute", on: this.muted });
    for (const text of this.unsaid.splice(0)) this.say(text);
    this.player?.port.postMessage({ hold: false });
    this.resolve();
  }

  // Binary: sequence and reply number as u32, then samples.
  sound(data) {
    const view = new DataView(data);
    const [seq, reply] = [view.getUint32(0), view.getUint32(4)];
    if (seq <= this.lastSeq) return; // It came before the drop.
    this.alive(seq);
    this.unplayed.push({ seq, reply });
    const sound = { reply, seq, sound: data.slice(8) };
    if (this.player) this.player.port.postMessage(sound);
    else (this.early ??= []).push(sound);
  }

  heard(message) {
    if (message.type === "error" && this.state !== "open" && this.resuming) return this.tell("error", message);
    if (message.seq && message.seq <= this.lastSeq && message.type !== "session") return;
    if (message.type === "session") this.token = message.resumeToken ?? this.token;
    if (message.type === "duck" || message.type === "restore") this.player?.port.postMessage({ quiet: message.type === "duck" });
    if (message.type === "clear") {
      this.unplayed = this.unplayed.filter(({ reply }) => reply !== message.reply);
      this.player?.port.postMessage({ clear: message.reply });
    }
    this.alive(message.seq);
    this.tell(message.type, message);
    this.save();
  }

  played({ done, ...rest }) {
    while (this.unplayed.length && this.unplayed[0].seq <= done) this.unplayed.shift();
    this.position = { reply: rest.reply, playedMs: rest.playedMs };
    this.send({ type: "position", ...this.position });
    this.tell("sound", rest);
    this.save();
  }

  // What a reloaded page needs: it has not heard what waits in the queue.
  save() {
    if (!this.token || this.state === "ended") return;
    const lastSeq = this.unplayed.length ? this.unplayed[0].seq - 1 : this.lastSeq;
    const { id, token, position, server } = this;
    const kept = { id, token, lastSeq, position, server, microphone: Boolean(this.stream), muted: this.muted, at: Date.now() };
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  }

  // The old socket is left to the server, which closes it when the call is taken up again: a close of ours would end the call.
  drop() {
    this.droppedAt = Date.now();
    this.retry();
  }

  retry() {
    this.detach();
    this.resuming = true;
    this.player?.port.postMessage({ hold: true });
    const wait = Math.min(4000, 200 * 2 ** this.tries++) * (0.75 + Math.random() / 2);
    this.change("reconnecting", undefined, "The connection dropped. Trying to come back…");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  async closed(socket, code, reason = "") {
    if (socket !== this.socket || this.state === "ended") return;
    clearTimeout(this.timer);
    if (this.state === "open") this.droppedAt = Date.now();
    const lost = code === 1006 || code === 1001 || code === 1012;
    if (lost && this.token && Date.now() - this.droppedAt < KEPT_MS) return this.retry();
    let text = GONE[code];
    if (lost && this.state === "connecting") {
      const refused = await this.refusal();
      if (refused.status === 401 && !this.renewed && (this.renewed = await this.options.renew?.())) return this.connect();
      text = refused.text;
    }
    const busy = `The server cannot take the call: ${reason || "call again in a moment"}.`;
    this.end(code, text ?? (code === 1013 ? busy : `The call ended: ${reason || code}.`));
  }

  // A browser does not say why a socket was refused; the server answers a plain request of the same address with it.
  async refusal() {
    try {
      const headers = this.server === location.origin ? { "X-Page-Origin": location.origin } : {};
      const answer = await fetch(this.address("http"), { headers, signal: AbortSignal.timeout(5000) });
      const { status } = answer;
      if (status === 426) return { status, text: "The call could not be opened. Try again in a moment." };
      return { status, text: `The server refuses the call: ${(await answer.json()).detail}.` };
    } catch {
      return { text: "The server does not answer. Check that it runs, then try again." };
    }
  }

  end(code, text) {
    if (this.state === "ended") return;
    this.detach();
    if (this.socket?.readyState <= WebSocket.OPEN) this.socket.close(1000);
    sessionStorage.removeItem(KEY);
    this.change("ended", code, text);
    this.stop();
    this.reject?.(new Error(text || "the call has ended"));
  }

  stop() {
    clearTimeout(this.timer);
    this.watch?.abort();
    this.stream?.getTracks().forEach((track) => track.stop());
    if (this.audio && this.audio.state !== "closed") this.audio.close();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  change(state, code, text = "") {
    if (state === this.state && !text) return;
    this.state = state;
    this.tell("state", { state, code, text });
  }

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

// A UUID of version 4; crypto.randomUUID exists on secure pages only.
function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((b, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + b.toString(16).padStart(2, "0")).join("");
}
