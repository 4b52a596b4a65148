import { element } from "../view/dom.js";
import { askStatus } from "./asked.js";
import { badge, table } from "./section.js";

const PURPOSES = {
  persist: "minutes to MongoDB",
  fanout: "minutes to clients",
  rollup: "larger candles to MongoDB",
  "rollup-live": "larger candles to clients",
};
const DEAD_LETTERS = "python -m workers dlq list";

/** How far each way out of Kafka is, and what could not be taken: /api/status. */
export const stages = {
  id: "stages",
  title: "Stages",
  seconds: 2,
  read: askStatus,
  render({ stages, dead_letters: letters, detail }) {
    if (!stages) return [element("p", { class: "note" }, detail)];
    const heads = ["From Kafka", "Purpose", "State", "Records behind", "In flight", "Bridges"];
    const rows = stages.map((stage) => [
      stage.stage,
      PURPOSES[stage.stage] ?? "",
      stateOf(stage),
      known(stage.lag),
      known(stage.in_flight),
      `${stage.bridges}`,
    ]);
    return [table(heads, rows), lettersNote(letters)];
  },
};

function stateOf({ bridges, lag, paused, without_workers: withoutWorkers }) {
  if (bridges === 0) return badge("down", "nobody runs it");
  if (lag === null) return badge("stale", "starts, or Kafka does not answer");
  if (withoutWorkers) return badge("stale", "no worker answers");
  return paused ? badge("stale", "paused, too much in flight") : badge("ok", "works");
}

function lettersNote(count) {
  if (!count) return element("p", { class: "quiet" }, `Dead letters: ${count === 0 ? "none" : "nobody knows"}.`);
  return element("p", { class: "note" }, `Dead letters: ${count}. Look at them with “${DEAD_LETTERS}”.`);
}

function known(count) {
  return count === null ? "–" : count.toLocaleString("en");
}
