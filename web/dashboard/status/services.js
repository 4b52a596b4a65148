import { ask } from "../data/rest.js";
import { element } from "../view/dom.js";
import { badge } from "./section.js";
import { socketAnswers } from "./socket.js";

const NAMES = { store: "MongoDB", live: "Redis (live)" };

/** Whether both servers and what they need answer, and whether the data is fresh: /readyz, /health and a ping. */
export const services = {
  id: "services",
  title: "Services",
  seconds: 5,
  async read() {
    const [ready, health, socket] = await Promise.all([
      ask("/readyz", { fresh: true }),
      ask("/health", { fresh: true }),
      socketAnswers(),
    ]);
    const body = { checks: ready.body.checks, problems: health.body.problems, socket };
    return { body, serverTime: ready.serverTime };
  },
  render({ checks, problems, socket }) {
    const rows = [
      ["REST", badge("ok", "answers")],
      ["WebSocket", socket ? badge("ok", "answers") : badge("down", "does not answer")],
      ...Object.entries(checks).map(([name, check]) => [
        NAMES[name] ?? name,
        check === "ok" ? badge("ok", "answers") : badge("down", check),
      ]),
      ["Data", problems.length === 0 ? badge("ok", "fresh") : badge("stale", `${problems.length} not fresh`)],
    ];
    const list = rows.map(([name, state]) => element("div", {}, element("dt", {}, name), element("dd", {}, state)));
    const details = element("ul", { class: "problems" }, ...problems.map((text) => element("li", {}, text)));
    return problems.length === 0 ? [element("dl", {}, ...list)] : [element("dl", {}, ...list), details];
  },
};
