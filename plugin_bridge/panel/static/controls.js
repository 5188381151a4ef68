// The controls of the selected sound: numbers, what is heard, bypass, instruments.

import { SavedTimbres } from "./saved_timbres.js";

const ROWS = [
  { name: "azimuth", step: 0.5, unit: "°" },
  { name: "width", step: 1, unit: "°" },
  { name: "mix", step: 1, unit: "%", scale: 100 },
  { name: "gain", step: 0.5, unit: "dB" },
  { name: "strength", step: 1, unit: "%", scale: 100, timbre: true },
  { name: "timbre_morph", step: 1, unit: "%", scale: 100, timbre: true },
];
const HEARD_FROM = 0.3; // chance from which an instrument is said to be heard
const HEARD = {
  target: { mode: 0, mix: 1, bypass: 0 },
  residual: { mode: 1, mix: 1, bypass: 0 },
  mixture: { bypass: 1 },
};

// What is typed, NaN if it is no number. A field of the type "number" drops a decimal comma in
// some languages, so that 1,5 becomes 15.
function numberOf(text) {
  const written = text.trim().replace(",", ".").replace("\u2212", "-");
  return written === "" ? NaN : Number(written);
}

export class Controls {
  #rows = [];
  #known = "-";

  constructor(surface, undo) {
    Object.assign(this, { surface, undo });
    this.side = document.getElementById("side");
    this.instruments = document.getElementById("instruments");
    this.bypass = document.getElementById("bypass");
    this.hear = [...document.querySelectorAll("[data-hear]")];
    for (const button of this.hear) {
      button.addEventListener("click", () => this.listen(button.dataset.hear));
    }
    this.bypass.addEventListener("click", () => this.toggleBypass());
    document.getElementById("forget").addEventListener("click", () => surface.ask("like", ""));
    this.savedTimbres = new SavedTimbres(surface);
    this.instruments.addEventListener("keydown", (event) => this.#walk(event));
  }

  listen(what) {
    this.undo.set(HEARD[what]);
  }

  toggleBypass() {
    this.undo.set({ bypass: this.surface.value("bypass") ? 0 : 1 });
  }

  update() {
    const { surface } = this;
    this.side.hidden = !surface.selected;
    if (!surface.selected || !surface.controls.azimuth) return;
    if (!this.#rows.length) this.#makeRows();
    document.getElementById("name").textContent = surface.selected;
    for (const row of this.#rows) this.#show(row);
    const chosen = surface.has("mode"); // what of the sound is heard
    document.getElementById("hear").hidden = this.bypass.hidden = !chosen;
    document.getElementById("all-heard").hidden = chosen;
    const heard = this.#heard();
    for (const button of this.hear) {
      button.setAttribute("aria-pressed", button.dataset.hear === heard);
    }
    const bypassed = surface.value("bypass") === 1;
    this.bypass.setAttribute("aria-pressed", bypassed);
    const changed = !bypassed && !this.#isDry();
    this.bypass.classList.toggle("changed", changed);
    this.bypass.title = `What is heard is ${changed ? "not " : ""}as it came in; right click: OSC and MIDI`;
    this.bypass.querySelector(".text").textContent = bypassed ? "Bypassed" : "Bypass";
    this.#showInstruments();
    this.#showExample();
    this.savedTimbres.update();
  }

  #isDry() {
    return this.surface.value("mix") === 0 && this.surface.value("gain") === 0;
  }

  #heard() {
    const { surface } = this;
    if (surface.value("bypass")) return "mixture";
    if (surface.value("mix") < 1) return "";
    return surface.value("mode") ? "residual" : "target";
  }

  #makeRows() {
    const parent = document.getElementById("numbers");
    for (const { name, step, unit, scale = 1, timbre } of ROWS) {
      const { low, high, title, help } = this.surface.controls[name];
      const row = document.createElement("div");
      row.className = "number";
      row.title = `${help}; right click: OSC and MIDI`;
      row.dataset.control = name;
      const id = `number-${name}`;
      row.innerHTML = `<label></label><input type="range"><span class="typed"><input
        type="text" role="spinbutton" inputmode="decimal" autocomplete="off"><span aria-hidden="true"></span></span>`;
      const [label, range, , number, sign] = row.querySelectorAll("label,input,span");
      const words = title.replace("Timbre ", "");
      label.textContent = words;
      label.htmlFor = number.id = id;
      sign.textContent = unit;
      const [min, max] = [low * scale, high * scale];
      Object.assign(range, { min, max, step });
      Object.assign(number, { ariaValueMin: min, ariaValueMax: max });
      range.setAttribute("aria-label", `${words}, slider`);
      range.addEventListener("input", () => this.undo.set({ [name]: range.value / scale }, name));
      // `typedFor` is the sound for which a number is being typed, which may be selected no longer
      const parts = { name, scale, range, number, row, timbre, typedFor: "" };
      number.addEventListener("input", () => { parts.typedFor = this.surface.selected; });
      number.addEventListener("change", () => this.#type(parts));
      number.addEventListener("keydown", (event) => this.#step(event, parts));
      number.addEventListener("blur", () => this.#leave(parts));
      row.addEventListener("dblclick", (event) => {
        if (event.target === range) this.undo.set({ [name]: this.surface.controls[name].default });
      });
      parent.append(row);
      this.#rows.push(parts);
    }
  }

  #type(parts) {
    const { name, number, scale, typedFor } = parts;
    const value = numberOf(number.value) / scale;
    if (Number.isFinite(value)) this.undo.set({ [name]: value }, "", typedFor || undefined);
    this.#leave(parts);
  }

  #step(event, parts) {
    const { number, range } = parts;
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const value = numberOf(number.value) + step;
    if (!Number.isFinite(value)) return;
    event.preventDefault();
    number.value = Math.min(Math.max(value, range.min), range.max);
    this.#type(parts);
  }

  #leave(parts) {
    parts.typedFor = "";
    this.#show(parts);
  }

