// Plays a file that is tried: what the server makes of it is heard here.

import { token } from "./surface.js";

export class Player {
  #context = null;
  #socket = null;
  #sought = 0; // until then the position is where the hand has it

  constructor(surface, parent) {
    Object.assign(this, { surface, parent });
    [this.button, this.position, this.time, this.write, this.message] =
      ["play", "position", "time", "write", "message"].map((id) => document.getElementById(id));
    this.button.addEventListener("click", () => this.toggle());
    this.write.addEventListener("click", () => surface.order({ write: 1 }));
    this.position.addEventListener("input", () => {
      this.#sought = performance.now() + 500;
      surface.order({ seek: this.position.valueAsNumber });
      this.#showTime(this.position.valueAsNumber);
    });
  }

  get there() { return Boolean(this.surface.player); }

  toggle() {
    const { playing } = this.surface.player;
    if (!playing) this.#listen();
    this.surface.order({ play: playing ? 0 : 1 });
  }

  update() {
    this.parent.hidden = !this.there;
    if (!this.there) return;
    const { playing, position_s, duration_s, writing, message, file } = this.surface.player;
    const text = playing ? "Pause" : "Play";
    if (this.button.textContent !== text) this.button.textContent = text;
    this.button.setAttribute("aria-pressed", playing);
    this.write.disabled = writing;
    if (this.message.textContent !== (message || file)) this.message.textContent = message || file;
    this.position.max = duration_s;
    if (performance.now() < this.#sought) return;
    this.position.value = position_s;
    this.#showTime(position_s);
  }

  #showTime(seconds) {
    const { duration_s } = this.surface.player;
    this.time.textContent = `${clock(seconds)} / ${clock(duration_s)}`;
    this.position.setAttribute("aria-valuetext", clock(seconds));
    this.position.style.setProperty("--filled", `${100 * seconds / duration_s}%`);
  }

  // Sound needs a press of the user first, so it is opened then.
  async #listen() {
    if (this.#context) {
      this.#context.resume();
      return;
    }
    const context = new AudioContext({ sampleRate: this.surface.player.rate_hz });
    this.#context = context;
    await context.audioWorklet.addModule("worklet.js");
    const node = new AudioWorkletNode(context, "stemsteer", { outputChannelCount: [2] });
    node.connect(context.destination);
    this.#connect(node);
  }

  #connect(node) {
    const socket = new WebSocket(`ws://${location.host}/sound`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (token()) socket.send(JSON.stringify({ token: token() }));
    };
    socket.onmessage = ({ data }) => node.port.postMessage(data, [data]);
    socket.onclose = () => setTimeout(() => this.#connect(node), 1000);
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
