// <vr-crop>: a box on the picture, moved by pointer or keys; the four number fields of the form are its truth.
// @ts-check

const LEAST = 5; // percent of a side
const CORNERS = ["nw", "ne", "sw", "se"];
/** @typedef {{x: number, y: number, w: number, h: number}} Box */

class Crop extends HTMLElement {
  connectedCallback() {
    this.box = document.createElement("div");
    this.box.className = "crop-box";
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", "Part of the picture to search. Arrow keys move it, with Alt they resize it.");
    for (const corner of CORNERS) {
      const handle = document.createElement("span");
      handle.className = `handle ${corner}`;
      handle.dataset.corner = corner;
      this.box.append(handle);
    }
    this.append(this.box);
    this.addEventListener("pointerdown", (event) => this.grab(event));
    this.box.addEventListener("keydown", (event) => this.nudge(event));
    this.form()?.addEventListener("input", (event) => {
      if (/** @type {HTMLInputElement} */ (event.target).name.startsWith("crop_")) this.draw();
    });
    this.draw();
  }

  form() {
    return this.closest("form");
  }

  /** @param {string} side @returns {HTMLInputElement} */
  field(side) {
    return /** @type {HTMLInputElement} */ (this.form()?.elements.namedItem(`crop_${side}`));
  }

  /** @returns {Box} */
  get value() {
    const [x, y, w, h] = ["x", "y", "w", "h"].map((side) => Number(this.field(side).value));
    return { x, y, w: Math.min(w, 100 - x), h: Math.min(h, 100 - y) };
  }

  /** @param {Box} box */
  set value(box) {
    const w = Math.min(100, Math.max(LEAST, box.w));
    const h = Math.min(100, Math.max(LEAST, box.h));
    const x = Math.min(100 - w, Math.max(0, box.x));
    const y = Math.min(100 - h, Math.max(0, box.y));
    for (const [side, number] of Object.entries({ x, y, w, h })) this.field(side).value = String(Math.round(number * 10) / 10);
    this.draw();
  }

  get whole() {
    const { x, y, w, h } = this.value;
    return x === 0 && y === 0 && w === 100 && h === 100;
  }

  reset() {
    this.value = { x: 0, y: 0, w: 100, h: 100 };
  }

  draw() {
    if (!this.box) return;
    const { x, y, w, h } = this.value;
    Object.assign(this.box.style, { left: `${x}%`, top: `${y}%`, width: `${w}%`, height: `${h}%` });
  }

  /** Tell the form, as a field that was typed into would. */
  told() {
    this.field("x").dispatchEvent(new Event("input", { bubbles: true }));
    const { x, y, w, h } = this.value;
    const status = document.querySelector("#status");
    const round = Math.round;
    if (status) status.textContent = `Part of the picture: left ${round(x)}, top ${round(y)}, width ${round(w)}, height ${round(h)} percent`;
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0 || !this.box) return;
    event.preventDefault();
    this.box.focus();
    const corner = event.target instanceof HTMLElement ? event.target.dataset.corner : undefined;
    const area = this.getBoundingClientRect();
    const at = (/** @type {PointerEvent} */ e) => ({
      x: Math.min(100, Math.max(0, (100 * (e.clientX - area.left)) / area.width)),
      y: Math.min(100, Math.max(0, (100 * (e.clientY - area.top)) / area.height)),
    });
    const from = this.value;
    const start = at(event);
    const drawing = !corner && (this.whole || event.target !== this.box);
    const move = (/** @type {PointerEvent} */ e) => {
      const now = at(e);
      if (drawing) this.value = { x: Math.min(start.x, now.x), y: Math.min(start.y, now.y), w: Math.abs(now.x - start.x), h: Math.abs(now.y - start.y) };
      else if (corner) this.value = stretched(from, corner, now);
      else this.value = { ...from, x: from.x + now.x - start.x, y: from.y + now.y - start.y };
    };
    const drop = () => {
      this.removeEventListener("pointermove", move);
      const now = this.value;
      if (["x", "y", "w", "h"].some((side) => now[/** @type {keyof Box} */ (side)] !== from[/** @type {keyof Box} */ (side)])) this.told();
    };
    this.setPointerCapture(event.pointerId);
    this.addEventListener("pointermove", move);
    this.addEventListener("pointerup", drop, { once: true });
  }

  /** Arrows move by a pixel, with Shift by ten; with Alt they resize. @param {KeyboardEvent} event */
  nudge(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const area = this.getBoundingClientRect();
    const pixels = event.shiftKey ? 10 : 1;
    const dx = (100 * pixels * step[0]) / Math.max(1, area.width);
    const dy = (100 * pixels * step[1]) / Math.max(1, area.height);
    const { x, y, w, h } = this.value;
    this.value = event.altKey ? { x, y, w: Math.min(w + dx, 100 - x), h: Math.min(h + dy, 100 - y) } : { x: x + dx, y: y + dy, w, h };
    this.told();
  }
}

/** @param {Box} from @param {string} corner @param {{x: number, y: number}} to @returns {Box} */
function stretched(from, corner, to) {
  const right = from.x + from.w;
  const bottom = from.y + from.h;
  const left = corner.endsWith("w") ? Math.min(to.x, right - LEAST) : from.x;
  const top = corner.startsWith("n") ? Math.min(to.y, bottom - LEAST) : from.y;
  return {
    x: left,
    y: top,
    w: (corner.endsWith("e") ? Math.max(to.x, from.x + LEAST) : right) - left,
    h: (corner.startsWith("s") ? Math.max(to.y, from.y + LEAST) : bottom) - top,
  };
}

customElements.define("vr-crop", Crop);
