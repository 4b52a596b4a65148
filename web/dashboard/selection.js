/** What the page shows, and how it stands in the page's address. Pure. */

export const THEMES = ["auto", "light", "dark"];
export const VIEWS = ["chart", "table"];

/**
 * A selection from a query string, and sentences about what in it cannot be shown.
 *
 * @param pairs exchange → its pairs; the first of each is the default.
 * @param intervals names, the first is the default.
 */
export function parse(search, pairs, intervals) {
  const query = new URLSearchParams(search);
  const notes = [];
  const choose = (name, options, where = "") => {
    const wanted = query.get(name);
    if (wanted === null || options.includes(wanted)) return wanted ?? options[0];
    notes.push(`${wanted.slice(0, 40)} is no ${name}${where}; this is ${options[0]}.`);
    return options[0];
  };
  const exchange = choose("exchange", Object.keys(pairs));
  return {
    selection: {
      exchange,
      pair: choose("pair", pairs[exchange], ` of ${exchange}`),
      interval: choose("interval", intervals),
      theme: choose("theme", THEMES),
      view: choose("view", VIEWS),
    },
    notes,
  };
}

/** The query string of a selection; what is as it always begins is left out. */
export function search({ exchange, pair, interval, theme, view }) {
  const query = new URLSearchParams({ exchange, pair, interval });
  if (theme !== THEMES[0]) query.set("theme", theme);
  if (view !== VIEWS[0]) query.set("view", view);
  return `?${query}`;
}

export function following(options, current) {
  return options[(options.indexOf(current) + 1) % options.length];
}
