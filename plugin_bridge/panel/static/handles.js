// The handles in the field: one a sound; its centre is the azimuth, its edges the width.

export const COLOURS = 8;
const STEP_DEG = 0.5;
const FINE = 0.2; // of a movement with Shift
const SNAP_DEG = 1.5;

export class Handles {
  #elements = new Map();
  #drags = new Map(); // by pointer

  constructor(surface, undo, picture, plot, parent) {
    Object.assign(this, { surface, undo, picture, plot, parent });
    plot.addEventListener("pointerdown", (event) => this.#press(event));
    plot.addEventListener("pointermove", (event) => this.#move(event));
    plot.addEventListener("lostpointercapture", ({ pointerId }) => this.#end(pointerId));
    surface.addEventListener("change", () => this.#endGone());
    plot.addEventListener("dblclick", () => this.reset());
    plot.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
    this.ghosts = document.createElement("div");
    this.ghosts.className = "ghosts";
    parent.append(this.ghosts);
  }

  update() {
    const { surface } = this;
    for (const [name, { handle }] of this.#elements) {
      if (!surface.instances.includes(name)) {
        handle.remove();
        this.#elements.delete(name);
      }
    }
    const rows = Math.max(2, Math.min(surface.instances.length, COLOURS));
    this.parent.style.setProperty("--rows", rows);
    surface.instances.forEach((name, index) => this.#place(name, index));
    if (document.activeElement?.matches(".grip")) this.#focus(); // another one may be selected now
    this.#showGhosts();
  }

  reset() {
    const { azimuth, width } = this.surface.controls;
    this.undo.set({ azimuth: azimuth.default, width: width.default });
  }

  // Move the selected handle by the keyboard; return whether the key means that.
  key(event) {
    const { surface } = this;
    const azimuth = surface.value("azimuth");
    const width = surface.value("width");
    const step = event.shiftKey ? STEP_DEG * FINE : STEP_DEG;
    const moves = {
      ArrowLeft: { azimuth: azimuth - step },
      ArrowRight: { azimuth: azimuth + step },
      ArrowUp: { width: width + 2 * step },
      ArrowDown: { width: width - 2 * step },
      PageUp: { azimuth: azimuth + 5 },
      PageDown: { azimuth: azimuth - 5 },
    }[event.key];
    if (moves) this.undo.set(moves, "key");
    else if (event.key === "Home") this.reset();
    return Boolean(moves) || event.key === "Home";
  }

  #focus() {
    this.#elements.get(this.surface.selected)?.grip.focus({ preventScroll: true });
  }

  #place(name, index) {
    const { surface } = this;
    const { handle, grip, label } = this.#element(name, index);
    const azimuth = surface.value("azimuth", name);
    const width = surface.value("width", name);
    const mix = surface.value("bypass", name) ? 0 : surface.value("mix", name);
    const selected = name === surface.selected;
    handle.classList.toggle("selected", selected);
    handle.classList.toggle("removed", surface.value("mode", name) === 1);
    handle.style.setProperty("--centre", `${(azimuth + 45) / 0.9}%`);
    handle.style.setProperty("--width", `${width / 0.9}%`);
    handle.style.setProperty("--mix", mix);
    handle.style.setProperty("--activity", activity(surface.meters[name]));
    label.textContent = name;
    grip.tabIndex = selected ? 0 : -1; // so that Tab leads from it to its own controls
    grip.setAttribute("aria-label", `${name}, azimuth`);
    grip.setAttribute("aria-valuenow", azimuth);
    grip.setAttribute("aria-valuetext", words(azimuth));
  }

  // The elements of a sound; they stay where others come and go, or the focus would be lost.
  #element(name, index) {
    const known = this.#elements.get(name) ?? this.#make(name);
    if (known.index !== index) {
      known.index = index;
      known.handle.className = `handle colour-${index % COLOURS}`;
      known.handle.style.setProperty("--row", index % COLOURS);
    }
    return known;
  }

  #make(name) {
    const handle = document.createElement("div");
    handle.dataset.name = name;
    const [beam, left, right, grip] = ["beam", "edge left", "edge right", "grip"].map((part) => {
      const element = document.createElement("div");
      element.className = part;
      handle.append(element);
      return element;
    });
    const label = document.createElement("span");
    grip.append(label);
    const slider = { role: "slider", "aria-valuemin": -45, "aria-valuemax": 45 };
    for (const [key, value] of Object.entries(slider)) grip.setAttribute(key, value);
    grip.addEventListener("focus", () => this.surface.select(name));
    this.parent.append(handle);
    const made = { handle, beam, left, right, grip, label };
    this.#elements.set(name, made);
    return made;
  }

  #degrees(event) {
    const { left, width } = this.plot.getBoundingClientRect();
    return (event.clientX - left) / width * 90 - 45;
  }

