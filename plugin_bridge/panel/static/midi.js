// Controllers of this browser's MIDI inputs, learned by a right click on what they are to move.

const KEPT = "stemsteer-midi"; // in this browser: "channel controller" by "control instance"
const CONTROL_CHANGE = 0xb0;
const NOT_IN_ADDRESS = /[\s#*,/?[\]{}]|[^\x21-\x7e]/g; // as `osc_name` of the server has it

export class Midi {
  #learning = null; // { instance, name }
  #access = null;

  constructor(surface, tell) {
    Object.assign(this, { surface, tell });
    this.known = kept();
    this.menu = document.getElementById("menu");
    [this.address, this.learn, this.forget] = ["address", "learn-midi", "forget-midi"].map((id) => document.getElementById(id));
    document.addEventListener("contextmenu", (event) => this.#open(event));
    this.learn.addEventListener("click", () => this.#learn());
    this.forget.addEventListener("click", () => this.#forget());
    surface.addEventListener("rename", ({ detail }) => this.#rename(detail));
    if (Object.keys(this.known).length) this.#listen();
  }

  #open(event) {
    const what = wanted(event.target, this.surface.selected);
    if (!what) return;
    event.preventDefault();
    this.what = what;
    this.address.textContent = address(what);
    const controller = this.known[key(what)];
    this.forget.hidden = !controller;
    if (controller) this.forget.textContent = `Forget ${words(controller)}`;
    this.menu.showPopover();
    // the keyboard's menu key has no place of its own
    const { left, bottom } = event.target.getBoundingClientRect();
    const [x, y] = event.clientX || event.clientY ? [event.clientX, event.clientY] : [left, bottom];
    const { width, height } = this.menu.getBoundingClientRect();
    this.menu.style.left = `${Math.max(0, Math.min(x, innerWidth - width))}px`;
    this.menu.style.top = `${Math.max(0, Math.min(y, innerHeight - height))}px`;
    this.learn.focus();
  }

  async #learn() {
    this.menu.hidePopover();
    this.#learning = this.what;
    const { instance, name } = this.what;
    if (await this.#listen()) this.tell(`Move the controller that is to move ${name} of ${instance}.`);
    else this.#learning = null;
  }

  #forget() {
    this.menu.hidePopover();
    delete this.known[key(this.what)];
    this.#keep();
  }

  // Let what was learned for a track go on under its new name.
  #rename(renamed) {
    const called = ({ instance, name }) => ({ instance: renamed.get(instance) ?? instance, name });
    if (this.#learning) this.#learning = called(this.#learning);
    if (this.what) {
      this.what = called(this.what);
      this.address.textContent = address(this.what);
    }
    const entries = Object.entries(this.known);
    const follows = ([moved]) => renamed.has(parts(moved).instance);
    const carried = entries.filter(follows).map(([moved, by]) => [key(called(parts(moved))), by]);
    if (!carried.length) return;
    this.known = Object.fromEntries([...entries.filter((entry) => !follows(entry)), ...carried]);
    this.#keep();
  }

  #keep() {
    try {
      localStorage.setItem(KEPT, JSON.stringify(this.known));
    } catch { /* then it is known until the page is closed */ }
  }

  // Listen to all inputs, also those that are plugged in later; return whether that can be.
  async #listen() {
    if (this.#access) return true;
    if (!navigator.requestMIDIAccess) {
      this.tell("This browser has no MIDI here: Chromium and Firefox have it, on the panel's own machine.", true);
      return false;
    }
    try {
      this.#access = await navigator.requestMIDIAccess();
    } catch {
      this.tell("The browser was not allowed to use MIDI.", true);
      return false;
    }
    const connect = () => {
      for (const input of this.#access.inputs.values()) input.onmidimessage = ({ data }) => this.#take(data);
    };
    this.#access.onstatechange = connect;
    connect();
    return true;
  }

  #take([status, controller, value]) {
    if ((status & 0xf0) !== CONTROL_CHANGE) return;
    const from = `${(status & 0x0f) + 1} ${controller}`;
    if (this.#learning) {
      this.known[key(this.#learning)] = from;
      this.#keep();
      const { instance, name } = this.#learning;
      this.tell(`${words(from)} moves ${name} of ${instance}.`);
      this.#learning = null;
    }
    for (const [moved, by] of Object.entries(this.known)) {
      const { instance, name } = parts(moved);
      const control = this.surface.controls[name];
      if (by !== from || !control || !this.surface.instances.includes(instance)) continue;
      this.surface.set(name, scaled(control, value), instance);
    }
  }
}

// What was learned before; nothing where the browser keeps nothing.
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {};
  }
}

// What a right click means: a row of numbers, an edge of a handle, or a handle.
function wanted(element, selected) {
  const row = element.closest(".number, #bypass");
  if (row) return selected && { instance: selected, name: row.dataset.control };
  const instance = element.closest(".handle")?.dataset.name;
  return instance && { instance, name: element.closest(".edge") ? "width" : "azimuth" };
}

// The value of a control. One whose default is the middle of its range is there at 64, as MIDI's
// pan is; the two halves then have different steps. Files and live MIDI have it so, too.
function scaled({ low, high, default: usual }, value) {
  let share = value / 127;
  if (usual === (low + high) / 2) share = value <= 64 ? value / 128 : 0.5 + (value - 64) / 126;
  return low + (high - low) * share;
}

function key({ instance, name }) {
  return `${name} ${instance}`;
}

// The reverse of `key`.
function parts(moved) {
  const [name] = moved.split(" ", 1);
  return { instance: moved.slice(name.length + 1), name };
}

function address({ instance, name }) {
  return `/stemsteer/${instance.replace(NOT_IN_ADDRESS, "_")}/${name}`;
}

function words(controller) {
  const [channel, number] = controller.split(" ");
  return `controller ${number} of channel ${channel}`;
}
