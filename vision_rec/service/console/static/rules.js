// The list of rules works without this file; with it, Alt with an arrow moves the pin that has the focus.
// @ts-check

document.addEventListener("keydown", (event) => {
  const by = { ArrowUp: "-1", ArrowDown: "1" }[event.key];
  if (!by || !event.altKey || event.ctrlKey || event.metaKey) return;
  const rule = event.target instanceof Element ? event.target.closest(".rule") : null;
  const button = rule?.querySelector(`.places button[value="${by}"]`);
  if (!(button instanceof HTMLButtonElement)) return;
  event.preventDefault();
  button.click();
});

// A rule that was just changed takes the focus, so that the next key finds it.
const changed = location.hash ? document.getElementById(location.hash.slice(1)) : null;
if (changed?.matches(".rule")) {
  changed.focus();
  // What is to be published stands above the list; where both fit, both are shown.
  const up = () => changed.getBoundingClientRect().bottom + window.scrollY < window.innerHeight && window.scrollTo(0, 0);
  window.addEventListener("load", () => requestAnimationFrame(up)); // after the browser went to the anchor
}
