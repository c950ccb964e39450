import { isNamed } from './names.mjs';
import { contactTypeId } from './simulator.mjs';

/** Contacts in one look: all of them at once would keep the simulator from answering others. */
const perLook = 500;

/** Which of many contacts are called what they shall be. */
export class RightNames {
  #wrong;
  #after = 0;

  /** @param {Map<number, import('./names.mjs').PersonName>} wanted by their ids, in ascending order */
  constructor(wanted) {
    this.#wrong = new Map(wanted);
    this.all = wanted.size;
  }

  get right() {
    return this.all - this.#wrong.size;
  }

  /** Reads on where the last look ended, from the next contact that was not right when it was seen. @param {import('./simulator.mjs').Simulator} simulator */
  async look(simulator) {
    const ids = [...this.#wrong.keys()];
    const next = ids.find((id) => id > this.#after) ?? ids[0];
    if (next === undefined) return;
    const { items } = await simulator.items(contactTypeId, { after: next - 1, limit: perLook });
    for (const item of items) {
      const wanted = this.#wrong.get(item.id);
      if (wanted && isNamed(item, wanted)) this.#wrong.delete(item.id);
    }
    this.#after = items.at(-1)?.id ?? 0;
  }
}
