// Images at their stored depth (8 to 16 bits), and what a window shows of them. The server sends
// little-endian uint16 and says in a header what the values are (dissections/pictures.py).

const HEADER = "Unitscope-Pixels";
const KEPT = 6;
const LEVELS = 65536;
const kept = new Map();

/** Resolves to { about, values }; rejects with an Error whose message is for people. */
export function loadPixels(url) {
  const known = kept.get(url) ?? download(url);
  kept.delete(url);
  kept.set(url, known);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  known.catch(() => kept.delete(url));
  return known;
}

async function download(url) {
  const response = await fetch(url).catch(() => {
    throw new Error("The image could not be loaded. Check the connection, then open it again.");
  });
  if (response.status === 404)
    throw new Error("This image cannot be shown: its file is missing or damaged. Ask an administrator of the project to import the dataset again.");
  if (!response.headers.has(HEADER))
    throw new Error("The image could not be loaded. Sign in again in another tab, then open it here again.");
  return {
    about: JSON.parse(response.headers.get(HEADER)),
    values: new Uint16Array(await response.arrayBuffer()),
  };
}

/** Paints values through the window [low, high] onto a canvas of the image's size. */
export function paint({ about, values }, [low, high], inverted, canvas) {
  canvas.width = about.width;
  canvas.height = about.height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(about.width, about.height);
  const shades = shadesOf(low, high, inverted);
  if (about.channels === 1) {
    const pixels = new Uint32Array(image.data.buffer);
    const grey = Uint32Array.from(shades, (shade) => 0xff000000 | (shade * 0x010101));
    for (let i = 0; i < pixels.length; i++) pixels[i] = grey[values[i]];
  } else {
    for (let from = 0, to = 0; from < values.length; from += 3, to += 4) {
      image.data[to] = shades[values[from]];
      image.data[to + 1] = shades[values[from + 1]];
      image.data[to + 2] = shades[values[from + 2]];
      image.data[to + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

function shadesOf(low, high, inverted) {
  const shades = new Uint8ClampedArray(LEVELS);
  const scale = 255 / (high - low || 1e-6);
  for (let value = 0; value < LEVELS; value++) {
    const shade = Math.min(Math.max((value - low) * scale, 0), 255);
    shades[value] = inverted ? 255 - shade : shade;
  }
  return shades;
}

/** The window from the 1st to the 99th percentile of a region's values, background left out. */
export function windowOfValues({ about, values }, { left, top, right, bottom }) {
  const counts = new Uint32Array(LEVELS);
  const { width, channels } = about;
  for (let row = Math.floor(top); row < Math.ceil(bottom); row++) {
    const end = (row * width + Math.ceil(right)) * channels;
    for (let i = (row * width + Math.floor(left)) * channels; i < end; i++) counts[values[i]] += 1;
  }
  counts[counts.findIndex((count) => count > 0)] = 0;
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return about.full;
  const low = quantile(counts, total * 0.01);
  return [low, Math.max(quantile(counts, total * 0.99), low + 1)];
}

function quantile(counts, wanted) {
  let below = 0;
  return counts.findIndex((count) => (below += count) >= wanted && count > 0);
}
