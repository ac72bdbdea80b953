// Single keys for Explore; they are inert in fields, and can be switched off.
// @ts-check

const on = /** @type {HTMLInputElement} */ (document.querySelector("#keys-on"));
const panel = /** @type {HTMLDetailsElement} */ (document.querySelector("#panel"));
const results = /** @type {HTMLElement} */ (document.querySelector("#results"));

try {
  on.checked = localStorage.getItem("keys") !== "off";
} catch {
  // storage may be off
}
on.addEventListener("change", () => {
  try {
    localStorage.setItem("keys", on.checked ? "on" : "off");
  } catch {
    // then it lasts as long as this page
  }
});

/** @param {string} selector */
function focus(selector) {
  const wanted = document.querySelector(selector);
  if (!(wanted instanceof HTMLElement)) return false;
  panel.open = true;
  wanted.focus();
  return document.activeElement === wanted;
}

/** @type {Record<string, () => unknown>} */
const PLACES = {
  "/": () => focus("#text"),
  u: () => /** @type {HTMLElement | null} */ (document.querySelector("#image"))?.click(),
  c: () => focus(".pictured .crop-box"),
  w: () => focus("input[type=range]"),
  f: () => focus("#facets summary"),
  "?": () => /** @type {HTMLDialogElement | null} */ (document.querySelector("#help"))?.showModal(),
};
/** @type {Record<string, string>} */
const DEEDS = { m: "[data-go=more]", l: "[data-go=less]", y: "[data-why]", p: ".pin" };

document.addEventListener("keydown", (event) => {
  const target = event.target instanceof HTMLElement ? event.target : document.body;
  if (!on.checked || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.closest("dialog, textarea, select, input:not([type=range], [type=checkbox], [type=radio])")) return;
  const deed = DEEDS[event.key];
  const card = target.closest(".card");
  if (deed && card) {
    event.preventDefault();
    /** @type {HTMLElement | null} */ (card.querySelector(deed))?.click();
  } else if (PLACES[event.key]) {
    event.preventDefault();
    PLACES[event.key]();
  }
});

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
