// The meters: what can be checked of the sound, and how what plays is doing.

const NAMES = {
  null: "Null",
  target: "Target",
  residual: "Residual",
  correlation: "Correlation",
  difference: "R − L",
  latency: "Latency",
  load: "Load",
  dropouts: "Dropouts",
  model: "Model",
};
const HELP = {
  null: "Target + residual − mix: how much is lost or added. Rounding alone is below −120 dB.",
  target: "RMS of the target",
  residual: "RMS of everything else",
  correlation: "Of the target's channels: 1 is one point, 0 wide, −1 out of phase",
  difference: "Level of the target's right channel over its left one",
  latency: "From input to output",
  load: "Share of real time that the engine needs",
  dropouts: "Blocks for which the engine was late",
  model: "Model and tier",
};
const QUIET_DB = -100; // from here on whole numbers do
const LEAST_DB = -200;

export class Truth {
  #cells = {};

  constructor(surface, picture, parent) {
    Object.assign(this, { surface, picture });
    for (const [key, name] of Object.entries(NAMES)) {
      const group = document.createElement("div");
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = name;
      group.title = HELP[key];
      group.dataset.meter = key;
      group.append(term, value);
      parent.append(group);
      this.#cells[key] = { value, group };
    }
  }

  update() {
    const { surface, picture } = this;
    const { null_db, correlation, difference_db } = picture;
    const rate = Number(surface.fact("rate_hz")) || 44_100;
    // a file that is tried waits for its sound, so it has none of these
    const meter = (name) => (surface.player ? undefined : surface.meter(name));
    const latency = meter("latency");
    const dropouts = meter("dropouts");
    const load = meter("load");
    const texts = {
      null: db(null_db),
      target: db(surface.meter("level_target")),
      residual: db(surface.meter("level_residual")),
      correlation: Number.isFinite(correlation) ? signed(correlation, 2) : "–",
      difference: Number.isFinite(difference_db) ? `${signed(difference_db, 1)} dB` : "–",
      latency: latency === undefined ? "–" : `${(1000 * latency / rate).toFixed(1)} ms`,
      load: load === undefined ? "–" : `${Math.round(100 * load)} %`,
      dropouts: dropouts === undefined ? "–" : String(dropouts),
      model: [surface.fact("model"), surface.fact("tier")].filter(Boolean).join(" · ") || "–",
    };
    for (const [key, text] of Object.entries(texts)) {
      const { value } = this.#cells[key];
      if (value.textContent !== text) value.textContent = text;
    }
    this.#mark("null", null_db > -90);
    this.#mark("dropouts", dropouts > 0);
    this.#mark("load", load > 0.8);
  }

  #mark(key, bad) {
    this.#cells[key].group.classList.toggle("bad", Boolean(bad));
  }
}

function db(value) {
  if (value === undefined || Number.isNaN(value)) return "–";
  return value <= LEAST_DB ? "−∞ dB" : `${signed(value, value < QUIET_DB ? 0 : 1)} dB`;
}

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return `${value < 0 && Number(text) ? "−" : ""}${text}`;
}
