import { element } from "../view/dom.js";
import { duration } from "../view/words.js";
import { askStatus } from "./asked.js";
import { badge, table } from "./section.js";

const STATES = {
  up: ["ok", "runs"],
  started: ["stale", "just started"],
  silent: ["down", "silent: ended, or stands still"],
};

/** Every process that says how it is, or did and stopped: /api/status. */
export const programs = {
  id: "programs",
  title: "Programs",
  seconds: 2,
  read: askStatus,
  render({ programs, at, detail }) {
    if (!programs) return [element("p", { class: "note" }, detail)];
    if (programs.length === 0) return [element("p", { class: "quiet" }, "Nobody has said anything yet.")];
    const rows = programs.map((each) => [
      each.program,
      badge(...STATES[each.state]),
      duration(each.at - each.started),
      `${duration(at - each.at)} ago`,
      each.clients === null ? "–" : `${each.clients}`,
      each.instance,
    ]);
    return [table(["Program", "State", "Ran for", "Last seen", "Clients", "Host and process"], rows)];
  },
};
