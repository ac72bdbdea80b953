// Explore works without this file; with it, every change searches at once, and explanations open beside the
// results. htmx fetches and puts in place; the address is the state.
// @ts-check

const PAUSE_MS = 150;
const TEXTS = ["text", "product", "colour", "price_min", "price_max"];
const KEPT = ["like", "unlike", "view", "picture"];
const htmx = /** @type {any} */ (window).htmx;

/** @template {Element} T @param {string} selector @returns {T} */
const one = (selector) => {
  const found = document.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
};

const form = /** @type {HTMLFormElement} */ (one("#query"));
const results = /** @type {HTMLElement} */ (one("#results"));
const status = /** @type {HTMLElement} */ (one("#status"));
const drop = /** @type {any} */ (one("vr-drop"));
const kept = /** @type {HTMLElement} */ (one("#kept"));
const panel = /** @type {HTMLDetailsElement} */ (one("#panel"));
const why = /** @type {HTMLDialogElement} */ (one("#why"));
const whyBody = /** @type {HTMLElement} */ (one("#why-body"));
const help = /** @type {HTMLDialogElement} */ (one("#help"));
const keysOn = /** @type {HTMLInputElement} */ (one("#keys-on"));

let timer = 0;
let begun = -Infinity; // when the last search did, in ms
/** Requests so far, by what they fill. @type {Map<HTMLElement, number>} */
const turns = new Map();
/** Whether the results are to take the focus when they are there. */
let wantsFocus = false;

/** @returns {HTMLInputElement[]} */
const sliders = () => Array.from(form.querySelectorAll("input[type=range]"));
const shown = (/** @type {number} */ weight) => String(Math.round(weight * 100) / 100);
/** @param {string} name @returns {HTMLInputElement} */
const field = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));

// ── the form and the address ─────────────────────────────────────────────

/** Read the form into the shortest query string that says the same. */
function asked() {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value !== "string" || !value.trim() || name.startsWith("w.") || name === "swatch") continue;
    if (name.startsWith("crop_") && (!drop.picture || Number(value) === Number(field(name).dataset.default))) continue;
    given.append(name, value.trim());
  }
  const moved = sliders().filter((slider) => Number(slider.value) !== Number(slider.dataset.default));
  if (moved.length) {
    const counted = sliders().filter((slider) => Number(slider.value) > 0);
    // All at 0 is said as it is: without weights the service would take its defaults.
    given.set("weights", (counted.length ? counted : sliders()).map((slider) => `${slider.name.slice(2)}:${shown(Number(slider.value))}`).join(","));
  }
  return given;
}

/** Fill the form with what an address says. @param {URLSearchParams} given */
async function fill(given) {
  for (const name of TEXTS) field(name).value = given.get(name) || "";
  markSwatch();
  const weights = weightsIn(given.get("weights") || "");
  for (const slider of sliders()) {
    slider.value = given.has("weights") ? String(weights.get(slider.name.slice(2)) || 0) : slider.dataset.default || "0";
  }
  tellWeights();
  const key = given.get("picture") || "";
  if (key !== drop.key) key ? await drop.restore(key) : drop.clear();
  for (const side of ["crop_x", "crop_y", "crop_w", "crop_h"]) field(side).value = given.get(side) || field(side).dataset.default || "";
  /** @type {any} */ (one("vr-crop")).draw();
  const boxes = /** @type {HTMLInputElement[]} */ (Array.from(form.querySelectorAll("#facets input[type=checkbox]")));
  for (const box of boxes) box.checked = given.getAll(box.name).includes(box.value);
  const known = (/** @type {string} */ name, /** @type {string} */ value) => boxes.some((box) => box.name === name && box.value === value);
  const facet = /^(category|brand|a\..+|in_stock)$/;
  kept.replaceChildren(...[...given].filter(([name, value]) => KEPT.includes(name) || (facet.test(name) && !known(name, value))).map(hidden));
}

/** @param {[string, string]} pair */
function hidden([name, value]) {
  return Object.assign(document.createElement("input"), { type: "hidden", name, value });
}

/** @param {string} name @param {string[]} values */
function keep(name, values) {
  for (const old of Array.from(kept.children)) if (/** @type {HTMLInputElement} */ (old).name === name) old.remove();
  kept.append(...values.map((value) => hidden([name, value])));
}

/** Search now. @param {"push" | "replace" | "none"} history */
async function search(history) {
  clearTimeout(timer);
  begun = performance.now();
  const given = asked();
  const query = given.size ? `?${given}` : "";
  if (history !== "none" && `/${query}` !== location.pathname + location.search) {
    window.history[history === "push" ? "pushState" : "replaceState"](null, "", `/${query}`);
  }
  await ask(form, `/results${query}`, results, "innerHTML");
}

