/** A list whose fields can be changed in place, and that shows how somebody else changed them after. */
import { announce, element, setText } from './dom.mjs';
import { EditableRow, nameOf } from './editable-row.mjs';

let tablesMade = 0;

export class EditableTable {
  /** @type {Map<number, EditableRow>} */
  #rows = new Map();
  #heading = element('h2', { id: `table-${(tablesMade += 1)}` });
  #count = element('p', { class: 'count' });
  // Rows are laid out by a grid, which would take their meaning from them: hence the roles.
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

  /** @param {import('./control.mjs').Table} table */
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

  /** @param {import('./control.mjs').Row} seen @returns {boolean} whether somebody else has just changed it */
  #showRow(seen) {
    const known = this.#rows.get(seen.id);
    const row = known ?? new EditableRow(seen.id, this.#columns, this.#save);
    if (!known) this.#rows.set(seen.id, row);
    return row.show(seen, !this.#isNew);
  }

  /** Moves only what is out of place: a moved field would lose its cursor. @param {import('./control.mjs').Row[]} rows */
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
