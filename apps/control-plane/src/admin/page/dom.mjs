/** The DOM of the page. Everything from the API becomes text, never markup. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * @template {HTMLElement} E
 * @param {string} selector
 * @param {new () => E} type
 * @param {ParentNode} within
 * @returns {E}
 */
export function find(selector, type, within = document) {
  const found = within.querySelector(selector);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${selector}`);
}

/** Only when it differs: what is selected or being read aloud stays. @param {Element} where @param {string} text */
export function setText(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** @param {string} text */
export function titled(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

const status = find('#status', HTMLParagraphElement);

/** Read aloud by a screen reader. @param {string} text */
export function announce(text) {
  setText(status, text);
}

/**
 * Elements that stay the same while their content changes: the focus stays.
 *
 * @template T
 */
export class KeyedList {
  /** @type {Map<string, { element: Element, show: (one: T) => void }>} */
  #shown = new Map();
  #where;
  #keyOf;
  #make;

  /**
   * @param {Element} where
   * @param {(one: T) => string} keyOf
   * @param {(one: T) => { element: Element, show: (one: T) => void }} make
   */
  constructor(where, keyOf, make) {
    this.#where = where;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  /** @param {readonly T[]} all */
  show(all) {
    const keys = new Set(all.map(this.#keyOf));
    for (const [key, { element: old }] of this.#shown) {
      if (keys.has(key)) continue;
      old.remove();
      this.#shown.delete(key);
    }
    all.forEach((one, index) => this.#place(one, index));
  }

  /** Moves only what is out of place. @param {T} one @param {number} index */
  #place(one, index) {
    const key = this.#keyOf(one);
    const entry = this.#shown.get(key) ?? this.#make(one);
    this.#shown.set(key, entry);
    entry.show(one);
    const there = this.#where.children[index];
    if (there !== entry.element) this.#where.insertBefore(entry.element, there ?? null);
  }
}

/** A section of the page, and its age: data that can no longer be read stay, and are marked as old. */
export class Section {
  #element;
  #trouble;
  #count;
  #nothing;
  /** @type {Date | undefined} */
  #readAt;

  /** @param {string} selector */
  constructor(selector) {
    this.#element = find(selector, HTMLElement);
    this.#trouble = find('.trouble', HTMLElement, this.#element);
    this.#count = find('.count', HTMLElement, this.#element);
    this.#nothing = this.#element.querySelector('.nothing');
  }

  /** @param {string} text beside the title */
  count(text) {
    setText(this.#count, text);
  }

  /** @param {boolean} isEmpty @param {string} [text] why, if it differs */
  nothing(isEmpty, text) {
    if (!(this.#nothing instanceof HTMLElement)) return;
    this.#nothing.hidden = !isEmpty;
    if (text !== undefined) setText(this.#nothing, text);
  }

  markFresh() {
    this.#readAt = new Date();
    delete this.#element.dataset['old'];
    setText(this.#trouble, '');
  }

  /** @param {string} why empty if the top of the page shows it for all sections */
  markStale(why) {
    this.#element.dataset['old'] = why === '' ? 'away' : 'failed';
    const since = this.#readAt ? `What you see is of ${this.#readAt.toLocaleTimeString()}.` : '';
    setText(this.#trouble, `${why} ${since}`.trim());
    announce(why);
  }
}
