import { candleOf } from "./candle.js";
import { parseExact } from "./exact.js";

const TIMEOUT_MS = 8000;

/** Thrown when REST does not answer, or answers that it cannot; `message` is a sentence for people. */
export class RestError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.name = "RestError";
    this.status = status;
  }

  /** Whether asking again cannot help: the server knows no such pair, or takes no such parameter. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && this.status !== 429;
  }
}

/**
 * An answer as JSON with exact numbers, whatever its status, and the server's time (Unix milliseconds, to the second).
 *
 * `fresh` goes past caches; `signal` gives up.
 */
export async function ask(path, { parameters = {}, signal, fresh = false } = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value != null));
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  let response;
  let text;
  try {
    response = await fetch(`${path}${query.size ? `?${query}` : ""}`, {
      signal: AbortSignal.any(limits),
      cache: fresh ? "no-store" : "default",
      credentials: "same-origin",
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RestError("The REST server does not answer.");
  }
  try {
    return { status: response.status, body: parseExact(text), serverTime: Date.parse(response.headers.get("Date")) };
  } catch {
    throw new RestError(`What answers ${path} is not the REST server.`, response.status);
  }
}

/** The same, where anything but success is an error. */
async function expectGood(path, options) {
  const { status, body } = await ask(path, options);
  if (status !== 200) throw new RestError(body.detail ?? `${path} answered ${status}.`, status);
  return body;
}

/** A page of history, newest first: at most `limit` candles that open before `page`, or from `from` to `to`. */
export async function candlePage({ exchange, pair, interval }, { limit, page, from, to, signal, fresh }) {
  const parameters = { exchange, pair, interval, limit, page, from, to };
  const body = await expectGood("/api/candles", { parameters, signal, fresh });
  return { candles: body.candles.map(candleOf), next: body.next };
}

/** Every known series, with earliest and newest open time. */
export function knownSeries(options) {
  return expectGood("/api/pairs", options);
}
