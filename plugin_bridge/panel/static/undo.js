// What was done here can be undone: values before and after each gesture.

const TOGETHER_MS = 700; // steps of the same controls in this time are one gesture
const MOST = 200;

export class Undo extends EventTarget {
  #done = [];
  #undone = [];

  constructor(surface) {
    super();
    this.surface = surface;
  }

  get canUndo() { return this.#done.length > 0; }
  get canRedo() { return this.#undone.length > 0; }

  // Set controls as one step that can be undone; a drag is a row of steps with the same key.
  set(values, key = "", instance = this.surface.selected) {
    const { surface } = this;
    if (!surface.instances.includes(instance)) return;
    const names = Object.keys(values);
    const before = Object.fromEntries(names.map((name) => [name, surface.value(name, instance)]));
    // the last of this gesture, or that moved the same: another finger may move others in between
    const last = this.#done.findLast((step) => step.instance === instance
      && (step.key === key || names.some((name) => name in step.after)));
    const now = performance.now();
    const goes_on = last && key && last.key === key && now - last.time < TOGETHER_MS;
    const step = goes_on ? last : { instance, key, after: {} };
    Object.assign(step, { time: now, before: { ...before, ...step.before } });
    if (!goes_on) this.#done.push(step);
    if (this.#done.length > MOST) this.#done.shift();
    this.#undone = [];
    for (const [name, value] of Object.entries(values)) surface.set(name, value, instance);
    for (const name of Object.keys(step.before)) step.after[name] = surface.value(name, instance);
    this.dispatchEvent(new Event("change"));
  }

  undo() { this.#move(this.#done, this.#undone, "before"); }
  redo() { this.#move(this.#undone, this.#done, "after"); }

  #move(from, to, which) {
    const step = from.pop();
    if (!step) return;
    to.push({ ...step, key: "" });
    if (this.surface.instances.includes(step.instance)) this.surface.select(step.instance);
    for (const [name, value] of Object.entries(step[which])) {
      this.surface.set(name, value, step.instance);
    }
    this.dispatchEvent(new Event("change"));
  }
}
