// The pictures of units: highlight and whole-image toggles, and the large view.

const HIGHLIGHT = "unitscope.highlight";
const grid = document.getElementById("patches");
const lightbox = document.getElementById("lightbox");
let shown = 0;
let wanted = "";

const get = (id) => document.getElementById(id);
const tiles = () => [...grid.querySelectorAll("button.tile")];

function toggle(attribute, on, off) {
  grid.dataset[attribute] = grid.dataset[attribute] === on ? off : on;
  refresh();
}

function refresh() {
  const highlight = grid.dataset.highlight === "on";
  const whole = grid.dataset.view === "whole";
  for (const id of ["highlight-toggle", "lightbox-highlight"]) get(id)?.setAttribute("aria-pressed", highlight);
  for (const id of ["whole-toggle", "lightbox-whole"]) get(id)?.setAttribute("aria-pressed", whole);
  if (lightbox?.open) draw();
}

function toggleHighlight() {
  toggle("highlight", "on", "off");
  localStorage.setItem(HIGHLIGHT, grid.dataset.highlight);
}

function toggleWhole() {
  toggle("view", "whole", "patch");
}

function draw() {
  const all = tiles();
  const whole = grid.dataset.view === "whole";
  get("lightbox-title").textContent = `Patch ${shown + 1} of ${all.length}`;
  get("lightbox-image").alt = whole ? `Whole image of patch ${shown + 1}` : `Patch ${shown + 1}`;
  get("lightbox-overlay").hidden = grid.dataset.highlight !== "on";
  get("lightbox-previous").disabled = shown === 0;
  get("lightbox-next").disabled = shown === all.length - 1;
  drawPictures(sources(all[shown], whole));
  if (shown + 1 < all.length) sources(all[shown + 1], whole).forEach(load);
}

function sources(tile, whole) {
  const { patch, patchHighlight, wholeImage, wholeHighlight } = tile.dataset;
  return whole ? [wholeImage, wholeHighlight] : [patch, patchHighlight];
}

function load(source) {
  const image = new Image();
  image.src = source;
  return image.decode().catch(() => {});
}

// Picture and overlay change together, so that a highlight is never seen on the wrong picture.
async function drawPictures([picture, overlay]) {
  wanted = picture;
  lightbox.setAttribute("aria-busy", "true");
  await Promise.all([load(picture), load(overlay)]);
  if (wanted !== picture) return;
  get("lightbox-image").src = picture;
  get("lightbox-overlay").src = overlay;
  lightbox.removeAttribute("aria-busy");
}

function show(step) {
  shown = Math.min(Math.max(shown + step, 0), tiles().length - 1);
  draw();
}

function moveInGrid(event) {
  const all = tiles();
  const here = all.indexOf(event.target);
  if (here < 0) return;
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (!(event.key in steps)) return;
  event.preventDefault();
  all[here + steps[event.key]]?.focus();
}

if (grid) {
  grid.dataset.highlight = localStorage.getItem(HIGHLIGHT) ?? "on";
  get("highlight-toggle")?.addEventListener("click", toggleHighlight);
  get("whole-toggle")?.addEventListener("click", toggleWhole);
  refresh();
}

if (grid && lightbox) {
  grid.addEventListener("keydown", moveInGrid);
  grid.addEventListener("click", (event) => {
    const tile = event.target.closest("button.tile");
    if (!tile) return;
    shown = tiles().indexOf(tile);
    lightbox.showModal();
    draw();
  });
  lightbox.addEventListener("close", () => tiles()[shown].focus());
  lightbox.addEventListener("click", (event) => {
    if (event.target === lightbox) lightbox.close();
  });
  get("lightbox-previous").addEventListener("click", () => show(-1));
  get("lightbox-next").addEventListener("click", () => show(1));
  get("lightbox-highlight").addEventListener("click", toggleHighlight);
  get("lightbox-whole").addEventListener("click", toggleWhole);
  // Once the patches are there, fetch the whole images too, so that W answers at once.
  window.addEventListener("load", () => {
    for (const image of grid.querySelectorAll("img[loading=lazy]")) image.loading = "eager";
  });
}
