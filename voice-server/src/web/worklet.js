// Sound in and out of the page, on the audio thread: `capture` turns the microphone into 20 ms frames of 16-bit samples
// at 16 kHz, `playback` plays numbered replies from a ring that can be flushed at once.

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

class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.rate = rate;
    this.step = rate / sampleRate;
    this.lead = Math.round(rate * 0.06); // Starts 60 ms behind, against a late message.
    this.chunks = [];
    this.waiting = 0;
    this.playing = false;
    this.at = 0;
    this.last = 0;
    this.reply = 0;
    this.played = 0;
    this.reported = 0;
    this.port.onmessage = ({ data }) => {
      if (data.clear !== undefined) return this.clear(data.clear);
      this.chunks.push({ reply: data.reply, sound: new Int16Array(data.sound), at: 0 });
      this.waiting += data.sound.byteLength / 2;
      this.came = currentTime;
    };
  }

  clear(reply) {
    this.chunks = this.chunks.filter((chunk) => chunk.reply !== reply);
    this.waiting = this.chunks.reduce((sum, chunk) => sum + chunk.sound.length - chunk.at, 0);
    this.report();
  }

  // The next sample of the source, or undefined where none has come.
  take() {
    while (this.chunks.length && this.chunks[0].at >= this.chunks[0].sound.length) this.chunks.shift();
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
    if (this.reply) this.port.postMessage({ reply: this.reply, playedMs: (this.played * 1000) / this.rate });
    this.reported = currentTime;
  }

  process(_, [[out]]) {
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
      out[i] = this.last + ((this.next ?? 0) - this.last) * this.at;
    }
    if (!this.playing || currentTime - this.reported > 0.1) this.report();
    return true;
  }
}

registerProcessor("capture", Capture);
registerProcessor("playback", Playback);
