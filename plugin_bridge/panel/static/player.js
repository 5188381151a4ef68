// Plays a file that is tried: what the server makes of it is heard here.

import { token } from "./surface.js";

const START_S = 0.1; // of sound that waits before it begins, as in worklet.js
const MOST_S = 0.6;
const RETRY_MS = 1000;

export class Player {
  #sound = null; // what is heard here; null until a press has asked for it
  #fault = ""; // why nothing is heard here
  #sought = 0; // until then the position is where the hand has it

  constructor(surface, parent) {
    Object.assign(this, { surface, parent });
    [this.button, this.position, this.time, this.write, this.message] =
      ["play", "position", "time", "write", "message"].map((id) => document.getElementById(id));
    this.button.addEventListener("click", () => this.toggle());
    this.write.addEventListener("click", () => surface.order({ write: 1 }));
    surface.addEventListener("change", () => this.#follow());
    this.position.addEventListener("input", () => {
      if (!this.there) return;
      this.#sought = performance.now() + 500;
      surface.order({ seek: this.position.valueAsNumber });
      this.#showTime(this.position.valueAsNumber);
    });
  }

  get there() { return Boolean(this.surface.player); }

  // Play or pause for all; where it plays and is not heard here, let it be heard here.
  toggle() {
    if (!this.there) return;
    const { playing } = this.surface.player;
    const isHeard = this.#sound || this.#fault; // or would be
    if (!this.#sound && !(playing && this.#fault)) this.#listen();
    this.#sound?.resume();
    if (!playing || isHeard) this.surface.order({ play: playing ? 0 : 1 });
    this.update();
  }

  // What is there after a break may be another file, or a panel without one.
  #follow() {
    if (!this.surface.connected) this.surface.player = null;
    else if (!this.there) this.#close();
    else if (this.#sound && this.#sound.rateHz !== this.surface.player.rate_hz) this.#listen();
  }

  update() {
    if (!this.surface.connected) return;
    this.parent.hidden = !this.there;
    if (!this.there) return;
    const { playing, position_s, duration_s, writing, message, file } = this.surface.player;
    const text = !playing ? "Play" : this.#sound || this.#fault ? "Pause" : "Listen";
    if (this.button.textContent !== text) this.button.textContent = text;
    this.write.disabled = writing;
    const words = [this.#fault, message || file].filter(Boolean).join(" ");
    if (this.message.textContent !== words) this.message.textContent = words;
    this.position.max = duration_s;
    if (performance.now() < this.#sought) return;
    this.position.value = position_s;
    this.#showTime(position_s);
  }

  #showTime(seconds) {
    const { duration_s } = this.surface.player;
    const words = `${clock(seconds)} / ${clock(duration_s)}`;
    if (this.time.textContent !== words) this.time.textContent = words;
    this.position.setAttribute("aria-valuetext", clock(seconds));
    this.position.style.setProperty("--filled", `${100 * seconds / duration_s}%`);
  }

  // Browsers let sound begin at a press alone; after one they also do without.
  #listen() {
    this.#close();
    const sound = new Sound(this.surface.player.rate_hz, () => this.there);
    this.#sound = sound;
    sound.open().catch((error) => {
      if (sound !== this.#sound) return; // it was closed meanwhile
      this.#close();
      this.#fault = `This browser opens no sound (${error.message}).`;
      this.update();
    });
  }

  #close() {
    this.#sound?.close();
    this.#sound = null;
    this.#fault = "";
  }
}

// The blocks of a file at a rate, as they come from the server while there is a player.
class Sound {
  #context = null;
  #socket = null;
  #retry = 0;
  #ended = false;

  constructor(rateHz, isThere) {
    Object.assign(this, { rateHz, isThere });
  }

  async open() {
    this.#context = new AudioContext({ sampleRate: this.rateHz });
    this.resume();
    const take = await inWorklet(this.#context).catch(() => scheduled(this.#context));
    if (!this.#ended) this.#connect(take);
  }

  resume() { this.#context?.resume().catch(() => {}); } // it may be closed meanwhile

  close() {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#context?.close();
  }

  #connect(take) {
    const socket = new WebSocket(`ws://${location.host}/sound`);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (token()) socket.send(JSON.stringify({ token: token() }));
    };
    socket.onmessage = ({ data }) => take(data);
    socket.onclose = () => this.#connectLater(take);
  }

  #connectLater(take) {
    if (this.#ended) return;
    this.#retry = setTimeout(() => {
      if (this.isThere()) this.#connect(take);
      else this.#connectLater(take);
    }, RETRY_MS);
  }
}

// Return what plays blocks, left and right by turns, on the browser's thread of sound. A page that
// comes by plain http from another machine may not do that: it raises there.
async function inWorklet(context) {
  await context.audioWorklet.addModule("worklet.js");
  const node = new AudioWorkletNode(context, "stemsteer", { outputChannelCount: [2] });
  node.connect(context.destination);
  return (data) => node.port.postMessage(data, [data]);
}

// Return what plays blocks one behind the other from this thread; a late one leaves silence.
function scheduled(context) {
  const rate = context.sampleRate;
  const out = new GainNode(context);
  out.connect(context.destination);
  let next = 0; // sample of the context at which the next block begins
  return (data) => {
    const samples = new Float32Array(data);
    const now = Math.ceil(context.currentTime * rate);
    if (next < now) next = now + Math.round(START_S * rate);
    if (next > now + MOST_S * rate) return; // it is left out, to be near to what is done
    const buffer = context.createBuffer(2, samples.length / 2, rate);
    for (const side of [0, 1]) {
      const channel = buffer.getChannelData(side);
      for (let k = 0; k < channel.length; k++) channel[k] = samples[2 * k + side];
    }
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(out);
    source.start(next / rate);
    next += buffer.length;
  };
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
