import { ask } from "../data/rest.js";

const SHARED_MS = 1000;

let askedAt = -Infinity;
let answer = null;

/** The answer of /api/status, asked for once for all sections that show a part of it. */
export function askStatus() {
  if (performance.now() - askedAt > SHARED_MS) {
    askedAt = performance.now();
    answer = ask("/api/status", { fresh: true });
  }
  return answer;
}
