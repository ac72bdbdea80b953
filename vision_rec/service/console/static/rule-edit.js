// The editor of a rule works without this file; with it, a preview that does not come is told in its place.
// @ts-check

const place = /** @type {HTMLElement} */ (document.querySelector("#preview"));
const button = /** @type {HTMLButtonElement} */ (document.querySelector("[hx-post='/rules/preview']"));

/** @param {string} title @param {string} cause @param {any} [problem] */
function fail(title, cause, problem) {
  const again = () => button.click();
  document.dispatchEvent(new CustomEvent("vr-trouble", { detail: { place, title, cause, problem, again } }));
}

document.addEventListener("htmx:error", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if (ctx?.sourceElement !== button) return;
  if (ctx.request.signal?.aborted) fail("The service takes too long to answer", "It may be busy.");
  else fail("The service cannot be reached", "The network may be down, or the service is being restarted.");
});

// What is refused before a page is made (too many at once, a defect) is told as a document, not as a fragment.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = /** @type {CustomEvent} */ (event).detail;
  if (ctx.sourceElement !== button || !/json/.test(ctx.response?.headers.get("Content-Type"))) return;
  event.preventDefault();
  const problem = JSON.parse(ctx.text);
  fail(problem.title, `${problem.detail}.`, problem);
});
