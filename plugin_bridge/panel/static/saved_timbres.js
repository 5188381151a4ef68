// The list of timbres of the user's library. What is chosen in the open list is taken at once; what
// keys walk to in the closed one is taken by Enter, or by the button beside it.

const OPENS = ["Enter", " ", "F4"]; // keys that open the list, which then has its own Enter

export class SavedTimbres {
  #walks = false;

  constructor(surface) {
    this.surface = surface;
    [this.list, this.use] = ["library", "use"].map((id) => document.getElementById(id));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    for (const type of ["focus", "pointerdown"]) {
      this.list.addEventListener(type, () => { this.#walks = false; });
    }
    this.list.addEventListener("change", () => this.#change());
    this.use.addEventListener("click", () => {
      this.#take();
      this.list.focus(); // the button goes away
    });
  }

  update() {
    const { surface, list } = this;
    const encoder = surface.timbre("encoder");
    const { timbres, n_more } = surface.savedTimbres;
    const fit = timbres.filter(([, made]) => made === encoder);
    const names = fit.map(([name]) => name);
    const key = JSON.stringify([n_more, names]);
    if (list.dataset.names === key) return;
    list.dataset.names = key;
    list.hidden = !names.length && !n_more;
    const options = names.map((name) => new Option(name, name));
    const title = n_more ? `From your library (not shown: ${n_more}) …` : "From your library …";
    list.replaceChildren(new Option(title, ""), ...options);
    this.#showUse();
  }

  #key(event) {
    if (event.key === "Enter" && this.list.value) {
      event.preventDefault();
      this.#take();
    } else {
      this.#walks = !OPENS.includes(event.key) && !event.altKey; // Alt and an arrow open it, too
    }
  }

  #change() {
    if (!this.#walks) this.#take();
    this.#showUse();
  }

  #take() {
    if (this.list.value) this.surface.ask("like", this.list.value);
    this.list.value = "";
    this.#showUse();
  }

  #showUse() {
    this.use.hidden = !this.list.value;
  }
}
