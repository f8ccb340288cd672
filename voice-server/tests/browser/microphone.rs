//! A microphone that says a recording when it is told to, and a meter of what a page plays.
//!
//! Chromium's own fake microphone says one file once, from the moment that it is opened; a talk of several turns needs
//! words at the right moments, however slow the machine is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::webdriver::Browser;

/// Listens to whatever the page plays: what goes to a destination also goes to a meter.
pub(crate) const METER: &str = r"
  window.loudest = 0;
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      const meter = new AnalyserNode(this.context, { fftSize: 2048 });
      const samples = new Float32Array(2048);
      connect.call(this, meter);
      setInterval(() => {
        meter.getFloatTimeDomainData(samples);
        for (const sample of samples) window.loudest = Math.max(window.loudest, Math.abs(sample));
      }, 30);
    }
    return connect.call(this, to, ...rest);
  };
";

/// Gives the page a stream that is silent until `speak` is called.
pub(crate) const MICROPHONE: &str = r"
  navigator.mediaDevices.getUserMedia = async () => {
    window.mouth ??= new AudioContext();
    await mouth.resume();
    window.lips = mouth.createMediaStreamDestination();
    return lips.stream;
  };
  window.speak = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const source = new AudioBufferSourceNode(mouth, { buffer: await mouth.decodeAudioData(bytes.buffer) });
    source.connect(lips);
    source.start();
    return source.buffer.duration;
  };
";

/// Begins to say a recorded question; gives its words.
pub(crate) fn speak(browser: &Browser<'_>, name: &str) -> String {
    let sound = voice_fixtures::read("questions", &format!("{name}.ogg")).expect("a fixture");
    let seconds = browser.run(&format!("return speak('{}')", STANDARD.encode(sound)));
    assert!(seconds.as_f64().is_some_and(|seconds| seconds > 0.5), "nothing is said: {seconds}");
    let words = voice_fixtures::read("questions", &format!("{name}.txt")).expect("a fixture");
    String::from_utf8(words).expect("text").trim().to_owned()
}