  #show(parts) {
    const { name, scale, range, number, row, timbre } = parts;
    const value = Math.round(this.surface.value(name) * scale * 100) / 100;
    row.hidden = !this.surface.has(name) || (Boolean(timbre) && !this.surface.fact("instruments"));
    if (range.valueAsNumber !== value) range.value = value;
    if (parts.typedFor !== this.surface.selected) parts.typedFor = "";
    if (!parts.typedFor && number.value !== String(value)) number.value = value;
    if (number.ariaValueNow !== String(value)) number.ariaValueNow = value;
    const { low, high } = this.surface.controls[name];
    range.style.setProperty("--filled", `${(value / scale - low) / (high - low) * 100}%`);
  }

  #showInstruments() {
    const { surface, instruments } = this;
    const known = surface.fact("instruments");
    if (known !== this.#known) {
      this.#known = known;
      document.getElementById("no-instruments").hidden = known !== "";
      instruments.hidden = known === "";
      this.#makeInstruments(known ? ["any", ...known.split(",")] : []);
    }
    const chosen = surface.value("instrument");
    const buttons = [...instruments.children];
    const checked = buttons.find(({ dataset }) => Number(dataset.number) === chosen);
    for (const button of buttons) {
      button.setAttribute("aria-checked", button === checked);
      button.tabIndex = button === (checked ?? buttons[0]) ? 0 : -1;
      this.#showHeard(button);
    }
    const unknown = document.getElementById("unknown-instrument");
    unknown.hidden = Boolean(checked) || !buttons.length;
    if (unknown.hidden) return;
    const name = surface.controls.instrument.choices[chosen]?.replaceAll("_", " ") ?? chosen;
    const words = `This model does not know the instrument ${name}: it takes any.`;
    if (unknown.textContent !== words) unknown.textContent = words;
  }

  #showHeard(button) {
    const chance = this.surface.heard[this.surface.selected]?.[button.dataset.name] ?? 0;
    const words = chance >= HEARD_FROM ? `${Math.round(100 * chance)} %` : "";
    if (button.lastChild.textContent === words) return;
    button.lastChild.textContent = words;
    button.title = words ? `Heard now, ${words} sure` : "";
    button.style.setProperty("--chance", words ? chance : 0);
  }

  #showExample() {
    const { surface } = this;
    document.getElementById("example").hidden = !surface.timbre("actions").includes("learn");
    const like = surface.timbre("like");
    const shown = document.getElementById("words");
    const words = [like, surface.timbre("counts")].filter(Boolean).join(": ");
    if (shown.textContent !== words) shown.textContent = words;
    document.getElementById("forget").hidden = !like;
  }

  #makeInstruments(names) {
    const { choices } = this.surface.controls.instrument;
    this.instruments.replaceChildren(...names.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      button.dataset.number = choices.indexOf(name);
      button.dataset.name = name;
      button.append(`${name.replaceAll("_", " ")} `, document.createElement("small"));
      button.addEventListener("click", () => this.#choose(button));
      return button;
    }));
  }

  #choose(button) {
    this.undo.set({ instrument: Number(button.dataset.number) });
    button.focus();
  }

  // Arrows walk through the instruments, as they do in any group of radio buttons.
  #walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...this.instruments.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    if (next) this.#choose(next);
    event.preventDefault();
    event.stopPropagation();
  }
}
