/** The status page. A further section is one more module like those below, and one more entry in SECTIONS. */
import { THEMES, following } from "../selection.js";
import { say } from "../view/dom.js";
import { applyTheme } from "../view/theme.js";
import { feeds } from "./feeds.js";
import { programs } from "./programs.js";
import { Section } from "./section.js";
import { series } from "./series.js";
import { services } from "./services.js";
import { stages } from "./stages.js";

const SECTIONS = [services, stages, feeds, programs, series];

const node = (id) => document.getElementById(id);
const sections = SECTIONS.map((declared) => new Section(declared));

function refresh() {
  for (const section of sections) {
    section.run((now) => say(node("asked"), `As of ${new Date(now).toISOString().slice(11, 19)} UTC`));
  }
}

function showTheme() {
  const theme = document.documentElement.dataset.theme;
  say(node("theme"), theme);
  node("theme").setAttribute("aria-label", `Theme: ${theme}`);
}

node("main").append(...sections.map((section) => section.node));
node("theme").addEventListener("click", () => {
  const theme = following(THEMES, document.documentElement.dataset.theme);
  applyTheme(theme);
  history.replaceState(null, "", theme === THEMES[0] ? location.pathname : `?theme=${theme}`);
  showTheme();
});
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
showTheme();
refresh();