/** Go to an address of this page without leaving it. @param {URL} url */
async function go(url) {
  await fill(url.searchParams);
  await search("push");
}

/** Search when nothing has changed for a moment; at once when something was let go, unless one has just begun.
 * @param {boolean} [isDone] */
function soon(isDone) {
  clearTimeout(timer);
  const wait = isDone && performance.now() - begun > PAUSE_MS ? 0 : PAUSE_MS;
  timer = window.setTimeout(() => search("replace"), wait);
}

// ── asking the service ───────────────────────────────────────────────────

/** Fetch a fragment, with the picture if there is one; a newer request of the same source replaces an older one.
 * @param {HTMLElement} source @param {string} path @param {HTMLElement} target @param {string} swap */
async function ask(source, path, target, swap) {
  const turn = (turns.get(source) || 0) + 1;
  turns.set(source, turn);
  const busy = setTimeout(() => target.setAttribute("aria-busy", "true"), PAUSE_MS);
  try {
    await htmx.ajax(drop.picture ? "POST" : "GET", path, { source, target, swap });
  } finally {
    clearTimeout(busy);
    if (turns.get(source) === turn) target.removeAttribute("aria-busy");
  }
}

/** The address says everything; a body carries the picture alone. */
function bodyOf() {
  const body = new FormData();
  if (drop.picture) body.append("image", drop.picture, "picture");
  return body;
}

document.addEventListener("htmx:config:request", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if ([form, results, whyBody].includes(ctx.sourceElement)) ctx.request.body = bodyOf();
});

document.addEventListener("htmx:error", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if (![form, results, whyBody].includes(ctx?.sourceElement)) return;
  if (ctx.request.signal?.aborted) fail(placeOf(ctx), "The service takes too long to answer", "It may be busy.");
  else fail(placeOf(ctx), "The service cannot be reached", "The network may be down, or the service is being restarted.");
});

// What is refused before a page is made (too many at once, a defect) is told as a document, not as a fragment.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if (![form, results, whyBody].includes(ctx?.sourceElement) || !/json/.test(ctx.response?.headers.get("Content-Type"))) return;
  event.preventDefault();
  const problem = JSON.parse(ctx.text);
  fail(placeOf(ctx), problem.title, `${problem.detail}.`, problem);
});

/** @param {any} ctx */
const placeOf = (ctx) => (ctx.sourceElement === whyBody ? whyBody : results);

document.addEventListener("htmx:after:swap", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if (ctx.target === results) placed();
});

/** What follows new results: say them, compare versions, give the focus back. */
function placed() {
  const version = results.querySelector("[data-version]")?.getAttribute("data-version");
  if (version) document.dispatchEvent(new CustomEvent("vr-version", { detail: version }));
  for (const old of Array.from(kept.children)) if (!KEPT.includes(/** @type {HTMLInputElement} */ (old).name)) old.remove();
  announce();
  if (wantsFocus && (document.activeElement === document.body || !document.activeElement)) {
    /** @type {HTMLElement | null} */ (results.querySelector("h1"))?.focus();
  }
  wantsFocus = false;
}

function announce() {
  const told = results.querySelector("[data-announce], [role=alert] p");
  status.textContent = (told instanceof HTMLElement && (told.dataset.announce || told.textContent)) || "";
}

/** Say what went wrong in the place of the answer.
 * @param {HTMLElement} place @param {string} title @param {string} cause @param {any} [problem]
 * @param {() => unknown} [again] */
function fail(place, title, cause, problem, again) {
  again ||= place === whyBody ? () => explained && explain(explained) : () => search("none");
  document.dispatchEvent(new CustomEvent("vr-trouble", { detail: { place, title, cause, problem, again } }));
  if (place === whyBody && !why.open) why.showModal();
}

// ── weights ──────────────────────────────────────────────────────────────

function tellWeights() {
  for (const slider of sliders()) {
    const output = slider.parentElement?.querySelector("output");
    if (output) output.textContent = shown(Number(slider.value));
  }
  for (const chip of form.querySelectorAll("button[name=preset]")) {
    const weights = weightsIn(chip.getAttribute("data-weights") || "");
    const pressed = sliders().every((slider) => Math.abs((weights.get(slider.name.slice(2)) || 0) - Number(slider.value)) < 0.005);
    chip.setAttribute("aria-pressed", String(pressed));
  }
}

/** @param {string} text such as colour:2,shape:1 @returns {Map<string, number>} */
function weightsIn(text) {
  return new Map(text.split(",").filter(Boolean).map((entry) => [entry.split(":")[0], Number(entry.split(":")[1]) || 0]));
}

