/** Light or dark: as the system has it, unless the page's address says otherwise. */

export function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

/** Call back when the system changes its mind. */
export function onSystemTheme(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}
