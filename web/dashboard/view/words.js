/** Times, ages and changes as people read them; all times are UTC. */

const DAY_MS = 86_400_000;

/** "2026-11-23 06:20", and without its time for whole days. */
export function openTime(timestamp, interval) {
  const text = new Date(timestamp).toISOString();
  return interval >= DAY_MS ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
}

/** "just now", "4 s", "3 min", "5 h", "2 d". */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 180_000) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** "+1.23 %" of a change from one price to another; null where there is nothing to compare with. */
export function change(from, to) {
  if (!(from > 0)) return null;
  const percent = (to / from - 1) * 100;
  const digits = Math.abs(percent).toFixed(2);
  const sign = percent < 0 ? "−" : "+";
  return `${Number(digits) === 0 ? "" : sign}${digits} %`;
}

const STATES = {
  partial: "partial: only part of its minute was seen",
  open: "open: still running",
  provisional: "provisional: over, not yet proven complete",
  final: "final",
  corrected: "corrected after it was final",
};

/** A candle's state in a few words. */
export function stateInWords(state) {
  return STATES[state] ?? state;
}

/** "57 of 60", or "1" for minutes themselves. */
export function minutesOf(candle, interval) {
  const whole = interval / 60_000;
  return whole === 1 ? "1" : `${candle.minutes} of ${whole}`;
}
