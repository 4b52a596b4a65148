/** The dashboard: what is selected, where its candles come from, and what shows them. */
import { config, isSimulated, socketUrl } from "./config.js";
import { keyOf } from "./data/candle.js";
import { grouped, precision } from "./data/decimal.js";
import { Live } from "./data/live.js";
import { knownSeries } from "./data/rest.js";
import { Series } from "./data/series.js";
import { Summary } from "./data/summary.js";
import { verdict } from "./data/verdict.js";
import { THEMES, VIEWS, following, parse, search } from "./selection.js";
import { ChartView } from "./view/chart.js";
import { say } from "./view/dom.js";
import { chartKeys } from "./view/keys.js";
import { Legend, candleInWords } from "./view/legend.js";
import { Overview } from "./view/overview.js";
import { Pickers } from "./view/pickers.js";
import { TableView } from "./view/table.js";
import { applyTheme, onSystemTheme } from "./view/theme.js";
import { change, duration } from "./view/words.js";

const DELAYS = 1000;
/** How many of the newest candles say with how many places a pair's prices are shown. */
const PRECISION_CANDLES = 60;
const TABLE_MS = 400;

const node = (id) => document.getElementById(id);
const pairs = Object.fromEntries(Object.entries(config.pairs).map(([exchange, each]) => [exchange, [...each]]));
const intervals = Object.keys(config.intervals);
const summaries = new Map();
const feeds = new Map();
const delays = [];
/** What is wrong, by where it was noticed. */
const troubles = { address: "", history: "", live: "" };

let selection;
let series;
let places = 2;
let hovered = null;
let lastPrice = null;
let tableTimer = 0;

const chart = new ChartView(node("canvas"), { older: () => series.older(), hover: (candle) => point(candle) });
const legend = new Legend(node("legend"));
const table = new TableView(node("table"));
const overview = new Overview(node("overview"), (exchange, pair) => choose({ exchange, pair }));
const pickers = new Pickers(
  { exchange: node("exchange"), pair: node("pair"), interval: node("interval") },
  (name, value) => choose({ [name]: value }),
);
const live = new Live(socketUrl(), {
  candles: (key, candles, receivedAt) => {
    if (key === keyOf(selection)) series.receive(candles, receivedAt);
    summaries.get(key)?.receive(candles);
  },
  hole: (hole) => {
    if (keyOf(hole) === keyOf(selection)) series.repair(hole.from, hole.to);
    summaries.get(keyOf(hole))?.repair(hole.from, hole.to);
  },
  status: (status) => {
    feeds.set(status.exchange, status);
    showConnection();
  },
  refused: (message) => note("live", message),
  changed: () => showConnection(),
});

// -- what is selected ------------------------------------------------------------------------------------------------

/** Select something else; what is not named stays. */
function choose(changes) {
  const next = { ...selection, ...changes };
  if (!pairs[next.exchange].includes(next.pair)) next.pair = pairs[next.exchange][0];
  history.pushState(null, "", search(next));
  note("address", "");
  select(next);
}

function readAddress() {
  const { selection: wanted, notes } = parse(location.search, pairs, intervals);
  note("address", notes.join(" "));
  select(wanted);
}

function select(next) {
  const before = selection;
  selection = Object.freeze(next);
  const { exchange, pair, interval, theme, view } = selection;
  applyTheme(theme);
  if (before && before.theme !== theme) chart.restyle();
  if (before?.view !== view) showView();
  say(node("theme"), theme);
  node("theme").setAttribute("aria-label", `Theme: ${theme}`);
  pickers.show({ exchange: Object.keys(pairs), pair: pairs[exchange], interval: intervals }, selection);
  overview.select(exchange, pair, (its, one) => search({ ...selection, exchange: its, pair: one }));
  node("simulated").hidden = !isSimulated(exchange);
  if (!before || keyOf(before) !== keyOf(selection)) follow();
}

/** Follow the selected series, and nothing of the one before. */
function follow() {
  series?.stop();
  note("history", "");
  note("live", "");
  lastPrice = null;
  point(null);
  const { exchange, pair, interval } = selection;
  say(node("title"), pair);
  say(node("where"), `${exchange}${isSimulated(exchange) ? " (simulated)" : ""}, ${interval}`);
  say(node("price"), "–");
  node("picture").setAttribute("aria-label", `Chart of ${pair} on ${exchange}, candles of ${interval}`);
  const followed = { exchange, pair, interval };
  series = new Series(followed, config.intervals[interval], config.liveWindow, {
    changed: (times, receivedAt) => times.length > 0 && paint(times, receivedAt),
    trouble: (message) => note("history", message ?? ""),
  });
  chart.show(series.book, config.intervals[interval], isSimulated(exchange) ? "SIMULATED" : "");
  subscribe();
  series.start();
  showMarket();
  showConnection();
}

function subscribe() {
  const { exchange, pair, interval } = selection;
  const most = config.maxSubscriptions - 1;
  const watched = [...summaries.values()].slice(0, most).map((summary) => summary.subscription);
  // The last one of a series counts: the chart wants every change.
  live.want([...watched, { exchange, pair, interval, snapshot: config.liveWindow, maxRate: null }]);
}

// -- what is shown ---------------------------------------------------------------------------------------------------

