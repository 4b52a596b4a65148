/** Colours of the style sheet for what is drawn on a canvas, in the theme that is in force. */

/** The value of a custom property as a colour that a canvas takes. */
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** The same, let through so much of what is behind it (0 to 1). */
export function translucent(rgb, alpha) {
  const [red, green, blue] = rgb.match(/[\d.]+/g);
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}
