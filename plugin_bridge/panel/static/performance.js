// The button that records how controls move, and what it has recorded.

import { headers } from "./surface.js";

export class Performance {
  constructor(surface) {
    this.surface = surface;
    [this.parent, this.button, this.words, this.download] =
      ["performance", "record", "recorded", "download"].map((id) => document.getElementById(id));
    this.button.addEventListener("click", () => this.toggle());
    this.download.addEventListener("click", () => this.#save());
  }

  toggle() {
    this.surface.record(!this.surface.performance?.recording);
  }

  update() {
    const { recording = false, message = "", there = false } = this.surface.performance ?? {};
    this.button.setAttribute("aria-pressed", recording);
    this.parent.hidden = !message;
    this.download.hidden = !there;
    if (this.words.textContent !== message) this.words.textContent = message;
  }

  async #save() {
    const answer = await fetch("lanes", { headers: headers() });
    if (!answer.ok) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = answer.headers.get("Content-Disposition").split('"')[1];
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