function paint(times, receivedAt) {
  const newest = series.book.newest(PRECISION_CANDLES);
  places = precision(newest.flatMap(({ open, high, low, close }) => [open, high, low, close]));
  chart.paint(times, places);
  // Where nobody looks, no frame is painted.
  if (receivedAt && selection.view === "chart" && document.visibilityState === "visible") {
    requestAnimationFrame(() => {
      delays.push(performance.now() - receivedAt);
      if (delays.length > DELAYS) delays.shift();
    });
  }
  showLegend();
  showMarket();
  showTable();
}

function point(candle) {
  hovered = candle;
  showLegend();
}

function showLegend() {
  const candle = hovered ? series.book.get(hovered.timestamp) : series?.book.fromNewest(0);
  legend.show(candle, config.intervals[selection.interval], places);
}

/** The price in large, and which way it went. */
function showMarket() {
  const price = series.book.fromNewest(0)?.close;
  if (price === undefined) return;
  const before = lastPrice ?? series.book.fromNewest(1)?.close ?? price;
  if (Number(price) !== Number(before))
    node("market").dataset.direction = Number(price) > Number(before) ? "up" : "down";
  lastPrice = price;
  say(node("price"), grouped(price, places));
  document.title = `${grouped(price, places)} ${selection.pair}${isSimulated(selection.exchange) ? " (simulated)" : ""}`;
  const day = summaries.get(keyOf({ ...selection, interval: "5m" }))?.day;
  say(node("change"), day ? `${change(Number(day.first), Number(price))} in ${duration(day.spanMs)}` : "");
  node("change").dataset.direction = day && Number(price) < Number(day.first) ? "down" : "up";
}

function showView() {
  const isTable = selection.view === "table";
  node("chart").hidden = isTable;
  node("rows").hidden = !isTable;
  node("keys").hidden = isTable;
  say(node("view"), isTable ? "Chart" : "Table");
  if (isTable) showTable();
}

function showTable() {
  if (selection.view !== "table" || tableTimer) return;
  tableTimer = setTimeout(() => {
    tableTimer = 0;
    const { exchange, pair, interval } = selection;
    table.show(`${pair} on ${exchange}, ${interval}`, series.book, config.intervals[interval], places);
  }, TABLE_MS);
}

function showConnection() {
  if (!series) return;
  const { state, text } = connection();
  node("connection").dataset.state = state;
  say(node("connection"), text);
  const madeAt = series.book.newestVersionAt;
  say(
    node("age"),
    madeAt ? `Newest data ${duration(Date.now() + live.facts.clockOffset - madeAt)} old` : "No data yet",
  );
}

function connection() {
  return verdict(live.facts, feeds.get(selection.exchange) ?? null, series.facts, Date.now());
}

function note(where, text) {
  troubles[where] = text;
  const texts = Object.values(troubles).filter(Boolean).join(" ");
  say(node("note"), texts);
  node("note").hidden = !texts;
}

// -- all pairs -------------------------------------------------------------------------------------------------------

/** Have every pair in the pickers and the overview. */
function know(exchange, pair) {
  pairs[exchange] ??= [];
  if (!pairs[exchange].includes(pair)) pairs[exchange].push(pair);
  if (overview.has(exchange, pair)) return null;
  overview.add(exchange, pair, isSimulated(exchange));
  const summary = new Summary(exchange, pair, () => {
    overview.show(exchange, pair, summary.day);
    if (exchange === selection.exchange && pair === selection.pair) showMarket();
  });
  summaries.set(keyOf(summary.subscription), summary);
  return summary;
}

async function summarize(fresh) {
  // One after the other: the chart comes first.
  for (const summary of fresh) await summary?.start();
}

/** Learn what is stored beside what is followed; returns the summaries that are new. */
async function knowStored() {
  try {
    const found = await knownSeries();
    return found.map(({ exchange, pair }) => know(exchange, pair)).filter(Boolean);
  } catch {
    // The pairs that are followed are known without it, and the chart says what is wrong with REST.
    return [];
  }
}

async function overviewOfAll(fresh, asked) {
  await summarize(fresh);
  const stored = await asked;
  if (stored.length === 0) return;
  select({ ...selection });
  subscribe();
  await summarize(stored);
}

// -- begin -----------------------------------------------------------------------------------------------------------

node("theme").addEventListener("click", () => choose({ theme: following(THEMES, selection.theme) }));
node("view").addEventListener("click", () => choose({ view: following(VIEWS, selection.view) }));
chartKeys(node("chart"), chart, (candle) => {
  point(candle);
  if (candle) say(node("spoken"), candleInWords(candle, config.intervals[selection.interval], places));
});
const firsts = Object.entries(config.pairs).flatMap(([exchange, each]) => each.map((pair) => know(exchange, pair)));
const asked = knowStored();
// An address may name a pair that is stored and no longer followed.
if (parse(location.search, pairs, intervals).notes.length > 0) await asked;
readAddress();
live.start();
overviewOfAll(firsts, asked);
setInterval(showConnection, 500);
addEventListener("popstate", readAddress);
onSystemTheme(() => chart.restyle());

/** What the page knows, for whoever wants to look. */
window.cryptoStreams = Object.freeze({
  candles: () => series.book.all(),
  selection: () => ({ ...selection }),
  connection: () => connection().state,
  delays: () => [...delays],
});
