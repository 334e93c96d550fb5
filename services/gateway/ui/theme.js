// Theme: "auto" follows the system; a choice is kept in this browser.
// Loaded as a classic script before the first paint; main.js uses window.logpipelineTheme.
window.logpipelineTheme = (() => {
  const CHOICES = ["auto", "light", "dark"];
  const KEY = "logpipeline.theme";

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  let choice = CHOICES.includes(stored()) ? stored() : "auto";

  function apply() {
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  }

  /** Goes on to the next choice (auto, light, dark) and returns it. */
  function next() {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
    apply();
    return choice;
  }

  apply();
  return { current: () => choice, next };
})();
