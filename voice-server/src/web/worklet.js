// Sound in and out of the page, on the audio thread: `capture` turns the microphone into 20 ms frames of 16-bit samples
// at 16 kHz, `playback` plays numbered replies from a queue that can be flushed, held and made quieter at once.

const CAPTURE_RATE = 16000;
const FRAME = 320;
const TAPS = 32;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ratio = sampleRate / CAPTURE_RATE;
    // Cut below half of the lower rate, or what lies above would fold back into the voice.
    this.cut = Math.min(1, 1 / this.ratio) * 0.9;
    this.past = new Float32Array(4096);
    this.length = 0;
    this.at = TAPS;
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.peak = 0;
  }

  process([input]) {
    const sound = input[0];
    if (!sound) return true;
    this.past.set(sound, this.length);
    this.length += sound.length;
    for (; this.at + TAPS < this.length; this.at += this.ratio) this.push(this.between(this.at));
    const used = Math.floor(this.at) - TAPS;
    this.past.copyWithin(0, used, this.length);
    this.length -= used;
    this.at -= used;
    return true;
  }

  // The sample at a place between samples: a sinc under a Hann window.
  between(at) {
    const middle = Math.floor(at);
    let sum = 0;
    for (let i = middle - TAPS + 1; i <= middle + TAPS; i++) {
      const x = at - i;
      const angle = Math.PI * x * this.cut;
      const sinc = Math.abs(angle) < 1e-9 ? 1 : Math.sin(angle) / angle;
      sum += this.past[i] * sinc * this.cut * (0.5 + 0.5 * Math.cos((Math.PI * x) / TAPS));
    }
    return sum;
  }

  push(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.peak = Math.max(this.peak, Math.abs(clipped));
    this.frame[this.filled++] = Math.round(clipped * 32767);
    if (this.filled === FRAME) {
      this.port.postMessage({ frame: this.frame.buffer, peak: this.peak }, [this.frame.buffer]);
      this.frame = new Int16Array(FRAME);
      this.filled = 0;
      this.peak = 0;
    }
  }
}

// Takes `{reply, seq, sound}`, `{clear}`, `{hold}`, `{quiet}` and `{from}`; tells `{reply, playedMs, done, peak, sounding}`.
class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.rate = rate;
    this.step = rate / sampleRate;
    this.lead = Math.round(rate * 0.06); // Starts 60 ms behind, against a late message.
    this.chunks = [];
    this.waiting = 0;
    this.playing = false;
    this.held = false;
    this.at = 0;
    this.last = 0;
    this.gain = 1;
    this.wanted = 1;
    this.reply = 0;
    this.played = 0;
    this.done = 0;
    this.peak = 0;
    this.reported = 0;
    this.port.onmessage = ({ data }) => this.order(data);
  }

  order({ clear, hold, quiet, from, reply, seq, sound }) {
    if (clear !== undefined) return this.clear(clear);
    if (quiet !== undefined) return void (this.wanted = quiet ? 0.2 : 1);
    // A page that was reloaded goes on counting where the one before it stopped.
    if (from !== undefined) return void Object.assign(this, { reply: from.reply, played: (from.playedMs * this.rate) / 1000 });
    if (hold !== undefined) {
      this.held = hold;
      this.playing = false;
      return this.report();
    }
    this.chunks.push({ reply, seq, sound: new Int16Array(sound), at: 0 });
    this.waiting += sound.byteLength >> 1;
    this.came = currentTime;
  }

  clear(reply) {
    this.chunks = this.chunks.filter((chunk) => chunk.reply !== reply);
    this.waiting = this.chunks.reduce((sum, chunk) => sum + chunk.sound.length - chunk.at, 0);
    this.report();
  }

  // The next sample of the source, or undefined where none has come.
  take() {
    while (this.chunks.length && this.chunks[0].at >= this.chunks[0].sound.length) this.done = this.chunks.shift().seq;
    const chunk = this.chunks[0];
    if (!chunk) return undefined;
    if (chunk.reply !== this.reply) {
      this.report();
      this.reply = chunk.reply;
      this.played = 0;
    }
    this.played++;
    this.waiting--;
    return chunk.sound[chunk.at++] / 32768;
  }

  report() {
    const { reply, done, peak, playing: sounding } = this;
    if (reply) this.port.postMessage({ reply, playedMs: (this.played * 1000) / this.rate, done, peak, sounding });
    this.reported = currentTime;
    this.peak = 0;
  }

  process(_, [[out]]) {
    if (this.held) return true;
    // A short answer never fills the lead; it starts when nothing more has come for as long.
    if (!this.playing) this.playing = this.waiting >= this.lead || (this.waiting > 0 && currentTime - this.came > 0.06);
    if (!this.playing) return true;
    for (let i = 0; i < out.length; i++) {
      for (this.at += this.step; this.at >= 1; this.at--) {
        const next = this.take();
        if (next === undefined) {
          this.playing = false;
          this.last *= 0.9;
          this.next = 0;
        } else {
          this.last = this.next ?? next;
          this.next = next;
        }
      }
      this.gain += (this.wanted - this.gain) * 0.002; // About 10 ms from one loudness to the other, without a click.
      out[i] = (this.last + ((this.next ?? 0) - this.last) * this.at) * this.gain;
      this.peak = Math.max(this.peak, Math.abs(out[i]));
    }
    if (!this.playing || currentTime - this.reported > 0.1) this.report();
    return true;
  }
}

registerProcessor("capture", Capture);
registerProcessor("playback", Playback);
