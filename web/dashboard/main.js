/** The dashboard: what is selected, where its candles come from, and what shows them. */
import { config, isFollowed, isSimulated, socketUrl } from "./config.js";
import { keyOf } from "./data/candle.js";
import { grouped, precision } from "./data/decimal.js";
import { Live } from "./data/live.js";
import { Series } from "./data/series.js";
import { verdict } from "./data/verdict.js";
import { THEMES, VIEWS, following, parse, search } from "./selection.js";
import { ChartView } from "./view/chart.js";
import { say } from "./view/dom.js";
import { chartKeys } from "./view/keys.js";
import { Legend, candleInWords } from "./view/legend.js";
import { Market } from "./view/market.js";
import { Notes } from "./view/notes.js";
import { Overview } from "./view/overview.js";
import { Pickers } from "./view/pickers.js";
import { TableView } from "./view/table.js";
import { applyTheme, onSystemTheme } from "./view/theme.js";
import { duration } from "./view/words.js";
import { Watched } from "./watched.js";

const DELAYS = 1000;
/** How many of the newest candles say with how many places a pair's prices are shown. */
const PRECISION_CANDLES = 60;
const TABLE_MS = 400;
const CONNECTION_MS = 500;
const OVERVIEW_MS = 60_000;
/** So many pairs of the overview are live: the chart needs a subscription, too. */
const LIVE_PAIRS = config.maxSubscriptions - 1;

const node = (id) => document.getElementById(id);
const nodes = (...ids) => Object.fromEntries(ids.map((id) => [id, node(id)]));
const intervals = Object.keys(config.intervals);
const feeds = new Map();
const delays = [];

let selection;
let series;
let places = 2;
let hovered = null;
let tableTimer = 0;

const notes = new Notes(node("note"));
const market = new Market(nodes("market", "title", "where", "price", "change"));
const legend = new Legend(node("legend"));
const chart = new ChartView(node("canvas"), { older: () => series.older(), hover: (candle) => point(candle) });
const table = new TableView(node("table"));
const overview = new Overview(node("overview"), (exchange, pair) => choose({ exchange, pair }));
const watched = new Watched(overview, now, (exchange, pair) => {
  if (exchange === selection?.exchange && pair === selection.pair) showMarket();
});
const pickers = new Pickers(nodes("exchange", "pair", "interval"), (name, value) => choose({ [name]: value }));
const live = new Live(socketUrl(), {
  candles: (key, candles, receivedAt) => {
    if (key === keyOf(selection)) series.receive(candles, receivedAt);
    watched.receive(key, candles);
  },
  hole: (hole) => {
    if (keyOf(hole) === keyOf(selection)) series.repair(hole.from, hole.to);
    watched.repair(hole);
  },
  status: (status) => feeds.set(status.exchange, status),
  refused: (message) => notes.set("live", message),
  changed: () => showConnection(),
});

// -- what is selected ------------------------------------------------------------------------------------------------

/** Select something else; what is not named stays. */
function choose(changes) {
  const next = { ...selection, ...changes };
  if (!watched.pairs[next.exchange].includes(next.pair)) next.pair = watched.pairs[next.exchange][0];
  history.pushState(null, "", search(next));
  notes.set("address", "");
  select(next);
}

function readAddress() {
  const read = parse(location.search, watched.pairs, intervals);
  notes.set("address", read.notes.join(" "));
  select(read.selection);
}

function select(next) {
  const before = selection;
  selection = Object.freeze(next);
  const { exchange, pair, theme, view } = selection;
  if (before?.theme !== theme) showTheme();
  if (before?.view !== view) showView();
  node("simulated").hidden = !isSimulated(exchange);
  showChoices();
  if (!before || keyOf(before) !== keyOf(selection)) follow();
}

function showChoices() {
  const { exchange, pair } = selection;
  const { pairs } = watched;
  pickers.show({ exchange: Object.keys(pairs), pair: pairs[exchange], interval: intervals }, selection);
  overview.select(exchange, pair, (its, one) => search({ ...selection, exchange: its, pair: one }));
}

