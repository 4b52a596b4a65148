import { say } from "./dom.js";

/** What is wrong, in a line of its own; each part of the page may have a sentence in it. */
export class Notes {
  #node;
  #sentences = new Map();

  constructor(node) {
    this.#node = node;
  }

  /** Replace what one part had to say; an empty text takes it back. */
  set(part, text) {
    this.#sentences.set(part, text);
    const all = [...this.#sentences.values()].filter(Boolean).join(" ");
    say(this.#node, all);
    this.#node.hidden = !all;
  }
}