  // Begin a drag: of a handle's edge, of a handle, or of the selected one to where it is pressed.
  #press(event) {
    const { surface, undo } = this;
    if (event.button || !surface.instances.length) return;
    const handle = event.target.closest(".handle");
    if (handle) surface.select(handle.dataset.name);
    const instance = surface.selected;
    this.#focus();
    event.preventDefault();
    const name = event.target.classList.contains("edge") ? "width" : "azimuth";
    const drags = [...this.#drags.values()];
    if (drags.some((drag) => drag.instance === instance && drag.name === name)) return;
    this.plot.setPointerCapture(event.pointerId);
    const start = this.#degrees(event);
    const side = Math.sign(start - surface.value("azimuth")) || 1;
    const drag = {
      instance, name, start, last: start, moved: false,
      factor: name === "width" ? 2 * side : 1,
      value: handle ? surface.value(name) : start,
      key: `drag ${event.pointerId} ${performance.now()}`,
    };
    this.#drags.set(event.pointerId, drag);
    if (!handle) undo.set({ azimuth: this.#snapped(start, event) }, drag.key, instance);
    document.body.classList.add("dragging");
  }

  #move(event) {
    const drag = this.#drags.get(event.pointerId);
    if (!drag) return;
    const at = this.#degrees(event);
    drag.moved ||= Math.abs(at - drag.start) > 0.3;
    if (!drag.moved) return;
    drag.value += (at - drag.last) * (event.shiftKey ? FINE : 1) * drag.factor;
    drag.last = at;
    const value = drag.name === "azimuth" ? this.#snapped(drag.value, event) : drag.value;
    this.undo.set({ [drag.name]: value }, drag.key, drag.instance);
  }

  #end(pointerId) {
    this.#drags.delete(pointerId);
    document.body.classList.toggle("dragging", this.#drags.size > 0);
  }

  // What has gone is dragged no longer, also if it comes back.
  #endGone() {
    for (const [pointerId, { instance }] of this.#drags) {
      if (!this.surface.instances.includes(instance)) this.#end(pointerId);
    }
  }

  // The azimuth, drawn to a direction that stands out; not with Shift or Alt.
  #snapped(azimuth, { shiftKey, altKey }) {
    if (shiftKey || altKey) return azimuth;
    const near = this.picture.peaks.find((peak) => Math.abs(peak - azimuth) < SNAP_DEG);
    return near ?? Math.round(azimuth * 10) / 10;
  }

  #turn(event) {
    if (!this.surface.selected) return;
    event.preventDefault();
    const delta = event.deltaY || event.deltaX;
    if (!delta) return;
    const step = Math.min(Math.abs(delta) / 50, 3) * (event.shiftKey ? FINE : 1);
    this.undo.set({ width: this.surface.value("width") - Math.sign(delta) * step }, "wheel");
  }

  #showGhosts() {
    const { peaks } = this.picture;
    const key = peaks?.join() ?? "";
    if (key === this.shown) return;
    this.shown = key;
    this.ghosts.replaceChildren(...peaks.map((peak) => {
      const ghost = document.createElement("i");
      ghost.style.left = `${(peak + 45) / 0.9}%`;
      return ghost;
    }));
  }
}

export function words(azimuth) {
  const degrees = Math.abs(Math.round(azimuth * 10) / 10);
  return degrees ? `${degrees} degrees ${azimuth < 0 ? "left" : "right"}` : "centre";
}

function activity(meters) {
  if (!meters) return 0;
  if (meters.activity !== undefined) return meters.activity;
  return Math.min(Math.max((meters.level_target + 60) / 60, 0), 1);
}
