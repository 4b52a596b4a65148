import {
  CandlestickSeries,
  ColorType,
  HistogramSeries,
  createChart,
  createSeriesMarkers,
  createTextWatermark,
} from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { grouped } from "../data/decimal.js";
import { colour, translucent } from "./palette.js";

/** Older candles are asked for when so few are left of the visible ones. */
const AHEAD = 80;
/** A hole is drawn as wide as it is up to so many slots; a longer one would push everything else away. */
const WIDEST_HOLE = 1440;
/** Volumes beside their axis: as short as they can be told apart. */
const AMOUNT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
/** Markers beyond these are not seen and cost time. */
const MOST_MARKERS = 300;
const VOLUMES = {
  priceLineVisible: false,
  lastValueVisible: false,
  priceFormat: { type: "custom", minMove: 1e-8, formatter: (volume) => AMOUNT.format(volume) },
};
const CLEAR = "rgba(0, 0, 0, 0)";

/**
 * Candles and volume on a canvas.
 *
 * How sure a candle is shows in its shape: final ones are filled, those that are not yet proven hollow, the running one
 * pale; a corrected one has a dot above it.
 */
export class ChartView {
  #chart;
  #candles;
  #volumes;
  #markers;
  #watermark;
  #words = "";
  #book = null;
  #interval = 0;
  #places = null;
  #drawn = new Set();
  #newestSlot = -Infinity;
  #colours;
  #steppedTo = null;

