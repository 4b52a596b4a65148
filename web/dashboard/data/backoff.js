const FIRST_MS = 500;
const MOST_MS = 30000;

/** How long to wait before an attempt (numbered from 0): doubling, half of it by chance, so that many come apart. */
export function backoff(attempt, random = Math.random) {
  const most = Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
  return most / 2 + (random() * most) / 2;
}

/** Resolves after so many milliseconds; rejects once `signal` gives up. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", giveUp);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", giveUp, { once: true });
  });
}
