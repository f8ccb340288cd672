// A scripted `voice.v1`: answers typed words with a tone, keeps a call that dropped, and gives what was missed once.

import { randomBytes } from "node:crypto";

const RATE = 24000;
const FRAME_MS = 20;
const LEDGER = { endpoint: 210, stt: 42, context: 6, llm: 38, clause: 4, tts: 71, engine: 1, pacing: 3, client: 9 };
const ANSWER = "Two homes have a garden: a three-bedroom house on Alder Lane for $540,000, and a bungalow by the park for $465,000.";

export const calls = new Map();

export class Call {
  constructor(id) {
    Object.assign(this, { id, token: randomBytes(16).toString("hex"), seq: 0, sent: [], turn: 0, reply: 0, positions: [], resumed: 0 });
    this.startedAt = new Date().toISOString();
    calls.set(id, this);
  }

  attach(socket) {
    this.socket?.close(4409);
    this.socket = socket;
  }

  open() {
    this.say({ type: "session", id: this.id, resumeToken: this.token, in: { format: "pcm16", rate: 16000, channels: 1 }, out: { format: "pcm16", rate: RATE } });
  }

  resume(lastSeq) {
    this.resumed++;
    this.lastSeqs = [...(this.lastSeqs ?? []), lastSeq];
    for (const { seq, data } of this.sent) if (seq > lastSeq) this.socket.send(data);
  }

  put(seq, data) {
    this.sent.push({ seq, data });
    this.socket?.send(data);
  }

  say(message) {
    const seq = ++this.seq;
    this.put(seq, JSON.stringify({ ...message, seq }));
  }

  sound(reply, samples) {
    const seq = ++this.seq;
    const data = Buffer.alloc(8 + samples.length * 2);
    data.writeUInt32BE(seq, 0);
    data.writeUInt32BE(reply, 4);
    samples.forEach((sample, i) => data.writeInt16LE(sample, 8 + i * 2));
    this.put(seq, data);
  }

  handle(message) {
    if (message.type === "position") this.positions.push(message);
    if (message.type === "mute") this.muted = message.on;
    if (message.type === "interrupt") this.cut = true;
    if (message.type === "text") this.answer(message.text);
  }

  // The answer as it is spoken, three seconds of it; goes on while nobody is connected, as far as the tone goes.
  answer(said) {
    const [turn, reply] = [++this.turn, ++this.reply];
    this.cut = false;
    this.say({ type: "transcript", turn, text: said, final: true });
    this.say({ type: "reply", turn, text: ANSWER });
    let at = 0;
    const samples = (FRAME_MS * RATE) / 1000;
    const timer = setInterval(() => {
      if (!this.socket && at > 0) return;
      if (at < 150 && !this.cut) {
        this.sound(reply, Array.from({ length: samples }, (_, i) => Math.round(9000 * Math.sin((2 * Math.PI * 330 * (at * samples + i)) / RATE))));
        at++;
        return;
      }
      clearInterval(timer);
      if (this.cut) this.say({ type: "clear", reply });
      const heard = this.cut ? ANSWER.slice(0, Math.round((ANSWER.length * at) / 150)) : ANSWER;
      this.say({ type: "turn", turn, said, reply: ANSWER, heard, startedMs: 0, replyStartedMs: 500, interrupted: this.cut, ledger: LEDGER, totalMs: 384 });
    }, FRAME_MS);
  }
}
