// What was done here can be undone: values before and after each gesture.

const TOGETHER_MS = 700; // steps of the same controls in this time are one gesture
const MOST = 200;

export class Undo extends EventTarget {
  #done = [];
  #undone = [];

  constructor(surface) {
    super();
    this.surface = surface;
    surface.addEventListener("rename", ({ detail }) => {
      for (const step of [...this.#done, ...this.#undone]) {
        step.instance = detail.get(step.instance) ?? step.instance;
      }
    });
  }

  get canUndo() { return this.#done.length > 0; }
  get canRedo() { return this.#undone.length > 0; }

  // Set controls as one step that can be undone; a drag is a row of steps with the same key.
  set(values, key = "", instance = this.surface.selected) {
    const { surface } = this;
    if (!surface.instances.includes(instance)) return;
    const names = Object.keys(values);
    const value = (name) => [name, surface.value(name, instance)];
    const now = () => Object.fromEntries(names.map(value));
    const before = now();
    for (const [name, value] of Object.entries(values)) surface.set(name, value, instance);
    const after = now();
    if (names.every((name) => before[name] === after[name])) return;
    this.#keep({ instance, key, before, after, time: performance.now() });
  }

  #keep(step) {
    // the last of this gesture, or that moved the same: another finger may move others in between
    const last = this.#done.findLast(({ instance, key, after }) => instance === step.instance
      && (key === step.key || Object.keys(step.after).some((name) => name in after)));
    if (step.key && last?.key === step.key && step.time - last.time < TOGETHER_MS) {
      Object.assign(last.after, step.after);
      last.before = { ...step.before, ...last.before };
      last.time = step.time;
    } else {
      this.#done.push(step);
      if (this.#done.length > MOST) this.#done.shift();
    }
    this.#undone = [];
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
