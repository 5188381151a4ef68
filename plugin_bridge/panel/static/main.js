// Puts the page together: one surface, shown and moved by several parts.

import { Controls } from "./controls.js";
import { Examples } from "./examples.js";
import { Field } from "./field.js";
import { COLOURS, Handles } from "./handles.js";
import { Learn } from "./learn.js";
import { Midi } from "./midi.js";
import { Performance } from "./performance.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Surface } from "./surface.js";
import { Truth } from "./truth.js";
import { Undo } from "./undo.js";

const at = (id) => document.getElementById(id);
const told = new Map(); // by sound, what became of what was asked last: words, and if it is bad
let isDue = false;
let isNew = false;
const surface = new Surface();
const undo = new Undo(surface);
const picture = new Picture();
const field = new Field(picture, at("field"), at("trace"));
const handles = new Handles(surface, undo, picture, at("plot"), at("handles"));
const controls = new Controls(surface, undo);
new Examples(surface, at("plot"), tell);
new Learn(surface);
new Midi(surface, tell);
const player = new Player(surface, at("player"));
const performed = new Performance(surface);
const truth = new Truth(surface, picture, at("truth"));
const LISTEN = { 1: "target", 2: "residual", 3: "mixture" };

// Draw at the screen's pace, and only when something has changed.
function draw() {
  isDue = false;
  showStatus();
  showTabs();
  showTold();
  handles.update();
  controls.update();
  truth.update();
  player.update();
  performed.update();
  if (!isNew) return;
  isNew = false;
  field.draw();
}

function due() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(draw);
}

// Say in a line what became of what was asked of a sound.
function tell(words, bad = false, instance = surface.selected) {
  told.set(instance, { words, bad });
  due();
}

function showTold() {
  // before there is a sound, something may have been said of all
  const { words = "", bad = false } = told.get(surface.selected) ?? told.get("") ?? {};
  if (at("told").textContent !== words) at("told").textContent = words;
  at("told").classList.toggle("bad", bad);
}

function showStatus() {
  const [state, text, notice] = status();
  const shown = at("status");
  if (shown.textContent !== text) shown.textContent = text;
  shown.dataset.state = state;
  if (at("notice").textContent !== notice) at("notice").textContent = notice;
  document.body.classList.toggle("idle", state !== "on");
}

function status() {
  if (surface.refused) return ["off", "Refused", `The panel refuses: ${surface.refused}.`];
  if (!surface.connected) return ["off", "No panel", "The panel does not answer. It is asked again until it does."];
  if (!surface.engine) return ["off", "No engine", "The engine is not there. It starts with the first plugin, or by: stemsteer serve"];
  if (!surface.instances.length) return ["wait", "No track", "There is no track yet: put Stemsteer on a track of your DAW."];
  return ["on", "Connected", ""];
}

function showTabs() {
  const parent = at("instances");
  const names = surface.instances;
  if (parent.dataset.names !== JSON.stringify(names)) {
    parent.dataset.names = JSON.stringify(names);
    arrangeTabs(parent, names);
    showColours(); // the selected sound may have another place now
  }
  for (const tab of parent.children) {
    const selected = tab.dataset.name === surface.selected;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
  }
}

// Tabs that are there stay, or the focus would be lost.
function arrangeTabs(parent, names) {
  for (const tab of [...parent.children]) {
    if (!names.includes(tab.dataset.name)) tab.remove();
  }
  const known = new Map([...parent.children].map((tab) => [tab.dataset.name, tab]));
  names.forEach((name, index) => {
    const tab = known.get(name) ?? makeTab(name);
    tab.className = `colour-${index % COLOURS}`;
    if (parent.children[index] !== tab) parent.insertBefore(tab, parent.children[index] ?? null);
  });
}

function makeTab(name) {
  const tab = document.createElement("button");
  tab.type = "button";
  tab.dataset.name = name;
  tab.textContent = name;
  tab.setAttribute("role", "tab");
  tab.addEventListener("click", () => surface.select(name));
  return tab;
}

// Choose another tab by the keyboard; return whether the key means that.
function walkTabs({ key }) {
  const { instances, selected } = surface;
  const here = instances.indexOf(selected);
  const place = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: -1 }[key];
  if (place === undefined) return false;
  const name = instances.at(place % instances.length);
  surface.select(name);
  [...at("instances").children].find((tab) => tab.dataset.name === name)?.focus();
  return true;
}

function showColours() {
  const index = Math.max(surface.instances.indexOf(surface.selected), 0) % COLOURS;
  document.body.dataset.colour = index;
  const style = getComputedStyle(document.body);
  field.colours(style.getPropertyValue("--rest"), style.getPropertyValue(`--colour-${index}`));
  at("side").className = `colour-${index}`;
}

function showScales() {
  const { bands_hz } = surface.fixed;
  if (!bands_hz || at("frequencies").childElementCount) return;
  const low = Math.log(bands_hz[0]);
  const range = Math.log(bands_hz.at(-1)) - low;
  at("frequencies").append(...[100, 200, 500, 1000, 2000, 5000, 10000].map((hz) => {
    const mark = document.createElement("span");
    mark.textContent = hz < 1000 ? hz : `${hz / 1000} k`;
    mark.style.bottom = `${(Math.log(hz) - low) / range * 100}%`;
    return mark;
  }));
  at("azimuths").append(...[-45, -30, -15, 0, 15, 30, 45].map((degrees) => {
    const mark = document.createElement("span");
    mark.textContent = { "-45": "L", 0: "C", 45: "R" }[degrees] ?? `${Math.abs(degrees)}°`;
    mark.style.left = `${(degrees + 45) / 0.9}%`;
    return mark;
  }));
}

surface.addEventListener("change", () => {
  if (surface.fixed.bands_hz) picture.start(surface.fixed);
  showScales();
  due();
});
surface.addEventListener("select", () => {
  if (picture.columns) {
    picture.clear();
    field.clear();
  }
  showColours();
});
surface.addEventListener("picture", ({ detail }) => {
  if (!picture.take(detail)) return;
  field.addMoment(surface.value("azimuth"));
  isNew = true;
  due();
});
surface.addEventListener("answer", ({ detail }) => tell(detail.answer, false, detail.instance));
surface.addEventListener("rename", ({ detail }) => {
  const before = [...told];
  told.clear();
  for (const [name, said] of before) told.set(detail.get(name) ?? name, said);
});
undo.addEventListener("change", () => {
  at("undo").disabled = !undo.canUndo;
  at("redo").disabled = !undo.canRedo;
});
at("undo").addEventListener("click", () => undo.undo());
at("redo").addEventListener("click", () => undo.redo());

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=range]), select");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
    event.shiftKey ? undo.redo() : undo.undo();
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !surface.selected) return;
  if (event.target.closest("#menu")) return;
  const onTab = event.target.matches('[role="tab"]');
  const onField = event.target === document.body || event.target.closest("#plot");
  if (event.key in LISTEN) controls.listen(LISTEN[event.key]);
  else if (event.key.toLowerCase() === "b") controls.toggleBypass();
  else if (event.key === " " && player.there && !event.target.matches("button")) player.toggle();
  else if (!(onTab && walkTabs(event)) && !(onField && handles.key(event))) return;
  event.preventDefault();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showColours);
addEventListener("resize", () => { isNew = picture.columns > 0; due(); });

showColours();
due();
surface.connect();
