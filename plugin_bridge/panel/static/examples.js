// Sounds and pictures that are dropped onto a handle, or chosen: decoded here, and sent as samples
// and pixels.

import { headers } from "./surface.js";

const RATE_HZ = 44_100;
const LONGEST_S = 30;
const SIDE = 256; // pixels of a picture, each way
const MOST_BYTES = 300e6;

export class Examples {
  constructor(surface, plot, tell) {
    Object.assign(this, { surface, tell });
    this.file = document.getElementById("file");
    document.getElementById("choose").addEventListener("click", () => this.file.click());
    this.file.addEventListener("change", () => {
      this.take(this.file.files[0]);
      this.file.value = "";
    });
    for (const type of ["dragover", "drop"]) {
      document.addEventListener(type, (event) => event.preventDefault()); // no file replaces the page
    }
    plot.addEventListener("dragover", () => plot.classList.add("over"));
    for (const type of ["dragleave", "drop"]) plot.addEventListener(type, () => plot.classList.remove("over"));
    plot.addEventListener("drop", (event) => {
      const name = event.target.closest(".handle")?.dataset.name;
      if (name) surface.select(name);
      this.take(event.dataTransfer.files[0]);
    });
  }

  // Let the selected sound be what a file shows or sounds like.
  async take(file) {
    const instance = this.surface.selected;
    if (!file || !instance) return;
    const tell = (words, bad = false) => this.tell(words, bad, instance);
    tell(`${file.name} is looked at …`);
    try {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} is too large: cut it to ${LONGEST_S} s`);
      const [path, body] = await decoded(file);
      const query = new URLSearchParams({ instance, name: file.name });
      const answer = await fetch(`${path}?${query}`, { method: "POST", headers: headers(), body });
      tell(await answer.text(), !answer.ok);
    } catch (error) {
      tell(error instanceof TypeError ? "The panel does not answer." : error.message, true);
    }
  }
}

async function decoded(file) {
  if (!file.type.startsWith("image/")) {
    try {
      return ["sound-example", await samples(file)];
    } catch { /* it may be a picture without a type */ }
  }
  try {
    return ["picture-example", await pixels(file)];
  } catch {
    throw new Error(`${file.name} is neither a sound nor a picture that this browser can read`);
  }
}

// The first half minute of a sound, left and right by turns.
async function samples(file) {
  const context = new OfflineAudioContext(2, 1, RATE_HZ);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  const length = Math.min(sound.length, LONGEST_S * RATE_HZ);
  const left = sound.getChannelData(0);
  const right = sound.getChannelData(Math.min(1, sound.numberOfChannels - 1));
  const both = new Float32Array(2 * length);
  for (let k = 0; k < length; k++) {
    both[2 * k] = left[k];
    both[2 * k + 1] = right[k];
  }
  return both;
}

// The middle of a picture on white, three bytes a pixel.
async function pixels(file) {
  const picture = await createImageBitmap(file);
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  const scale = SIDE / Math.min(picture.width, picture.height);
  const [width, height] = [scale * picture.width, scale * picture.height];
  context.drawImage(picture, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  return new Uint8Array(SIDE * SIDE * 3).map((_, k) => data[4 * Math.floor(k / 3) + k % 3]);
}
