// Runs before anything is drawn: marks that scripts work, and takes the colours chosen last time.
// @ts-check
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const names = ["auto", "light", "dark"];
  const said = { auto: "as the system", light: "light", dark: "dark" };
  const kept = () => {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto"; // storage may be off
    }
  };
  const use = (/** @type {string} */ name) => {
    root.dataset.theme = names.includes(name) ? name : "auto";
    const button = document.getElementById("theme");
    if (!button) return;
    const text = `Colours: ${said[/** @type {keyof typeof said} */ (root.dataset.theme)]}`;
    button.title = text;
    button.setAttribute("aria-label", text);
  };
  use(kept());
  document.addEventListener("DOMContentLoaded", () => {
    use(kept());
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = names[(names.indexOf(root.dataset.theme || "auto") + 1) % names.length];
      try {
        localStorage.setItem("theme", next);
      } catch {
        // then it lasts as long as this page
      }
      use(next);
    });
  });
})();
