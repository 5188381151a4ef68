// The surface as this browser sees it: what the server tells, and what is moved here.

const RETRY_MS = [300, 600, 1200, 2000];
const REFUSALS = [1008, 1013]; // closes whose reason says why: against the rules, and full
const REFUSED_MS = 5000; // until it is tried again then
const SEND_MS = 8; // between two messages while a control is dragged
const HELD_MS = 400; // after a touch, what the server tells of a control may still be older

// What other machines have to know.
export function token() {
  return location.hash.slice(1);
}

// What goes with a request that is not for the page itself.
export function headers() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

export class Surface extends EventTarget {
  connected = false; // to the panel
  refused = ""; // why the panel lets this browser not in
  engine = false; // what plays is there
  instances = [];
  values = table();
  meters = table();
  facts = table();
  timbres = table();
  controls = {};
  fixed = {};
  player = null; // where a file is tried
  performance = null; // what is recorded
  savedTimbres = { timbres: [], n_more: 0 }; // name and encoder of each, and how many are left out
  heard = table(); // by instance, how surely each instrument is heard now
  selected = "";
  #wished = ""; // was selected last by a hand; it may be away for moments
  #answers = null; // by instance, the last one that was told; null before the first message
  #socket = null;
  #attempts = 0;
  #held = new Map(); // "instance control" → time until which the server is not believed
  #moves = table();
  #timer = 0;
  #sent = 0;

