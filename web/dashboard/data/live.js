import { backoff } from "./backoff.js";
import { candleOf, keyOf } from "./candle.js";
import { parseExact } from "./exact.js";
import { commands } from "./subscriptions.js";

const TICK_MS = 500;
/** After so long without a frame the server is asked whether it is there, and has as long to answer. */
const QUIET_MS = 4000;
const ANSWER_MS = 5000;
/** A connection that is not made by then never will be: packets get lost on the way. */
const CONNECT_MS = 8000;
/** When a command came too fast: the allowance refills in a second. */
const TOO_FAST_MS = 1500;

/**
 * A WebSocket connection that comes back by itself, and carries on where it was.
 *
 * `want` says what to be subscribed to; the rest follows: subscribing with a snapshot that overlaps history, going on
 * from the last cursor after a break, and reporting as a hole what the server cannot make up for.
 *
 * Handlers: `candles(key, candles, receivedAt)`; `hole({exchange, pair, interval, from, to})`: to be read over REST;
 * `status({exchange, feed, since})`; `refused(message)`; `changed()`: `facts` are others now.
 */
export class Live {
  #url;
  #handlers;
  #socket = null;
  #wanted = new Map();
  #sent = new Map();
  #cursors = new Map();
  #commands = new Map();
  /** Commands that came too fast, and when they are looked at again. */
  #refusals = [];
  #refusalTimer = 0;
  #number = 0;
  #attempt = 0;
  #timer = 0;
  #tickedAt = 0;
  #connectingSince = 0;
  #facts = { phase: "connecting", retryAt: 0, frameAt: 0, askedAt: 0, clockOffset: 0 };

  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
  }

  /**
   * `phase`: "connecting" (for the first time), "open", or "waiting" for the next attempt at `retryAt`; `frameAt`:
   * when the last frame came; `askedAt`: since when an answer is awaited, 0 if none is. Milliseconds of this machine's
   * clock; `clockOffset`: what to add for the server's.
   */
  get facts() {
    return this.#facts;
  }

  start() {
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
    this.#connect();
  }

  /** Be subscribed to these series and no others: an iterable of {exchange, pair, interval, snapshot, maxRate}. */
  want(subscriptions) {
    const before = this.#wanted;
    this.#wanted = new Map(Array.from(subscriptions, (each) => [keyOf(each), each]));
    for (const key of this.#cursors.keys()) {
      // Whoever wants a longer snapshot has not seen what came before this cursor.
      if (!(this.#wanted.get(key)?.snapshot <= before.get(key)?.snapshot)) this.#cursors.delete(key);
    }
    this.#subscribe();
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#connectingSince = Date.now();
    this.#sent = new Map();
    this.#commands.clear();
    socket.onopen = () => {
      this.#set({ phase: "open", frameAt: Date.now(), askedAt: 0 });
      this.#subscribe();
      // Its answer has the server's time.
      this.#ping();
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost();
  }

  #lost(delay = backoff(this.#attempt)) {
    const socket = this.#socket;
    if (!socket) return;
    // A dead link would keep the socket in its closing handshake for minutes.
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    this.#forgetRefusals();
    this.#attempt += 1;
    this.#set({ phase: "waiting", retryAt: Date.now() + delay, askedAt: 0 });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  /** Somebody looks, or the network is back: do not wait for long. */
  #hurry() {
    if (this.#facts.phase !== "waiting" || this.#socket) return;
    clearTimeout(this.#timer);
    const delay = backoff(0);
    this.#set({ retryAt: Date.now() + delay });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #subscribe() {
    if (this.#facts.phase !== "open") return;
    for (const command of commands(this.#sent, this.#wanted, this.#cursors)) this.#command(command);
    this.#sent = new Map(this.#wanted);
  }

  #command(command) {
    const id = ++this.#number;
    this.#commands.set(id, command);
    this.#socket.send(JSON.stringify({ id, ...command }));
  }

  #ping() {
    this.#set({ askedAt: Date.now() });
    this.#socket.send(JSON.stringify({ id: `ping ${Date.now()}`, method: "ping" }));
  }

  #tick() {
    const now = Date.now();
    const slept = now - this.#tickedAt > 4 * TICK_MS;
    this.#tickedAt = now;
    if (this.#socket?.readyState === WebSocket.CONNECTING && now - this.#connectingSince > CONNECT_MS) this.#lost();
    if (this.#facts.phase !== "open") return;
    const { askedAt, frameAt } = this.#facts;
    // A tab that was frozen has not heard what came meanwhile: its silence proves nothing.
    if (askedAt && slept) this.#set({ askedAt: now });
    else if (askedAt && now - askedAt > ANSWER_MS) this.#lost();
    else if (!askedAt && now - frameAt > QUIET_MS) this.#ping();
  }

  #receive(data) {
    const receivedAt = performance.now();
    const frame = parseExact(data);
    this.#facts = { ...this.#facts, frameAt: Date.now(), askedAt: 0 };
    if (frame.type === "candle") this.#candles(frame, [frame.candle], receivedAt);
    else if (frame.type === "snapshot") this.#candles(frame, frame.candles, receivedAt);
    else if (frame.type === "status") this.#handlers.status(frame);
    else if (frame.type === "gap") this.#handlers.hole(frame);
    else if (frame.type === "shutdown") this.#lost(frame.reconnect_after_ms);
    else if (frame.error) this.#refused(frame);
    else if (frame.result?.time) this.#clock(frame);
    else if (frame.result?.pair) this.#answered(frame.result);
    this.#handlers.changed();
  }

  #answered({ fetch, recovered, ...series }) {
    // Nothing has changed so far, but it would be told from now on. The answer to "unsubscribe" has no such field.
    if (recovered !== undefined) this.#handlers.candles(keyOf(series), [], 0);
    if (fetch) this.#handlers.hole(fetch);
  }

  #candles(frame, candles, receivedAt) {
    const key = keyOf(frame);
    if (!this.#wanted.has(key)) return;
    this.#attempt = 0;
    if (frame.cursor) this.#cursors.set(key, frame.cursor);
    this.#handlers.candles(key, candles.map(candleOf), receivedAt);
  }

  #clock({ id, result }) {
    const sentAt = Number(String(id).replace("ping ", ""));
    this.#facts = { ...this.#facts, clockOffset: result.time - (sentAt + Date.now()) / 2 };
  }

  #refused({ id, error }) {
    if (error.code !== "rate_limited") {
      this.#handlers.refused(error.message);
      return;
    }
    const command = this.#commands.get(id);
    // A ping is sent again by itself.
    if (!command) return;
    this.#refusals.push(command);
    this.#refusalTimer ||= setTimeout(() => this.#afterRefusals(), TOO_FAST_MS);
  }

  /** What was refused has not happened: ask for what is wanted now, which may be something else. */
  #afterRefusals() {
    for (const { method, params } of this.#refusals) {
      for (const pair of params.pairs) {
        const series = { exchange: params.exchange, pair, interval: params.interval };
        const key = keyOf(series);
        if (method === "subscribe") this.#sent.delete(key);
        else if (!this.#sent.has(key)) this.#sent.set(key, series);
      }
    }
    this.#forgetRefusals();
    this.#subscribe();
  }

  #forgetRefusals() {
    clearTimeout(this.#refusalTimer);
    this.#refusalTimer = 0;
    this.#refusals = [];
  }

  #set(facts) {
    this.#facts = { ...this.#facts, ...facts };
    this.#handlers.changed();
  }
}
