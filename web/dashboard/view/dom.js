const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children (elements or text); attributes that are null or false are left out. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in an inline picture. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Set a text only where it differs: what is selected stays selected, and nothing is announced twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
