// The page works without this file; with it, changes search at once and pictures can be dropped or pasted.
// @ts-check

const PAUSE_MS = 150;
const MAX_SIDE = 1024;

/** @template {Element} T @param {string} selector @returns {T} */
const one = (selector) => {
  const found = document.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
};

const form = /** @type {HTMLFormElement} */ (one("#query"));
const results = /** @type {HTMLElement} */ (one("#results"));
const status = /** @type {HTMLElement} */ (one("#status"));
const drop = /** @type {HTMLElement} */ (one("#drop"));
const file = /** @type {HTMLInputElement} */ (one("#image"));
const preview = /** @type {HTMLImageElement} */ (one("#preview"));
const forget = /** @type {HTMLButtonElement} */ (one("#forget"));
const panel = /** @type {HTMLDetailsElement} */ (one("#panel"));

/** The picture searched with, shrunk; it lives in this page only. @type {Blob | null} */
let picture = null;
/** @type {AbortController | null} */
let running = null;
let timer = 0;

/** @returns {HTMLInputElement[]} */
const sliders = () => Array.from(form.querySelectorAll("input[type=range]"));
const shown = (/** @type {number} */ weight) => String(Math.round(weight * 100) / 100);

/** Read the form into the shortest query string that says the same. */
function asked() {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value !== "string" || !value.trim() || name.startsWith("w.") || name === "swatch") continue;
    given.append(name, value.trim());
  }
  const moved = sliders().filter((slider) => Number(slider.value) !== Number(slider.dataset.default));
  if (moved.length) {
    const weights = sliders().filter((slider) => Number(slider.value) > 0);
    given.set("weights", weights.map((slider) => `${slider.name.slice(2)}:${shown(Number(slider.value))}`).join(","));
  }
  return given;
}

/** @param {URLSearchParams} given */
const address = (given) => (given.size ? `/?${given}` : "/");

/** Search now. @param {"push" | "replace" | "none"} history */
async function search(history) {
  const given = asked();
  if (history !== "none" && address(given) !== location.pathname + location.search) {
    window.history[history === "push" ? "pushState" : "replaceState"](null, "", address(given));
  }
  const options = /** @type {RequestInit} */ ({});
  if (picture) {
    const body = new FormData();
    body.append("image", picture, "picture");
    for (const [name, value] of given) body.append(name, value);
    Object.assign(options, { method: "POST", body });
  }
  await show(picture ? "/results" : `/results?${given}`, options, false);
}

/** Fetch results and put them in place; only the newest request may. @param {string} url @param {RequestInit} options @param {boolean} append */
async function show(url, options, append) {
  running?.abort();
  const mine = (running = new AbortController());
  const busy = setTimeout(() => results.setAttribute("aria-busy", "true"), PAUSE_MS);
  try {
    const limit = AbortSignal.any([mine.signal, AbortSignal.timeout(15_000)]);
    const answer = await fetch(url, { ...options, signal: limit });
    place(await answer.text(), append);
  } catch (error) {
    if (mine.signal.aborted) return;
    fail(error instanceof DOMException ? "The service takes too long to answer." : "The service cannot be reached.");
  } finally {
    clearTimeout(busy);
    if (running === mine) results.removeAttribute("aria-busy");
  }
}

/** @param {string} html @param {boolean} append */
function place(html, append) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const fresh = parsed.querySelectorAll(".grid > li");
  const grid = results.querySelector(".grid");
  if (append && grid && fresh.length) {
    grid.append(...fresh);
    const more = parsed.querySelector(".more");
    results.querySelector(".more")?.replaceWith(...(more ? [more] : []));
    /** @type {HTMLElement | null} */ (grid.children[grid.children.length - fresh.length].querySelector("a"))?.focus();
  } else {
    results.replaceChildren(...parsed.body.childNodes);
  }
  const told = results.querySelector("[data-announce], [role=alert] p");
  status.textContent = (told instanceof HTMLElement && (told.dataset.announce || told.textContent)) || "";
}

/** @param {string} sentence */
function fail(sentence) {
  const notice = document.createElement("div");
  notice.className = "notice error";
  notice.setAttribute("role", "alert");
  const title = document.createElement("h1");
  title.textContent = sentence;
  const again = document.createElement("button");
  again.className = "button";
  again.textContent = "Try again";
  again.addEventListener("click", () => search("none"));
  const line = document.createElement("p");
  line.append(again);
  notice.append(title, line);
  results.replaceChildren(notice);
}

function soon() {
  clearTimeout(timer);
  timer = window.setTimeout(() => search("replace"), PAUSE_MS);
}

// ── weights ──────────────────────────────────────────────────────────────

function tellWeights() {
  for (const slider of sliders()) {
    const output = slider.parentElement?.querySelector("output");
    if (output) output.textContent = shown(Number(slider.value));
  }
  for (const chip of form.querySelectorAll("button[name=preset]")) {
    const pressed = sliders().every((slider) => Math.abs(wanted(chip, slider) - Number(slider.value)) < 0.005);
    chip.setAttribute("aria-pressed", String(pressed));
  }
}

