// On every screen: says politely that a newer catalogue is in use than the one the page was made from (nothing
// jumps, the page stays as it is until the link is followed), and brings the screen's name in the menu into sight.
// @ts-check

const LOOK_MS = 60_000; // between looks
const bar = document.querySelector("#stale");
const link = document.querySelector("#stale-link");

/** @param {string} version */
function told(version) {
  if (!(bar instanceof HTMLElement) || !(link instanceof HTMLAnchorElement)) return;
  if (!version || !bar.dataset.version || version === bar.dataset.version) return;
  if (bar.dataset.here !== undefined) link.href = location.href;
  bar.hidden = false;
}

async function look() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch("/readyz");
    if (answer.ok) told((await answer.json()).version);
  } catch {
    // the next request says so, if it lasts
  }
}

setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
document.addEventListener("vr-version", (event) => told(/** @type {CustomEvent} */ (event).detail));

const menu = document.querySelector(".top nav");
const here = document.querySelector(".screens [aria-current]");
if (menu instanceof HTMLElement && here instanceof HTMLElement) menu.scrollLeft = here.offsetLeft - menu.offsetLeft - 24;
