/** Decimals as text: how many places they have, and how they read. No digit is ever computed. */

/** The text without an exponent: "1E-8" is "0.00000001". */
export function plain(text) {
  const match = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(text);
  if (!match) return text;
  const [, sign, whole, fraction = "", exponent] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point >= digits.length) return sign + digits.padEnd(point, "0");
  if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  return `${sign}0.${"0".repeat(-point)}${digits}`;
}

/** How many digits stand behind the point. */
export function places(text) {
  const [, fraction = ""] = plain(text).split(".");
  return fraction.length;
}

/** The most places that any of some texts has; what a pair's prices are shown with. */
export function precision(texts, atLeast = 0) {
  return texts.reduce((most, text) => Math.max(most, places(text)), atLeast);
}

/** With thousands apart and at least so many places: "92708.1" with 2 is "92,708.10". Nothing is rounded. */
export function grouped(text, atLeast = 0) {
  const [whole, fraction = ""] = plain(text).split(".");
  const shown = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const padded = fraction.padEnd(atLeast, "0");
  return padded ? `${shown}.${padded}` : shown;
}
