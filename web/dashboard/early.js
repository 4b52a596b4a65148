/** Runs before anything is painted, so that a page never flashes in the other theme. */
import { THEMES } from "./selection.js";
import { applyTheme } from "./view/theme.js";

const wanted = new URLSearchParams(location.search).get("theme");
applyTheme(THEMES.includes(wanted) ? wanted : THEMES[0]);
