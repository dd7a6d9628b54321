// A picture on a canvas that one can zoom, move and window. The overlay and the frame of the patch
// are drawn over the windowed picture, so windowing does not touch them.

import { paint, windowOfValues } from "./pixels.js";

const FRAME = "#6ee7db";
const MOST_ZOOM = 32;
const ZOOM_STEP = 1.25;
const WIDTH_STEP = 1.15;
const LEVEL_STEP = 0.05;
const PAN_STEP = 60;
const DRAG_TO_WIDTH = 1 / 250;
const DRAG_TO_LEVEL = 1 / 400;

export class Viewer {
  /** `onChange` is called after each drawing, to show the values anew. */
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.picture = document.createElement("canvas");
    this.pixels = null;
    this.overlay = null;
    this.window = null; // in the image's own units; null: as stored
    this.inverted = false;
    this.dragsWindow = false;
    this.pointers = new Map();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** Shows an image; `box` is the patch's place as shares of the image. Window and inversion stay. */
  open(pixels, box, whole) {
    const { width, height } = pixels.about;
    this.pixels = pixels;
    this.overlay = null;
    this.box = {
      left: box[0] * width, top: box[1] * height, right: box[2] * width, bottom: box[3] * height,
    };
    this.#paint();
    this.show(whole);
  }

  close() {
    this.pixels = this.overlay = null;
    this.#draw();
  }

  /** Fits the whole image, or the patch, into the canvas. */
  show(whole) {
    this.fitted = whole ? "whole" : "patch";
    if (!this.pixels) return;
    const { left, top, right, bottom } = whole ? this.#everything() : this.box;
    this.scale = Math.min(this.canvas.width / (right - left), this.canvas.height / (bottom - top));
    this.centre = { x: (left + right) / 2, y: (top + bottom) / 2 };
    this.draw();
  }

  setOverlay(image) {
    this.overlay = image;
    this.draw();
  }

  /** Device pixels that the image's longer side takes on the screen. */
  get shownSide() {
    return this.scale * Math.max(this.pixels.about.width, this.pixels.about.height);
  }

  get zoom() {
    return this.scale / devicePixelRatio;
  }

  zoomBy(factor, at = { x: this.canvas.width / 2, y: this.canvas.height / 2 }) {
    if (!this.pixels) return;
    const before = this.#toImage(at);
    const least = 0.5 * Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height);
    this.scale = Math.min(Math.max(this.scale * factor, least), MOST_ZOOM * devicePixelRatio);
    const after = this.#toImage(at);
    this.#moveTo(this.centre.x + before.x - after.x, this.centre.y + before.y - after.y);
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  oneToOne() {
    if (this.pixels) this.zoomBy(devicePixelRatio / this.scale);
  }

  /** Moves the view in steps: panBy(1, 0) shows what lies to the right. */
  panBy(right, down) {
    const step = PAN_STEP * devicePixelRatio;
    this.#drag(-right * step, -down * step);
  }

  /** The window in force, in the image's own units. */
  get ends() {
    return this.window ?? this.#own(this.pixels.about.windows[0]);
  }

  /** Width and level as DICOM counts them (PS3.3 C.11.2.1.2). */
  get widthAndLevel() {
    const [low, high] = this.ends;
    const step = Math.abs(this.pixels.about.slope);
    return [Math.abs(high - low) + step, (low + high + step) / 2];
  }

  /** Widths of less than 1 narrow the window; a positive level makes the picture darker. */
  changeWindow(width, level) {
    if (!this.pixels) return;
    const [low, high] = this.ends;
    const half = Math.max(((high - low) / 2) * width, Math.abs(this.pixels.about.slope) / 2);
    const darker = this.pixels.about.inverted === this.inverted ? 1 : -1;
    const middle = (low + high) / 2 + darker * level * (high - low);
    this.#setWindow([middle - half, middle + half]);
  }

  narrower() {
    this.changeWindow(1 / WIDTH_STEP, 0);
  }

  wider() {
    this.changeWindow(WIDTH_STEP, 0);
  }

  darker() {
    this.changeWindow(1, LEVEL_STEP);
  }

  brighter() {
    this.changeWindow(1, -LEVEL_STEP);
  }

