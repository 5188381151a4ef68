// The button that listens to a sound and lets it go by its timbre: for as long as it is held, by a
// pointer or by a key; after a short press, for two seconds.

const PRESS_S = 2;
const SHORT_MS = 400;
const LONGEST_S = 10; // what the engine listens for at most

export class Learn {
  #held = null; // { instance, since }
  #timer = 0;

  constructor(surface) {
    this.surface = surface;
    this.button = document.getElementById("learn");
    const { button } = this;
    button.title = `Listens to the sound as it is taken now, for as long as it is held, `
      + `${LONGEST_S} s at most; after a short press for ${PRESS_S} s. Then the sound goes by its timbre.`;
    button.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      button.setPointerCapture(event.pointerId);
      this.#begin();
    });
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // or it would be a click as well
      if (!event.repeat) this.#begin();
    });
    button.addEventListener("keyup", (event) => {
      if (event.key === " ") event.preventDefault();
      if (event.key === "Enter" || event.key === " ") this.#end();
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      button.addEventListener(type, () => this.#end());
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
    // a screen reader presses without a pointer and without keys
    button.addEventListener("click", ({ detail }) => detail === 0 && this.#listen(PRESS_S));
  }

  #begin() {
    if (this.#held) return;
    this.#held = { instance: this.surface.selected, since: performance.now() };
    this.#listen(LONGEST_S);
  }

  #end() {
    if (!this.#held) return;
    const { instance, since } = this.#held;
    const passed_ms = performance.now() - since;
    this.#held = null;
    if (passed_ms < SHORT_MS) this.#listen(PRESS_S, instance);
    else if (passed_ms < 1000 * LONGEST_S) this.#stop(instance);
  }

  #listen(seconds, instance = this.surface.selected) {
    const { button } = this;
    this.surface.ask("learn", seconds, instance);
    this.#show(false);
    button.style.setProperty("--listening", `${seconds}s`);
    void button.offsetWidth; // so that the line begins anew
    this.#show(true);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#show(false), 1000 * seconds);
  }

  #stop(instance) {
    clearTimeout(this.#timer);
    this.#show(false);
    this.surface.ask("learn", 0, instance);
  }

  #show(listening) {
    this.button.classList.toggle("listening", listening);
    this.button.setAttribute("aria-pressed", listening);
  }
}