  connect() {
    const socket = new WebSocket(`ws://${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      if (token()) socket.send(JSON.stringify({ token: token() }));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#take(JSON.parse(data));
      else this.dispatchEvent(new CustomEvent("picture", { detail: data }));
    };
    socket.onclose = ({ code, reason }) => {
      this.connected = this.engine = false;
      this.refused = REFUSALS.includes(code) ? reason : "";
      this.#changed();
      const wait = RETRY_MS[Math.min(this.#attempts++, RETRY_MS.length - 1)];
      setTimeout(() => this.connect(), this.refused ? REFUSED_MS : wait);
    };
  }

  value(name, instance = this.selected) {
    return this.values[instance]?.[name] ?? this.controls[name]?.default ?? 0;
  }

  // Whether a sound has a control: with plugins on its stems it has no mix, mode and bypass.
  has(name, instance = this.selected) {
    return name in (this.values[instance] ?? {});
  }

  meter(name) {
    return this.meters[this.selected]?.[name];
  }

  fact(name) {
    return this.facts[this.selected]?.[name] ?? "";
  }

  // Move a control here, and tell the server; one that is not there is left out.
  set(name, value, instance = this.selected) {
    if (!this.has(name, instance)) return;
    const { low, high, kind } = this.controls[name];
    value = Math.min(Math.max(value, low), high);
    value = kind === "float" ? Math.round(value * 1000) / 1000 : Math.round(value);
    if (instance === this.selected) this.#wished = instance; // also where another one was wished
    this.values[instance][name] = value;
    (this.#moves[instance] ??= {})[name] = value;
    this.#held.set(`${instance} ${name}`, performance.now() + HELD_MS);
    const due = this.#sent + SEND_MS - performance.now();
    if (due <= 0) this.#send();
    else this.#timer ||= setTimeout(() => this.#send(), due);
    this.#changed();
  }

  select(instance) {
    this.#wished = instance;
    this.#choose(instance);
  }

  #choose(instance) {
    if (instance === this.selected) return;
    this.selected = instance;
    this.#show();
    this.dispatchEvent(new Event("select"));
    this.#changed();
  }

  timbre(name) {
    return this.timbres[this.selected]?.[name] ?? "";
  }

  // Ask something of the timbre of a sound.
  ask(action, value, instance = this.selected) {
    if (this.connected) this.#socket.send(JSON.stringify({ ask: [instance, action, value] }));
  }

  // Order the player to play, seek or write.
  order(order) {
    if (this.connected) this.#socket.send(JSON.stringify({ player: order }));
  }

  // Begin or end to record how controls move.
  record(wanted) {
    if (this.connected) this.#socket.send(JSON.stringify({ record: wanted }));
  }

  // Tell the answers to what was asked, each once. A browser that has missed some news is told all
  // answers anew, so what is new is what differs; what was answered before this page was is old.
  #hear(answers) {
    const known = this.#answers;
    this.#answers = Object.assign(table(), known, answers);
    if (!known) return;
    for (const [instance, answer] of Object.entries(answers)) {
      if (!answer || answer === known[instance]) continue;
      this.dispatchEvent(new CustomEvent("answer", { detail: { instance, answer } }));
    }
  }

  #show() {
    if (this.connected) this.#socket.send(JSON.stringify({ show: this.selected }));
  }

  #send() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.connected) {
      this.#moves = table();
      return;
    }
    this.#sent = performance.now();
    this.#socket.send(JSON.stringify({ set: this.#moves }));
    this.#moves = table();
  }

  #take(message) {
    const all = "controls" in message;
    const values = this.#believed(message.values ?? {}); // by what is here before it is forgotten
    const { instances, facts } = this;
    if (all) {
      const { controls, bands_hz, azimuths, floor_db, top_db } = message;
      Object.assign(this, { controls, fixed: { bands_hz, azimuths, floor_db, top_db } });
      this.connected = true;
      this.refused = "";
      this.#attempts = 0;
      this.values = this.meters = this.facts = this.timbres = table();
      this.player = null; // of this panel, which may be another one than before
      this.heard = table();
    }
    if ("connected" in message) this.engine = message.connected;
    if (message.instances) this.instances = message.instances;
    this.savedTimbres = { ...this.savedTimbres, ...message.saved_timbres };
    this.#hear(message.answers ?? {});
    for (const [instance, pairs] of Object.entries(message.heard ?? {})) {
      this.heard[instance] = Object.fromEntries(pairs ?? []);
    }
    if (message.performance) this.performance = { ...this.performance, ...message.performance };
    if (message.player) this.player = { ...this.player, ...message.player };
    for (const part of ["meters", "facts", "timbres"]) this[part] = patched(this[part], message[part] ?? {});
    this.values = patched(this.values, values);
    this.#follow(instances, facts);
    if (all) this.#show();
    this.#reselect();
    this.#changed();
  }

  // A track that its process serves under another name than before is called otherwise now: it
  // stays selected, and whoever keeps something by its name is told.
  #follow(instances, facts) {
    const before = new Map(instances.map((name) => [facts[name]?.worker, name]));
    const renamed = new Map();
    for (const name of this.instances) {
      const { worker } = this.facts[name] ?? {};
      const known = worker && before.get(worker);
      if (known && known !== name) renamed.set(known, name);
    }
    if (!renamed.size) return;
    this.#wished = renamed.get(this.#wished) ?? this.#wished;
    this.dispatchEvent(new CustomEvent("rename", { detail: renamed }));
  }

  // Select what was selected last by a hand; while it is not there, the first sound.
  #reselect() {
    const { instances } = this;
    if (instances.includes(this.#wished)) this.#choose(this.#wished);
    else if (!instances.includes(this.selected)) this.#choose(instances[0] ?? "");
    this.#wished ||= this.selected;
  }

  // The values that the server tells, without those that are being moved here.
  #believed(told) {
    const now = performance.now();
    const believed = table();
    for (const [instance, values] of Object.entries(told)) {
      believed[instance] = values && {}; // null of one that has gone
      for (const [name, value] of Object.entries(values ?? {})) {
        const key = `${instance} ${name}`;
        const held = value !== null && (this.#held.get(key) ?? 0) > now;
        clearTimeout(this.#recalls.get(key)); // what was told before is older
        believed[instance][name] = held ? this.value(name, instance) : value;
        if (held) this.#recall(instance, name, value);
      }
    }
    return believed;
  }

  // Take a value that was told during a touch once the touch is over, if nothing came since.
  #recall(instance, name, value) {
    const settle = () => this.#settle(instance, name, value);
    this.#recalls.set(`${instance} ${name}`, setTimeout(settle, HELD_MS));
  }
  #recalls = new Map();

  #settle(instance, name, value) {
    if ((this.#held.get(`${instance} ${name}`) ?? 0) > performance.now()) {
      this.#recall(instance, name, value);
    } else if (this.has(name, instance)) {
      this.values[instance][name] = value;
      this.#changed();
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// An object for what is told by instance, whose name may be any, also `constructor`.
function table() {
  return Object.create(null);
}

// What was told, with what is told now of it: a JSON merge patch, with null for what is gone.
function patched(told, patch) {
  const all = Object.assign(table(), told);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete all[key];
    else all[key] = typeof value === "object" ? patched(all[key], value) : value;
  }
  return all;
}
