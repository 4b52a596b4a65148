/**
 * rev, the number that lets a candle only move forward: the rank of its state, then 50 bits of microseconds since 2020.
 * It is kept as the text it came as; below 2^53, it is exact as a number, too.
 */
const EPOCH_MS = Date.UTC(2020, 0, 1);
const TIME = 2 ** 50;

/** Whether rev `a` is above rev `b`; both decimal texts. */
export function isHigher(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}

/** When a version was made, Unix milliseconds. */
export function madeAt(rev) {
  return EPOCH_MS + Math.floor((Number(rev) % TIME) / 1000);
}