  /** Handlers: `older()`: the oldest candle comes into view; `hover(candle)`: what the crosshair is at, or null. */
  constructor(container, { older, hover }) {
    this.#chart = createChart(container, {
      autoSize: true,
      layout: { attributionLogo: false, panes: { separatorColor: CLEAR } },
      grid: { vertLines: { visible: false } },
      timeScale: {
        timeVisible: true,
        secondsVisible: false,
        rightOffset: 6,
        barSpacing: 8,
        minBarSpacing: 0.6,
        borderVisible: false,
      },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.06 } },
      crosshair: { mode: 0 },
      // On a phone a vertical swipe scrolls the page.
      handleScroll: { vertTouchDrag: false },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, {}, 0);
    this.#volumes = this.#chart.addSeries(HistogramSeries, VOLUMES, 1);
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.15, bottom: 0 } });
    this.#markers = createSeriesMarkers(this.#candles, []);
    const [prices, volumes] = this.#chart.panes();
    this.#watermark = createTextWatermark(prices, { lines: [] });
    prices.setStretchFactor(5);
    volumes.setStretchFactor(1);
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && this.#book?.size && range.from < AHEAD) older();
    });
    this.#chart.subscribeCrosshairMove(({ time, sourceEvent }) => {
      // A mouse takes over from the keys.
      if (sourceEvent) this.#steppedTo = null;
      hover((time && this.#book?.get(time * 1000)) ?? null);
    });
    this.restyle();
  }

  /** Show another series: its book, the length of its interval in milliseconds, and words to stand behind it. */
  show(book, interval, words) {
    this.#book = book;
    this.#words = words;
    this.#steppedTo = null;
    this.#print();
    this.#interval = interval;
    this.#chart.timeScale().applyOptions({ timeVisible: interval < 86_400_000 });
    this.#redraw();
    this.#chart.timeScale().resetTimeScale();
    this.#chart.timeScale().applyOptions({ barSpacing: 8 });
    this.#chart.priceScale("right").applyOptions({ autoScale: true });
  }

  /** Draw the candles that changed (open times, ascending), with so many places behind the point. */
  paint(times, places) {
    if (places !== this.#places) {
      this.#places = places;
      this.#formatPrices();
    }
    // Only what is appended or was drawn before can be updated; anything else means to begin again.
    const isSimple = times.every((time) => this.#drawn.has(time) || (this.#drawn.size > 0 && time > this.#newestSlot));
    if (!isSimple) return this.#redraw();
    const newest = this.#newestSlot;
    for (const time of times) {
      const isOlder = time < this.#newestSlot;
      if (!isOlder) for (const slot of this.#hole(this.#newestSlot, time)) this.#candles.update(slot);
      const candle = this.#book.get(time);
      this.#candles.update(this.#bar(candle), isOlder);
      this.#volumes.update(this.#volume(candle), isOlder);
      this.#drawn.add(time);
      this.#newestSlot = Math.max(this.#newestSlot, time);
    }
    // A new candle pushes the others, and not the crosshair, which stays at its place on the screen.
    if (this.#newestSlot > newest) requestAnimationFrame(() => this.#cross());
    if (times.some((time) => this.#book.get(time).state === "corrected")) this.#mark();
  }

  /** Take the colours of the theme that is in force. */
  restyle() {
    this.#colours = {
      up: colour("--up"),
      down: colour("--down"),
      text: colour("--muted"),
      mark: colour("--mark"),
      surface: colour("--surface"),
    };
    const { up, down, text, surface } = this.#colours;
    const line = colour("--line");
    const label = colour("--label");
    this.#chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: surface },
        textColor: text,
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 12,
        panes: { separatorColor: line, separatorHoverColor: line },
      },
      grid: { horzLines: { color: line } },
      crosshair: {
        vertLine: { color: text, labelBackgroundColor: label },
        horzLine: { color: text, labelBackgroundColor: label },
      },
    });
    this.#candles.applyOptions({
      upColor: up,
      downColor: down,
      borderUpColor: up,
      borderDownColor: down,
      wickUpColor: up,
      wickDownColor: down,
    });
    if (this.#book) this.#redraw();
    this.#print();
  }

  /** Move the crosshair by so many candles from where it was moved to, or from the newest; returns its candle. */
  step(by) {
    const times = this.#book?.times ?? [];
    if (times.length === 0) return null;
    const at = times.indexOf(this.#steppedTo);
    const time = times[Math.min(times.length - 1, Math.max(0, (at === -1 ? times.length : at) + by))];
    this.#steppedTo = time;
    // The library scrolls with the next frame, and takes along a crosshair that is set before.
    if (this.#bringIntoView(time)) requestAnimationFrame(() => this.#cross());
    else this.#cross();
    return this.#book.get(time);
  }

  /** Move through time by so many candles. */
  scroll(by) {
    const scale = this.#chart.timeScale();
    scale.scrollToPosition(scale.scrollPosition() + by, false);
  }

  /** Back to the newest candle. */
  toNewest() {
    this.#chart.timeScale().scrollToRealTime();
    this.clear();
  }

  /** Make candles wider or narrower. */
  zoom(factor) {
    const scale = this.#chart.timeScale();
    scale.applyOptions({ barSpacing: Math.min(60, Math.max(1, scale.options().barSpacing * factor)) });
  }

  /** Take the crosshair away. */
  clear() {
    this.#chart.clearCrosshairPosition();
    this.#steppedTo = null;
  }

  #cross() {
    const candle = this.#book.get(this.#steppedTo);
    if (candle) this.#chart.setCrosshairPosition(Number(candle.close), candle.timestamp / 1000, this.#candles);
  }

  /** Scroll no further than it takes; returns whether it takes anything. Slots count, since holes have some as well. */
  #bringIntoView(time) {
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const slot = scale.timeToIndex(time / 1000, true);
    if (!range || slot === null) return false;
    // From where the last frame was: what several keys ask for within one frame does not add up.
    const beyond = Math.floor(Math.min(0, slot - range.from)) + Math.ceil(Math.max(0, slot - range.to));
    if (beyond) this.scroll(beyond);
    return beyond !== 0;
  }

  #print() {
    const { fontFamily } = getComputedStyle(document.body);
    const color = translucent(this.#colours.text, 0.16);
    this.#watermark.applyOptions({
      lines: this.#words ? [{ text: this.#words, color, fontSize: 40, fontFamily }] : [],
    });
  }

  #redraw() {
    const candles = this.#book.all();
    const slots = [];
    let before = Infinity;
    for (const candle of candles) {
      slots.push(...this.#hole(before, candle.timestamp), this.#bar(candle));
      before = candle.timestamp;
    }
    // The view hangs on the newest candle, so that older ones push in front of it without moving anything.
    this.#candles.setData(slots);
    this.#volumes.setData(candles.map((candle) => this.#volume(candle)));
    this.#drawn = new Set(this.#book.times);
    this.#newestSlot = this.#book.fromNewest(0)?.timestamp ?? -Infinity;
    this.#mark();
  }

  /** Empty slots for the candles that are missing between two open times. */
  #hole(from, to) {
    const missing = (to - from) / this.#interval - 1;
    if (!(missing >= 1 && missing <= WIDEST_HOLE)) return [];
    return Array.from({ length: Math.floor(missing) }, (_, number) => ({
      time: (from + (number + 1) * this.#interval) / 1000,
    }));
  }

  #bar(candle) {
    const { timestamp, open, high, low, close, state } = candle;
    const bar = {
      time: timestamp / 1000,
      open: Number(open),
      high: Number(high),
      low: Number(low),
      close: Number(close),
    };
    if (state === "open") return { ...bar, color: translucent(this.#direction(bar), 0.35) };
    if (state === "provisional" || state === "partial") return { ...bar, color: CLEAR };
    return bar;
  }

  #volume({ timestamp, open, close, volume }) {
    const color = translucent(this.#direction({ open: Number(open), close: Number(close) }), 0.45);
    return { time: timestamp / 1000, value: Number(volume), color };
  }

  #direction({ open, close }) {
    return close >= open ? this.#colours.up : this.#colours.down;
  }

  #mark() {
    const corrected = this.#book
      .all()
      .filter((candle) => candle.state === "corrected")
      .slice(-MOST_MARKERS);
    this.#markers.setMarkers(
      corrected.map(({ timestamp }) => ({
        time: timestamp / 1000,
        position: "aboveBar",
        shape: "circle",
        color: this.#colours.mark,
        size: 0.6,
      })),
    );
  }

  #formatPrices() {
    const minMove = 10 ** -this.#places;
    const formatter = (price) => grouped(price.toFixed(this.#places));
    this.#candles.applyOptions({ priceFormat: { type: "custom", minMove, formatter } });
  }
}