function markSwatch() {
  for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input[name=swatch]"))) {
    radio.checked = radio.value === field("colour").value;
  }
}

// ── what visitors do ─────────────────────────────────────────────────────

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chip = /** @type {SubmitEvent} */ (event).submitter;
  if (chip instanceof HTMLButtonElement && chip.name === "preset") {
    const weights = weightsIn(chip.dataset.weights || "");
    for (const slider of sliders()) slider.value = String(weights.get(slider.name.slice(2)) || 0);
    tellWeights();
  }
  search("push");
});

form.addEventListener("input", (event) => {
  const target = /** @type {HTMLInputElement} */ (event.target);
  if (target.type === "file") return;
  if (target.type === "range") tellWeights();
  if (target.name === "swatch") field("colour").value = target.value;
  if (target.name === "colour") markSwatch();
  // Typed words wait for Enter; a price until it is whole: half of one would be below the other.
  if (target.type === "number" && target.name.startsWith("price_")) return;
  if (target.type !== "search" || !target.value) soon();
});

form.addEventListener("change", (event) => {
  const target = /** @type {HTMLInputElement} */ (event.target);
  if (["range", "checkbox", "radio"].includes(target.type) || target.name.startsWith("price_")) soon(true);
});

document.addEventListener("vr-picture", () => {
  keep("picture", drop.key ? [drop.key] : []);
  if (drop.key) {
    field("product").value = "";
    for (const name of ["like", "unlike"]) keep(name, []);
  }
  search("push");
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const link = target?.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const url = new URL(link.href);
  if (link.dataset.go !== undefined) {
    event.preventDefault();
    why.close();
    wantsFocus = true;
    if (link.classList.contains("face") || link.closest(".side")) window.scrollTo(0, 0);
    go(url);
  } else if (link.dataset.more !== undefined) {
    event.preventDefault();
    showMore(link, url);
  } else if (link.dataset.why !== undefined) {
    event.preventDefault();
    explain(url);
  } else if (link.dataset.export !== undefined && drop.picture) {
    event.preventDefault();
    save(url);
  }
});

/** @param {HTMLAnchorElement} link @param {URL} url */
async function showMore(link, url) {
  const last = /** @type {HTMLElement} */ (link.closest("li"));
  const before = last.previousElementSibling;
  url.searchParams.set("part", "more");
  await ask(results, `/results${url.search}`, last, "outerHTML");
  /** @type {HTMLElement | null | undefined} */ (before?.nextElementSibling?.querySelector("a"))?.focus();
}

/** What the dialog explains, or was to. @type {URL | undefined} */
let explained;

/** @param {URL} url */
async function explain(url) {
  explained = url;
  await ask(whyBody, url.pathname + url.search, whyBody, "innerHTML");
  if (!why.open) why.showModal();
  why.scrollTop = 0;
}

/** Save what a POST answers as a file. @param {URL} url */
async function save(url) {
  const again = () => search("none").then(() => save(url)); // what went wrong stands in the place of the results
  let data;
  try {
    const answer = await fetch(url, { method: "POST", body: bodyOf() });
    if (!answer.ok) {
      const problem = /json/.test(answer.headers.get("Content-Type") || "") ? await answer.json() : {};
      fail(results, problem.title || "The list was not saved", `${problem.detail || "The service did not answer with a list"}.`, problem, again);
      return;
    }
    data = await answer.blob();
  } catch {
    fail(results, "The service cannot be reached", "The network may be down, or the service is being restarted.", undefined, again);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = "similar.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

one("#whole").addEventListener("click", () => {
  const crop = /** @type {any} */ (one("vr-crop"));
  crop.reset();
  crop.told();
});
one("#keys").addEventListener("click", () => help.showModal());
for (const dialog of [why, help]) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
}

/** Pictures that cannot be shown leave a sign in their place. @param {EventTarget | null} image */
function lost(image) {
  if (!(image instanceof HTMLImageElement) || !image.closest(".mat")) return;
  const sign = document.querySelector("template#nopicture");
  if (sign instanceof HTMLTemplateElement) image.replaceWith(sign.content.cloneNode(true));
}
document.addEventListener("error", (event) => lost(event.target), true); // it does not bubble
for (const image of document.images) if (image.complete && image.currentSrc && !image.naturalWidth) lost(image);

window.addEventListener("popstate", async () => {
  await fill(new URLSearchParams(location.search));
  await search("none");
});

const narrow = window.matchMedia("(max-width: 62rem)");
const fold = () => (panel.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();
tellWeights();
const opened = new URLSearchParams(location.search);
if (opened.get("picture")) fill(opened).then(() => drop.picture && search("none"));
