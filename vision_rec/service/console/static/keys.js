// The keyboard in Explore: single keys, which are inert in fields and can be switched off; arrows over the grid, of
// which one product at a time is in the tab order; Alt with an arrow moves the pin of a product.
// @ts-check

const on = /** @type {HTMLInputElement} */ (document.querySelector("#keys-on"));
const panel = /** @type {HTMLDetailsElement} */ (document.querySelector("#panel"));
const results = /** @type {HTMLElement} */ (document.querySelector("#results"));
const why = /** @type {HTMLDialogElement} */ (document.querySelector("#why"));
const moved = /** @type {HTMLElement} */ (document.querySelector("#moved"));
const FIELDS = "textarea, select, input:not([type=range], [type=checkbox], [type=radio])";
const NO_LETTERS = "dialog:not(#why)";

try {
  on.checked = localStorage.getItem("keys") !== "off";
} catch {
  // storage may be off
}
const mark = () => document.documentElement.classList.toggle("no-keys", !on.checked);
mark();
on.addEventListener("change", () => {
  mark();
  try {
    localStorage.setItem("keys", on.checked ? "on" : "off");
  } catch {
    // then it lasts as long as this page
  }
});

// ── the grid: one product in the tab order ───────────────────────────────

const faces = () => /** @type {HTMLElement[]} */ (Array.from(results.querySelectorAll(".face")));
/** The product that was there last, by its address. */
let last = "";

/** Leave one product of the grid in the tab order, with what can be done with it. @param {HTMLElement} [chosen] */
function rove(chosen) {
  const all = faces();
  const current = chosen || all.find((face) => face.getAttribute("href") === last) || all[0];
  for (const face of all) {
    const index = face === current ? 0 : -1;
    for (const stop of face.closest(".card")?.querySelectorAll("a, summary") || []) /** @type {HTMLElement} */ (stop).tabIndex = index;
  }
  if (chosen) last = chosen.getAttribute("href") || "";
}
rove();
document.addEventListener("htmx:after:swap", () => rove());
results.addEventListener("focusin", (event) => {
  const card = event.target instanceof Element ? event.target.closest(".card") : null;
  const face = card?.querySelector(".face");
  if (face instanceof HTMLElement && (face.tabIndex || face.getAttribute("href") !== last)) rove(face);
});

/** @param {KeyboardEvent} event */
function arrow(event) {
  const all = faces();
  const at = all.indexOf(/** @type {HTMLElement} */ (event.target));
  if (at < 0) return;
  const top = all[0].getBoundingClientRect().top;
  const columns = all.filter((face) => Math.abs(face.getBoundingClientRect().top - top) < 8).length;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: all.length - 1 - at }[event.key];
  if (step === undefined || !all[at + step]) return;
  event.preventDefault();
  all[at + step].focus();
}

// ── single keys ──────────────────────────────────────────────────────────

/** @param {string} selector */
function focus(selector) {
  const wanted = document.querySelector(selector);
  if (!(wanted instanceof HTMLElement)) return;
  panel.open = true;
  wanted.focus();
}

/** @type {Record<string, () => unknown>} */
const PLACES = {
  "/": () => focus("#text"),
  u: () => /** @type {HTMLElement | null} */ (document.querySelector("#image"))?.click(),
  c: () => focus(".pictured .crop-box"),
  w: () => focus("input[type=range]"),
  f: () => focus("#facets input"),
  "?": () => /** @type {HTMLDialogElement | null} */ (document.querySelector("#help"))?.showModal(),
};
/** @type {Record<string, string>} */
const DEEDS = {
  m: "[data-go=more]",
  l: "[data-go=less]",
  y: "[data-why]",
  p: "[data-effect=pin]",
  b: "[data-effect=bury]",
  x: "[data-effect=hide]",
  s: "[data-go='']",
};

/** Do what a key says with the product that it was pressed on, in the grid or in its explanation.
 * @param {Element} target @param {string} selector */
function act(target, selector) {
  const deed = (target.closest(".card") || target.closest("#why"))?.querySelector(selector);
  if (deed instanceof HTMLElement) deed.click();
  return Boolean(deed);
}

document.addEventListener("keydown", (event) => {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.altKey) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const card = target.closest(".card");
    if (by && card instanceof HTMLElement && card.dataset.rule) move(event, card.dataset.rule, by);
    return;
  }
  if (event.key === "Escape" && target.closest("#query")) {
    event.preventDefault(); // which would empty a search field
    const back = results.querySelector(".face[tabindex='0']") || results.querySelector("h1");
    if (back instanceof HTMLElement) back.focus();
    return;
  }
  if (!on.checked || target.closest(FIELDS) || target.closest(NO_LETTERS)) return;
  if (event.key === "Enter") {
    // A list of answers explains; where there is nothing to explain the link leads on.
    if (target.matches(".face") && act(target, "[data-why]")) event.preventDefault();
  } else if (DEEDS[event.key]) {
    if (act(target, DEEDS[event.key])) event.preventDefault();
  } else if (PLACES[event.key] && !why.open) {
    event.preventDefault();
    PLACES[event.key]();
  }
});
results.addEventListener("keydown", (event) => {
  if (!event.altKey && !event.ctrlKey && !event.metaKey) arrow(event);
});

// ── pins ─────────────────────────────────────────────────────────────────

/** Move a pin by one place in the draft, and say where it is. @param {Event} event @param {string} rule @param {number} by */
async function move(event, rule, by) {
  event.preventDefault();
  try {
    const body = new URLSearchParams({ id: rule, by: String(by) });
    const answer = await fetch("/rules/move", { method: "POST", body, headers: { "HX-Request": "true" } });
    moved.textContent = new DOMParser().parseFromString(await answer.text(), "text/html").body.textContent?.trim() || "";
  } catch {
    moved.textContent = "The service cannot be reached; the pin is where it was.";
  }
}
