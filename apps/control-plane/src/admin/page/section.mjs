/** A section of the page, and its age: data that can no longer be read stay, and are marked as old. */
import { announce, find, setText } from './dom.mjs';

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

  isFresh() {
    this.#readAt = new Date();
    delete this.#element.dataset['old'];
    setText(this.#trouble, '');
  }

  /** @param {string} why empty if the top of the page shows it for all sections */
  isOld(why) {
    this.#element.dataset['old'] = why === '' ? 'away' : 'failed';
    const since = this.#readAt ? `What you see is of ${this.#readAt.toLocaleTimeString()}.` : '';
    setText(this.#trouble, `${why} ${since}`.trim());
    announce(why);
  }
}
