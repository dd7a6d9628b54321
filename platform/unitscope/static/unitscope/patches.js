// The pictures of units: how they are highlighted, and the large view. The look belongs to the page
// (attributes of <html>) and everything listens on the document, so grids that arrive later work too.

import { loadPixels } from "./pixels.js";
import { Viewer } from "./viewer.js";

const HIGHLIGHT = "unitscope.highlight";
const STYLE = "unitscope.highlight-style";
const SIZES = [900, 1800];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const look = {
  highlight: localStorage.getItem(HIGHLIGHT) ?? "on",
  style: localStorage.getItem(STYLE) ?? "contour",
  view: "patch",
};
let grid = null;
let shown = 0;
let viewer = null;
let overlayWanted = "";

const get = (id) => document.getElementById(id);
const tiles = () => [...grid.querySelectorAll("button.tile")];

function applyLook() {
  Object.assign(document.documentElement.dataset, look);
  const pressed = {
    highlight: look.highlight === "on",
    dim: look.style === "dim",
    whole: look.view === "whole",
  };
  for (const button of document.querySelectorAll("[data-toggles]"))
    button.setAttribute("aria-pressed", pressed[button.dataset.toggles]);
}

function toggle(name) {
  if (name === "highlight") look.highlight = look.highlight === "on" ? "off" : "on";
  if (name === "whole") look.view = look.view === "whole" ? "patch" : "whole";
  if (name === "dim") {
    look.style = look.style === "dim" && look.highlight === "on" ? "contour" : "dim";
    look.highlight = "on";
  }
  localStorage.setItem(HIGHLIGHT, look.highlight);
  localStorage.setItem(STYLE, look.style);
  applyLook();
  if (!get("lightbox")?.open) return;
  if (name === "whole") viewer.show(look.view === "whole");
  drawOverlay();
}

function openTile(tile) {
  grid = tile.closest("[data-patches]");
  shown = tiles().indexOf(tile);
  const canvas = get("lightbox-canvas");
  if (viewer?.canvas !== canvas) viewer = new Viewer(canvas, showValues);
  get("lightbox").showModal();
  drawShown();
}

function step(steps) {
  const next = shown + steps;
  if (next < 0 || next >= tiles().length) return;
  shown = next;
  drawShown();
}

// Picture and overlay of the patch before are gone at once, so that a highlight is never seen on
// the wrong picture.
async function drawShown() {
  const all = tiles();
  const tile = all[shown];
  const box = get("lightbox");
  get("lightbox-title").textContent = `${grid.dataset.patches} Patch ${shown + 1} of ${all.length}`.trim();
  get("lightbox-canvas").setAttribute("aria-label", `Image of patch ${shown + 1}, the patch’s place framed`);
  get("lightbox-previous").disabled = shown === 0;
  get("lightbox-next").disabled = shown === all.length - 1;
  get("lightbox-problem").hidden = true;
  box.setAttribute("aria-busy", "true");
  const pixels = await loadPixels(tile.dataset.pixels).catch(showProblem);
  if (tile !== tiles()[shown]) return;
  box.removeAttribute("aria-busy");
  if (!pixels) return;
  viewer.open(pixels, tile.dataset.box.split(" ").map(Number), look.view === "whole");
  drawOverlay();
  if (shown + 1 < all.length) loadPixels(all[shown + 1].dataset.pixels).catch(() => {});
}

function showProblem(error) {
  viewer.close();
  get("lightbox-values").textContent = "";
  get("lightbox-problem").textContent = error.message;
  get("lightbox-problem").hidden = false;
}

function overlayAddress() {
  if (look.highlight === "off") return "";
  const part = look.style === "dim" ? "whole-dim" : "whole-highlight";
  const size = SIZES.find((side) => viewer.shownSide <= 1.5 * side) ?? SIZES.at(-1);
  return `${tiles()[shown].dataset.source}?part=${part}&size=${size}`;
}

async function drawOverlay() {
  if (!viewer.pixels) return;
  const address = overlayAddress();
  overlayWanted = address;
  const image = new Image();
  image.src = address;
  const overlay = address && (await image.decode().then(() => image, () => null));
  if (overlayWanted === address) viewer.setOverlay(overlay || null);
}

function showValues() {
  const number = (value) => Math.round(value).toLocaleString();
  const [width, level] = viewer.widthAndLevel;
  const { about } = viewer.pixels;
  const side = Math.max(about.width, about.height);
  const reduced = side < about.longestSide ? ` of ${side} of ${number(about.longestSide)} pixels` : "";
  get("lightbox-values").textContent =
    `Window ${number(width)} · Level ${number(level)} · ${about.bits} bit · Zoom ${number(viewer.zoom * 100)} %${reduced}`;
  get("lightbox-invert").setAttribute("aria-pressed", viewer.inverted);
  get("lightbox-drag").setAttribute("aria-pressed", viewer.dragsWindow);
  if (overlayAddress() !== overlayWanted) drawOverlay();
}

const actions = {
  previous: () => step(-1),
  next: () => step(1),
  "zoom-in": () => viewer.zoomIn(),
  "zoom-out": () => viewer.zoomOut(),
  fit: () => viewer.show(true),
  "one-to-one": () => viewer.oneToOne(),
  narrower: () => viewer.narrower(),
  wider: () => viewer.wider(),
  darker: () => viewer.darker(),
  brighter: () => viewer.brighter(),
  invert: () => viewer.invert(),
  stored: () => viewer.usePreset("stored"),
  full: () => viewer.usePreset("full"),
  image: () => viewer.usePreset("image"),
  patch: () => viewer.usePreset("patch"),
  drag: () => {
    viewer.dragsWindow = !viewer.dragsWindow;
    viewer.draw();
  },
  reset: () => {
    if (viewer.inverted) viewer.invert();
    viewer.usePreset("stored");
    viewer.show(look.view === "whole");
  },
};

document.addEventListener("click", (event) => {
  const { target } = event;
  const toggles = target.closest("[data-toggles]");
  const action = target.closest("[data-viewer]");
  const tile = target.closest("[data-patches] button.tile");
  if (toggles) toggle(toggles.dataset.toggles);
  else if (action) actions[action.dataset.viewer]();
  else if (tile) openTile(tile);
  else if (target.id === "lightbox" && isOutside(event, target)) target.close();
});

function isOutside({ clientX, clientY }, element) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

document.addEventListener("close", (event) => {
  if (event.target.id === "lightbox") tiles()[shown]?.focus();
}, { capture: true });

document.addEventListener("keydown", (event) => {
  if (!(event.key in ARROWS) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("#lightbox")) {
    event.preventDefault();
    viewer.panBy(...ARROWS[event.key]);
  } else moveInGrid(event);
}, { capture: true });

function moveInGrid(event) {
  const home = event.target.closest("[data-patches]");
  if (!home || !event.target.matches("button.tile")) return;
  event.preventDefault();
  const [across, down] = ARROWS[event.key];
  const columns = getComputedStyle(home).gridTemplateColumns.split(" ").length;
  const all = [...home.querySelectorAll("button.tile")];
  all[all.indexOf(event.target) + across + down * columns]?.focus();
}

// Once the patches are there, fetch the whole images too, so that W answers at once.
window.addEventListener("load", () => {
  for (const image of document.querySelectorAll(`button.tile img:is(.tile-image, .${look.style})`))
    image.loading = "eager";
});

document.addEventListener("htmx:afterSettle", applyLook);
applyLook();
