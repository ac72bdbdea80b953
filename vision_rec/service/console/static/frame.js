// On every screen: says politely that a newer catalogue is in use than the one the page was made from (nothing
// jumps, the page stays as it is until the link is followed), copies what a button says, and brings the screen's name
// in the menu into sight.
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

// What an answer would have stood in says what went wrong; the fields beside it keep what was entered.
document.addEventListener("vr-trouble", (event) => {
  const { place, title, cause, problem, again } = /** @type {CustomEvent} */ (event).detail;
  const notice = part("div", "notice error");
  notice.setAttribute("role", "alert");
  const row = part("p", "row", part("button", "button", "Try again"));
  row.firstElementChild?.addEventListener("click", again);
  notice.append(part("h2", "", title), part("p", "", `${cause} Nothing you entered is lost.`), row);
  if (problem?.request_id) {
    const copy = part("button", "quiet", "Copy");
    copy.dataset.copy = problem.request_id;
    notice.append(part("p", "fine", "Request ", part("code", "", problem.request_id), " ", copy));
  }
  place.replaceChildren(notice);
});

/** @param {string} tag @param {string} name @param {(string | HTMLElement)[]} children */
function part(tag, name, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (made instanceof HTMLButtonElement) made.type = "button";
  made.append(...children);
  return made;
}

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  if (button instanceof HTMLElement) copyFrom(button);
});

/** @param {HTMLElement} button */
async function copyFrom(button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy || "");
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select the text and copy it";
  }
  const status = document.querySelector("#status");
  if (status) status.textContent = button.textContent;
  setTimeout(() => (button.textContent = label), 2000);
}
