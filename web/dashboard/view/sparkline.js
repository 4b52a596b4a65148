import { svg } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 32;
const EDGE = 2;

/** A line through closes, as a picture that fills its room; who does not see it reads the change beside. */
export class Sparkline {
  #line = svg("polyline", { class: "line" });
  #area = svg("polygon", { class: "area" });
  node = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    this.#area,
    this.#line,
  );

  show(closes) {
    const points = this.#points(closes);
    this.#line.setAttribute("points", points);
    this.#area.setAttribute("points", `0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`);
  }

  #points(closes) {
    const low = Math.min(...closes);
    const range = Math.max(...closes) - low || 1;
    const step = WIDTH / Math.max(1, closes.length - 1);
    const y = (close) => HEIGHT - EDGE - ((close - low) / range) * (HEIGHT - 2 * EDGE);
    return closes.map((close, number) => `${(number * step).toFixed(2)},${y(close).toFixed(2)}`).join(" ");
  }
}