/** @param {Element} chip @param {HTMLInputElement} slider */
function wanted(chip, slider) {
  const weights = new URLSearchParams((chip.getAttribute("data-weights") || "").replaceAll(":", "=").replaceAll(",", "&"));
  return Number(weights.get(slider.name.slice(2)) || 0);
}

// ── pictures ─────────────────────────────────────────────────────────────

/** Shrink a picture before it is sent; what the browser cannot read goes as it is. @param {Blob} blob */
async function shrink(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const ratio = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
    if (ratio === 1 && blob.size < 500_000) return blob;
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * ratio));
    canvas.height = Math.max(1, Math.round(bitmap.height * ratio));
    const context = canvas.getContext("2d");
    if (!context) return blob;
    context.fillStyle = "#fff"; // as the server does: transparent pixels lie on white
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob((small) => done(small || blob), "image/jpeg", 0.9));
  } catch {
    return blob;
  }
}

/** @param {Blob | null | undefined} blob */
async function usePicture(blob) {
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.hidden = forget.hidden = !blob;
  drop.classList.toggle("full", Boolean(blob));
  picture = null;
  if (blob) {
    preview.src = URL.createObjectURL(blob);
    picture = await shrink(blob);
    field("product").value = "";
  } else {
    preview.removeAttribute("src");
    file.value = "";
  }
  await search("push");
}

/** @param {string} name @returns {HTMLInputElement} */
const field = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));

// ── events ───────────────────────────────────────────────────────────────

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chip = /** @type {SubmitEvent} */ (event).submitter;
  if (chip instanceof HTMLButtonElement && chip.name === "preset") {
    for (const slider of sliders()) slider.value = String(wanted(chip, slider));
    tellWeights();
  }
  clearTimeout(timer);
  search("push");
});

form.addEventListener("input", (event) => {
  const target = /** @type {HTMLInputElement} */ (event.target);
  if (target === file) return;
  if (target.type === "range") tellWeights();
  if (target.name === "swatch") field("colour").value = target.value;
  if (target.name === "colour") {
    for (const radio of form.querySelectorAll("input[name=swatch]")) {
      /** @type {HTMLInputElement} */ (radio).checked = /** @type {HTMLInputElement} */ (radio).value === target.value;
    }
  }
  if (target.type !== "search" || !target.value) soon(); // typed words wait for Enter
});

file.addEventListener("change", () => file.files?.[0] && usePicture(file.files[0]));
forget.addEventListener("click", () => usePicture(null));
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
// A picture dropped beside the field must not replace the page.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const dropped = event.dataTransfer?.files[0];
  if (dropped) usePicture(dropped);
});
document.addEventListener("paste", (event) => {
  const pasted = event.clipboardData?.files[0];
  if (pasted) usePicture(pasted);
});

results.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-more]") : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  const options = /** @type {RequestInit} */ ({});
  if (picture) {
    const body = new FormData();
    body.append("image", picture, "picture");
    for (const [name, value] of new URL(link.href).searchParams) body.append(name, value);
    Object.assign(options, { method: "POST", body });
  }
  show(picture ? "/results" : "/results" + new URL(link.href).search, options, true);
});

/** Pictures that cannot be shown leave a sign in their place. @param {EventTarget | null} image */
function lost(image) {
  if (!(image instanceof HTMLImageElement) || !image.closest(".mat")) return;
  const sign = document.querySelector("template#nopicture");
  if (sign instanceof HTMLTemplateElement) image.replaceWith(sign.content.cloneNode(true));
}
document.addEventListener("error", (event) => lost(event.target), true); // it does not bubble
for (const image of document.images) if (image.complete && image.currentSrc && !image.naturalWidth) lost(image);

/** Move over the grid with the arrow keys. */
results.addEventListener("keydown", (event) => {
  const faces = /** @type {HTMLElement[]} */ (Array.from(results.querySelectorAll(".face")));
  const at = faces.indexOf(/** @type {HTMLElement} */ (event.target));
  if (at < 0) return;
  const top = faces[0].getBoundingClientRect().top;
  const columns = faces.filter((face) => Math.abs(face.getBoundingClientRect().top - top) < 8).length;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (step === undefined || !faces[at + step]) return;
  event.preventDefault();
  faces[at + step].focus();
});

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target instanceof HTMLElement && target.closest("input, select, textarea")) return;
  const wantedField = { "/": "text", u: "image" }[event.key];
  if (!wantedField) return;
  event.preventDefault();
  panel.open = true;
  wantedField === "image" ? file.click() : field(wantedField).focus();
});

window.addEventListener("popstate", () => location.reload());

document.documentElement.classList.add("js");
const narrow = window.matchMedia("(max-width: 62rem)");
const fold = () => (panel.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();
tellWeights();