/** Follow the selected series, and nothing of the one before. */
function follow() {
  const { exchange, pair, interval } = selection;
  const length = config.intervals[interval];
  series?.stop();
  notes.set("history", "");
  notes.set("live", "");
  document.title = titled(pair, exchange);
  market.begin(pair, `${exchange}${isSimulated(exchange) ? " (simulated)" : ""}, ${interval}`);
  node("picture").setAttribute("aria-label", `Chart of ${pair} on ${exchange}, candles of ${interval}`);
  series = new Series({ exchange, pair, interval }, length, config.liveWindow, {
    changed: (times, receivedAt) => times.length > 0 && paint(times, receivedAt),
    trouble: (message) => notes.set("history", message ?? ""),
  });
  point(null);
  chart.show(series.book, length, isSimulated(exchange) ? "SIMULATED" : "");
  subscribe();
  series.start();
  showTable();
  showConnection();
}

function subscribe() {
  const { exchange, pair, interval } = selection;
  const overviews = watched.subscriptions(LIVE_PAIRS);
  // The last one of a series counts: the chart wants every change.
  live.want([...overviews, { exchange, pair, interval, snapshot: config.liveWindow, maxRate: null }]);
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
  if (!series) return;
  const candle = hovered ? series.book.get(hovered.timestamp) : series.book.fromNewest(0);
  legend.show(candle, config.intervals[selection.interval], places);
}

function showMarket() {
  const { exchange, pair } = selection;
  const price = series?.book.fromNewest(0)?.close;
  if (price === undefined) return;
  market.show(price, series.book.fromNewest(1)?.close, places, watched.dayOf(exchange, pair));
  document.title = `${grouped(price, places)} ${titled(pair, exchange)}`;
}

function titled(pair, exchange) {
  return isSimulated(exchange) ? `${pair} (simulated)` : pair;
}

function showTheme() {
  const { theme } = selection;
  applyTheme(theme);
  chart.restyle();
  say(node("theme"), theme);
  node("theme").setAttribute("aria-label", `Theme: ${theme}`);
}

function showView() {
  const isTable = selection.view === "table";
  node("chart").hidden = isTable;
  node("keys").hidden = isTable;
  node("rows").hidden = !isTable;
  say(node("view"), isTable ? "Chart" : "Table");
  showTable();
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
  say(node("age"), madeAt ? `Newest data ${duration(now() - madeAt)} old` : "No data yet");
}

/** The server's time. */
function now() {
  return Date.now() + live.facts.clockOffset;
}

function connection() {
  const { exchange, pair } = selection;
  const facts = { ...series.facts, isFollowed: isFollowed(exchange, pair) };
  return verdict(live.facts, feeds.get(exchange) ?? null, facts, Date.now());
}

// -- begin -----------------------------------------------------------------------------------------------------------

node("theme").addEventListener("click", () => choose({ theme: following(THEMES, selection.theme) }));
node("view").addEventListener("click", () => choose({ view: following(VIEWS, selection.view) }));
chartKeys(node("chart"), chart, (candle) => {
  point(candle);
  if (candle) say(node("spoken"), candleInWords(candle, config.intervals[selection.interval], places));
});
watched.addFollowed();
const stored = watched.addStored();
// An address may name a pair that is stored and no longer followed.
if (parse(location.search, watched.pairs, intervals).notes.length > 0) await stored;
readAddress();
live.start();
stored.then((any) => {
  if (any) {
    showChoices();
    subscribe();
  }
  watched.read();
});
setInterval(showConnection, CONNECTION_MS);
setInterval(() => watched.refresh(LIVE_PAIRS), OVERVIEW_MS);
addEventListener("popstate", readAddress);
onSystemTheme(() => chart.restyle());

/** What the page knows, for whoever wants to look. */
window.cryptoStreams = Object.freeze({
  candles: () => series.book.all(),
  selection: () => ({ ...selection }),
  connection: () => connection().state,
  delays: () => [...delays],
});
