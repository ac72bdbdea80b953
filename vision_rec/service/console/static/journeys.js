// Journeys works without this file; with it, a change is put in place and the focus stays where the hand is.
// @ts-check

const PARTS = ["journey-tools", "kept", "found", "journey"];
const PAUSE_MS = 350;
const TOO_LONG_MS = 15_000;
const status = /** @type {HTMLElement} */ (document.querySelector("#status"));
const finder = /** @type {HTMLFormElement} */ (document.querySelector("#finder"));
const words = /** @type {HTMLInputElement} */ (document.querySelector("#q"));
let turn = 0;
let timer = 0;

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Show an address in place. @param {URL} url @param {"push" | "replace" | "none"} history @param {string[]} [focus] */
async function go(url, history, focus = []) {
  clearTimeout(timer);
  const mine = ++turn;
  const before = document.activeElement?.id || "";
  const busy = setTimeout(() => part("journey").setAttribute("aria-busy", "true"), 150);
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(TOO_LONG_MS), headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== turn) return;
    if (!PARTS.every((id) => page.getElementById(id))) return location.assign(url); // a login, or what is wrong
    for (const id of PARTS) part(id).replaceChildren(.../** @type {HTMLElement} */ (page.getElementById(id)).childNodes);
    if (history !== "none") window.history[history === "push" ? "pushState" : "replaceState"](null, "", url);
    if (document.activeElement !== words) words.value = url.searchParams.get("q") || "";
    status.textContent = page.getElementById("journey")?.dataset.said || "";
    const version = page.getElementById("stale")?.dataset.version;
    document.dispatchEvent(new CustomEvent("vr-version", { detail: version }));
    settle([...focus, before]);
  } catch (error) {
    if (mine !== turn) return;
    const late = error instanceof DOMException && error.name === "TimeoutError";
    const title = late ? "The service takes too long to answer" : "The service cannot be reached";
    const cause = late ? "It may be busy." : "The network may be down, or the service is being restarted.";
    const again = () => go(url, history, focus);
    document.dispatchEvent(new CustomEvent("vr-trouble", { detail: { place: part("journey"), title, cause, again } }));
  } finally {
    clearTimeout(busy);
    if (mine === turn) part("journey").removeAttribute("aria-busy");
  }
}

/** Put the focus to the first of these that is there. @param {string[]} ids */
function settle(ids) {
  const wanted = ids.map((id) => id && document.getElementById(id)).find(Boolean);
  if (!(wanted instanceof HTMLElement) || wanted === document.activeElement) return;
  wanted.focus({ preventScroll: true });
  wanted.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const link = target?.closest("a[data-go]");
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  words.value = "";
  go(new URL(link.href), "push", [link.dataset.then || "", link.dataset.else || ""]);
});

/** The address of what the fields say. */
function asked() {
  const given = new URLSearchParams();
  for (const [name, value] of new FormData(finder)) if (typeof value === "string" && value.trim()) given.append(name, value.trim());
  return new URL(`/journeys${given.size ? `?${given}` : ""}`, location.href);
}

finder.addEventListener("submit", (event) => {
  event.preventDefault();
  go(asked(), "replace", ["q"]);
});
words.addEventListener("input", () => {
  clearTimeout(timer);
  timer = window.setTimeout(() => go(asked(), "replace", ["q"]), PAUSE_MS);
});
window.addEventListener("popstate", () => go(new URL(location.href), "none"));
