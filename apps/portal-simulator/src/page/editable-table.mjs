/** A table whose fields can be edited in place, and that shows how others changed them afterwards. */
import { announce, element, setText } from './dom.mjs';

const AUTHORS = { user: 'you', application: 'b24-relay', webhook: 'webhook', robot: 'robot' };

let tableCount = 0;

export class EditableTable {
  /** @type {Map<number, EditableRow>} */
  #rows = new Map();
  #heading = element('h2', { id: `table-${(tableCount += 1)}` });
  #count = element('p', { class: 'count' });
  // The CSS grid layout removes the table semantics of rows: hence the roles.
  #body = element('tbody', { role: 'rowgroup' });
  #isNew = true;
  #columns;
  #save;

  /**
   * @param {Record<string, string>} columns labels by field
   * @param {string} hint
   * @param {(id: number, fields: Record<string, string>) => Promise<unknown>} save
   */
  constructor(columns, hint, save) {
    this.#columns = columns;
    this.#save = save;
    const labels = ['Id', ...Object.values(columns), 'Changed'];
    const heads = labels.map((label) => element('th', { role: 'columnheader', scope: 'col' }, label));
    const width = Object.keys(columns).length === 1 ? 'wide' : 'split';
    this.element = element(
      'section',
      { class: 'card', 'aria-labelledby': this.#heading.id },
      element('div', { class: 'card-head' }, this.#heading, this.#count),
      element('p', { class: 'hint' }, hint),
      element(
        'table',
        { role: 'table', class: width, 'aria-labelledby': this.#heading.id },
        element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, ...heads)),
        this.#body,
      ),
    );
  }

  remove() {
    this.element.remove();
  }

  /** @param {import('./control-api.mjs').Table} table */
  show({ title, total, rows }) {
    setText(this.#heading, title);
    setText(this.#count, countOf(total, rows.length));
    const corrected = rows.filter((row) => this.#showRow(row) && !this.#isNew);
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    this.#order(rows);
    this.#isNew = false;
    const [first] = corrected;
    if (corrected.length > 1) announce(`${corrected.length} entries corrected`);
    else if (first?.before)
      announce(`Corrected: ${nameOf(first.before.fields)} is now ${nameOf(first.fields)}`);
  }

  /** @param {import('./control-api.mjs').Row} seen @returns {boolean} whether another author has just changed it */
  #showRow(seen) {
    const known = this.#rows.get(seen.id);
    const row = known ?? new EditableRow(seen.id, this.#columns, this.#save);
    if (!known) this.#rows.set(seen.id, row);
    return row.show(seen, !this.#isNew);
  }

  /** Moves only rows that are out of order: a moved input would lose its cursor. @param {import('./control-api.mjs').Row[]} rows */
  #order(rows) {
    rows.forEach(({ id }, index) => {
      const row = this.#rows.get(id)?.element;
      const there = this.#body.children[index];
      if (row && row !== there) this.#body.insertBefore(row, there ?? null);
    });
  }
}

/** @param {number} total @param {number} shown */
function countOf(total, shown) {
  const all = total.toLocaleString('en');
  return shown < total ? `the newest ${shown} of ${all}` : all;
}

/** One row: its fields as inputs, who changed it and when, and the values before. */
class EditableRow {
  /** @type {Map<string, HTMLInputElement>} */
  #inputs = new Map();
  /** The values in the portal. @type {Record<string, string>} */
  #held = {};
  #seen = '';
  #author = element('span', { class: 'author' });
  #time = element('time');
  #note = element('td', { class: 'note', role: 'cell' });
  #save;
  #id;

  /**
   * @param {number} id
   * @param {Record<string, string>} columns
   * @param {(id: number, fields: Record<string, string>) => Promise<unknown>} save
   */
  constructor(id, columns, save) {
    this.#id = id;
    this.#save = save;
    this.element = element('tr', { role: 'row' }, element('td', { class: 'id', role: 'cell' }, String(id)));
    for (const [field, label] of Object.entries(columns)) {
      this.element.append(element('td', { class: 'field', role: 'cell' }, this.#inputFor(field, label)));
    }
    const changed = element('td', { class: 'changed', role: 'cell' }, this.#author, this.#time);
    this.element.append(changed, this.#note);
    this.element.addEventListener('focusout', ({ relatedTarget }) => {
      const isLeft = !(relatedTarget instanceof Node && this.element.contains(relatedTarget));
      if (isLeft && this.#changedFields().length > 0) void this.#commit();
    });
    this.element.addEventListener('animationend', () => {
      this.element.classList.remove('arrived', 'corrected');
    });
  }

  /** @param {import('./control-api.mjs').Row} row @param {boolean} isNews @returns {boolean} whether another author has just changed it */
  show(row, isNews) {
    const { fields, changedAtMs, changedBy, before } = row;
    const seen = JSON.stringify(row);
    if (seen === this.#seen) return false;
    const isFirst = this.#seen === '';
    this.#seen = seen;
    const typed = new Set(this.#changedFields());
    for (const [field, input] of this.#inputs) if (!typed.has(field)) input.value = fields[field] ?? '';
    this.#held = fields;
    this.#author.dataset['author'] = changedBy;
    setText(this.#author, AUTHORS[changedBy]);
    this.#showTime(changedAtMs);
    const isCorrected = before !== undefined && changedBy !== 'user';
    this.#note.replaceChildren(...(isCorrected ? correction(before, fields) : []));
    if (isNews && (isFirst || isCorrected)) this.element.classList.add(isCorrected ? 'corrected' : 'arrived');
    return isNews && isCorrected;
  }

  /** @param {string} field @param {string} label */
  #inputFor(field, label) {
    const input = element('input', {
      'aria-label': `${label} of ${this.#id}`,
      placeholder: '–',
      autocomplete: 'off',
      spellcheck: 'false',
      dir: 'auto',
    });
    input.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Enter') void this.#commit();
      if (event.key === 'Escape') input.value = this.#held[field] ?? '';
    });
    this.#inputs.set(field, input);
    return input;
  }

  #changedFields() {
    return [...this.#inputs.entries()]
      .filter(([field, input]) => input.value !== (this.#held[field] ?? ''))
      .map(([field]) => field);
  }

  /** Saves all fields, changed or not: Bitrix24 emits an event even for an update without a change. */
  async #commit() {
    const fields = Object.fromEntries([...this.#inputs].map(([field, input]) => [field, input.value]));
    const held = this.#held;
    this.#held = fields;
    try {
      await this.#save(this.#id, fields);
    } catch (error) {
      this.#held = held;
      const text = `Not saved: ${error instanceof Error ? error.message : 'the simulator does not answer'}`;
      this.#note.replaceChildren(element('span', { class: 'failure' }, text));
      announce(text);
    }
  }

  /** @param {number} timeMs */
  #showTime(timeMs) {
    const date = new Date(timeMs);
    const isToday = date.toDateString() === new Date().toDateString();
    this.#time.dateTime = date.toISOString();
    this.#time.title = date.toLocaleString();
    setText(this.#time, isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleDateString());
  }
}

/** @param {Record<string, string>} fields */
function nameOf(fields) {
  return Object.values(fields).filter(Boolean).join(' ');
}

/**
 * @param {NonNullable<import('./control-api.mjs').Row['before']>} before
 * @param {Record<string, string>} fields
 */
function correction(before, fields) {
  return [
    element('del', { dir: 'auto' }, nameOf(before.fields)),
    element('span', { class: 'arrow', 'aria-label': 'became' }, '→'),
    element('ins', { dir: 'auto' }, nameOf(fields)),
    element('span', { class: 'took' }, durationOf(before.sinceMs)),
  ];
}

/** @param {number} ms */
function durationOf(ms) {
  return ms < 10_000 ? `${ms.toLocaleString('en')} ms` : `${Math.round(ms / 1000).toLocaleString('en')} s`;
}