  /** preset: "stored" | "full" | "image" | "patch" */
  usePreset(preset) {
    if (!this.pixels) return;
    if (preset === "stored") this.#setWindow(null);
    if (preset === "full") this.#setWindow(this.#own(this.pixels.about.full));
    if (preset === "image") this.#setWindow(this.#own(windowOfValues(this.pixels, this.#everything())));
    if (preset === "patch") this.#setWindow(this.#own(windowOfValues(this.pixels, this.box)));
  }

  invert() {
    this.inverted = !this.inverted;
    this.#paint();
  }

  /** Draws once in the next frame, however often it is called. */
  draw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.#draw();
    });
  }

  #everything() {
    const { width, height } = this.pixels.about;
    return { left: 0, top: 0, right: width, bottom: height };
  }

  #own(window) {
    const { slope, intercept } = this.pixels.about;
    return window.map((value) => value * slope + intercept);
  }

  #setWindow(window) {
    this.window = window;
    this.#paint();
  }

  #paint() {
    if (!this.pixels) return;
    const { slope, intercept, inverted } = this.pixels.about;
    const stored = this.ends.map((value) => (value - intercept) / slope);
    paint(this.pixels, stored, inverted !== this.inverted, this.picture);
    this.draw();
  }

  #draw() {
    const { canvas, picture, scale } = this;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.pixels) return;
    const origin = this.#toCanvas({ x: 0, y: 0 });
    const place = [origin.x, origin.y, picture.width * scale, picture.height * scale];
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, ...place);
    if (this.overlay) context.drawImage(this.overlay, ...place);
    this.#drawFrame(context);
    this.onChange();
  }

  #drawFrame(context) {
    const { left, top, right, bottom } = this.box;
    const corner = this.#toCanvas({ x: left, y: top });
    const line = 2 * devicePixelRatio;
    for (const [colour, width] of [["#000", 2 * line], [FRAME, line]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(corner.x, corner.y, (right - left) * this.scale, (bottom - top) * this.scale);
    }
  }

  #toCanvas({ x, y }) {
    return {
      x: (x - this.centre.x) * this.scale + this.canvas.width / 2,
      y: (y - this.centre.y) * this.scale + this.canvas.height / 2,
    };
  }

  #toImage({ x, y }) {
    return {
      x: (x - this.canvas.width / 2) / this.scale + this.centre.x,
      y: (y - this.canvas.height / 2) / this.scale + this.centre.y,
    };
  }

  #moveTo(x, y) {
    const { width, height } = this.pixels.about;
    this.centre = { x: Math.min(Math.max(x, 0), width), y: Math.min(Math.max(y, 0), height) };
    this.fitted = null;
    this.draw();
  }

  #drag(x, y) {
    if (this.pixels) this.#moveTo(this.centre.x - x / this.scale, this.centre.y - y / this.scale);
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    this.canvas.width = clientWidth * devicePixelRatio;
    this.canvas.height = clientHeight * devicePixelRatio;
    if (this.fitted) this.show(this.fitted === "whole");
    else this.draw();
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.#at(event));
    });
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), this.#at(event));
    }, { passive: false });
  }

  #moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.pixels) return;
    const now = this.#at(event);
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 2) this.#pinch(event.pointerId, before, now);
    else if (this.dragsWindow || event.shiftKey || event.buttons === 2) {
      const ratio = devicePixelRatio;
      this.changeWindow(
        Math.exp(((now.x - before.x) / ratio) * DRAG_TO_WIDTH),
        ((now.y - before.y) / ratio) * DRAG_TO_LEVEL,
      );
    } else this.#drag(now.x - before.x, now.y - before.y);
  }

  #pinch(moving, before, now) {
    const [, still] = [...this.pointers].find(([id]) => id !== moving);
    const distance = (point) => Math.hypot(point.x - still.x, point.y - still.y);
    this.#drag((now.x - before.x) / 2, (now.y - before.y) / 2);
    const middle = { x: (now.x + still.x) / 2, y: (now.y + still.y) / 2 };
    this.zoomBy(distance(now) / Math.max(distance(before), 1), middle);
  }

  #at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - left) * devicePixelRatio, y: (event.clientY - top) * devicePixelRatio };
  }
}
